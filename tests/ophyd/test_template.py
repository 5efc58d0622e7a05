import re
from datetime import datetime
from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srx_ophyd.paths import UNSAFE
from srx_ophyd.template import PathTemplate, TemplateError

NOW = datetime(2026, 3, 4, 5, 6, 7)
UID8 = "[0-9a-f]{8}"
MD = {
    "sample": {"name": "Fe 3", "batch": {"id": 7}, "tags": ["a"], "note": None},
    "proposal": "p-12",
    "scan_id": 42,
    "T": np.float32(1.5),
    "beam on": True,
}


def path(template, name="det", md=None):
    made = PathTemplate(template, has_md=md is not None)
    return made.path(name, NOW, md or {})


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("/data/%Y/%m/{name}.h5", rf"/data/2026/03/det_{UID8}\.h5"),
        ("/data/{date}/{uid8}-{name}.nxs", rf"/data/2026-03-04/{UID8}-det\.nxs"),
        ("/data/{date:%y%m%d}_{time}_{uid8}", rf"/data/260304_05-06-07_{UID8}\.h5"),
        ("/data/{time:%Hh%M}-{uid}.hdf5", r"/data/05h06-[0-9a-f]{32}\.hdf5"),
        ("/data/{name}", rf"/data/det_{UID8}\.h5"),
        ("/data/", rf"/data/{UID8}\.h5"),
        ("/data/{uid8}/", rf"/data/({UID8})/\1\.h5"),
        ("//data//{name}", rf"/data/det_{UID8}\.h5"),
        ("/data/v1.2/{name}_{uid8}", rf"/data/v1\.2/det_{UID8}\.h5"),
    ],
)
def test_templates_become_paths(template, pattern):
    assert re.fullmatch(pattern, path(template))


@pytest.mark.parametrize(
    ("template", "folder"),
    [
        ("{proposal}", "p-12"),
        ("{sample[name]}", "Fe_3"),
        ("{sample.name}", "Fe_3"),
        ("{sample.batch[id]:03d}", "007"),
        ("{sample[batch].id}", "7"),
        ("{scan_id:05d}", "00042"),
        ("{T}K", "1.5K"),
        ("{beam on}", "True"),
    ],
)
def test_metadata_becomes_part_of_the_path(template, folder):
    made = path(f"/data/{template}/{{name}}.h5", md=MD)
    assert PurePosixPath(made).parts[2] == folder


@pytest.mark.parametrize("name", ["a b", "../up", "%Y", "ä/ö", "{uid8}", "-rf"])
def test_a_devices_name_cannot_make_a_path_unsafe(name):
    assert re.fullmatch(r"/data/[A-Za-z0-9._-]+\.h5", path("/data/{name}.h5", name))


def test_a_path_is_never_the_same_twice():
    template = PathTemplate("/data/x.h5", has_md=False)
    assert len({template.path("det", NOW, {}) for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("data/x.h5", "must begin with /"),
        ("", "must begin with /"),
        ("/data/../x.h5", "must not contain .."),
        ("/data/a b.h5", "the character ' '"),
        ("/data/%H:%M.h5", "the character ':'"),
        ("/data/%c.h5", "the character ' '"),
        ("/data/100%", "the character '%'"),
        ("/data/\0.h5", r"the character '\\x00'"),
        (
            "/data/{scan_id}.h5",
            r"unknown field {scan_id}, there are {name}, {date}, {time}, {uid}, "
            r"{uid8}; with md=RE.md also {scan_id} and whatever is in the metadata",
        ),
        ("/data/{name[0]}.h5", r"unknown field {name\[0\]}"),
        ("/data/{name!r}.h5", "the character '{'"),
        ("/data/{}.h5", "the character '{'"),
        ("/data/{name:05d}.h5", "{name:05d} cannot format 'name': Unknown format"),
        ("/data/{uid:.4}.h5", "{uid:.4} takes no format"),
        (f"/data/{'x' * 300}.h5", "too long"),
    ],
)
def test_templates_that_make_no_safe_path_are_refused(template, text):
    with pytest.raises(TemplateError, match=rf"^write_path_template .*{text}"):
        PathTemplate(template, has_md=False)


def test_a_format_that_no_scan_id_has_is_refused_at_once():
    with pytest.raises(TemplateError, match=r"{scan_id:%Y} cannot format 1"):
        PathTemplate("/data/{scan_id:%Y}.h5", has_md=True)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (
            "{sampel}",
            r"{sampel} is not there, the metadata has 'T', 'beam on', 'proposal', "
            r"'sample', 'scan_id'; did you mean 'sample'\?",
        ),
        ("{operator}", "'scan_id'$"),
        (
            "{sample.nam}",
            r"the metadata\['sample'\] has 'batch', 'name', 'note', 'tags'; did you "
            r"mean 'name'\?",
        ),
        ("{proposal.id}", r"the metadata\['proposal'\] is a str"),
        ("{sample}", r"is a dict; name one of what it holds, {sample\[name\]}"),
        ("{sample[tags]}", "is a list; text and numbers can be in a file's name"),
        ("{sample[note]}", "is a NoneType; text and numbers"),
        ("{proposal:05d}", "{proposal:05d} cannot format 'p-12': Unknown format"),
    ],
)
def test_what_the_metadata_lacks_is_told_with_what_it_has(field, text):
    template = f"/data/{field}/x.h5"
    with pytest.raises(TemplateError, match=text) as caught:
        path(template, md=MD)
    assert template in str(caught.value)


def test_an_error_does_not_list_hundreds_of_keys():
    md = {f"key{number}": number for number in range(500)}
    with pytest.raises(TemplateError, match="…; did you mean 'key7'") as caught:
        path("/data/{kei7}.h5", md=md)
    assert len(str(caught.value)) < 400


def test_metadata_that_makes_a_name_too_long_is_refused():
    fields = "".join(f"{{{letter}}}" for letter in "abcd")
    with pytest.raises(TemplateError, match="too long"):
        path(f"/data/{fields}.h5", md=dict.fromkeys("abcd", "x" * 100))


VALUES = st.text() | st.integers() | st.floats() | st.booleans()


@given(name=st.text(), a=VALUES, b=VALUES)
@example(name="..", a=".", b="/")
@example(name="../..", a="/etc/passwd", b="\0")
def test_whatever_the_metadata_holds_the_path_is_safe(name, a, b):
    template = PathTemplate("/data/raw/{a}/.{b}/{x[y]}/{name}{a}.nxs", has_md=True)
    made = [template.path(name, NOW, {"a": a, "b": b, "x": {"y": a}}) for _ in "12"]
    assert made[0] != made[1]
    assert UNSAFE.search(made[0]) is None
    *folders, file = PurePosixPath(made[0]).parts
    assert (folders[:3], len(folders)) == (["/", "data", "raw"], 6)
    assert ".." not in folders
    assert max(map(len, [*folders, file])) <= 255
    assert re.fullmatch(rf".+_{UID8}\.nxs", file)
    assert file[0] not in ".-"


@given(
    st.text(alphabet="/.%{}[]:{ aY0xä\0") | st.text(),
    st.dictionaries(st.text(alphabet="aY0x"), VALUES | st.just({"a": "x"})),
)
def test_a_template_of_any_text_is_refused_or_makes_a_safe_path(text, md):
    try:
        made = PathTemplate(f"/data/{text}", has_md=True).path("det", NOW, md)
    except TemplateError:
        return
    assert made.startswith("/data/")
    assert UNSAFE.search(made) is None
    assert ".." not in PurePosixPath(made).parts
    assert re.search(UID8, made)
