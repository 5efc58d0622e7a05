import re
from datetime import datetime

import pytest

from srx_ophyd.paths import (
    check_map,
    check_template,
    file_uri,
    reader_path,
    write_path,
)

NOW = datetime(2026, 3, 4, 5, 6, 7)


@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("/data/%Y/%m/{name}.h5", r"/data/2026/03/det_[0-9a-f]{8}\.h5"),
        ("/data/{date}/{uid8}-{name}.nxs", r"/data/2026-03-04/[0-9a-f]{8}-det\.nxs"),
        ("/data/{name}", r"/data/det_[0-9a-f]{8}\.h5"),
        ("/data/", r"/data/[0-9a-f]{8}\.h5"),
        ("/data/v1.2/{name}_{uid8}", r"/data/v1\.2/det_[0-9a-f]{8}\.h5"),
    ],
)
def test_templates_become_paths(template, pattern):
    assert re.fullmatch(pattern, write_path(check_template(template), "det", NOW))


def test_a_path_is_never_the_same_twice():
    assert len({write_path("/data/x.h5", "det", NOW) for _ in range(100)}) == 100


@pytest.mark.parametrize("name", ["a b", "../up", "%Y", "ä/ö", "{uid8}"])
def test_a_devices_name_cannot_make_a_path_unsafe(name):
    path = write_path("/data/{name}.h5", name, NOW)
    assert re.fullmatch(r"/data/[A-Za-z0-9._-]+\.h5", path)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("data/x.h5", "must begin with /"),
        ("/data/../x.h5", "must not contain .."),
        ("/data/a b.h5", "the character ' '"),
        ("/data/%H:%M.h5", "the character ':'"),
        ("/data/{scan_id}.h5", r"unknown field {scan_id}, there are {name}, {uid8}"),
        ("/data/{name!r}.h5", "the character '{'"),
    ],
)
def test_templates_that_make_unsafe_paths_are_refused(template, text):
    with pytest.raises(ValueError, match=text):
        check_template(template)


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/data/a.h5", "/gpfs/a.h5"),
        ("/data/raw/a.h5", "/raw/a.h5"),
        ("/database/a.h5", "/database/a.h5"),
        ("/other/a.h5", "/other/a.h5"),
    ],
)
@pytest.mark.parametrize("kind", [dict, list])
def test_the_longest_prefix_of_whole_folders_is_replaced(path, seen, kind):
    pairs = check_map(kind([("/data", "/gpfs"), ("/data/raw/", "/raw")]))
    assert reader_path(path, pairs) == seen


def test_without_a_map_readers_see_the_services_path():
    assert reader_path("/data/a.h5", check_map(None)) == "/data/a.h5"


@pytest.mark.parametrize(
    "pair", [("/data", "/my disk"), ("data", "/x"), ("/a/..", "/")]
)
def test_maps_that_make_unsafe_paths_are_refused(pair):
    with pytest.raises(ValueError, match="path_map"):
        check_map([pair])


def test_a_uri_names_the_path_as_it_is():
    assert file_uri("/data/a_1.h5") == "file://localhost/data/a_1.h5"
