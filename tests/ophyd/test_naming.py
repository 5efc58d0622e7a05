"""Names of files by template and by path provider, and where readers find them."""

import contextlib
import re
import types
from pathlib import Path, PurePosixPath, PureWindowsPath

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ophyd_async.core import (
    AutoIncrementFilenameProvider,
    AutoIncrementingPathProvider,
    PathInfo,
    StaticFilenameProvider,
    StaticPathProvider,
    UUIDFilenameProvider,
    YMDPathProvider,
    init_devices,
)

from srx_ophyd import naming
from srx_ophyd.async_device import SrxAsyncDetector
from srx_ophyd.client import ServiceError
from srx_ophyd.device import SrxDatumDetector
from srx_ophyd.naming import FileNames
from srx_ophyd.plans import srx_fly

UID8 = "[0-9a-f]{8}"
FOLDER = PurePosixPath("/data/raw")


def static(filename="scan", folder=FOLDER, uri=None):
    return StaticPathProvider(StaticFilenameProvider(filename), folder, uri)


def told(folder=FOLDER, filename="scan", **others):
    """A provider of somebody's own, which needs no ophyd-async."""
    info = types.SimpleNamespace(directory_path=folder, filename=filename, **others)
    return lambda device_name=None: info


# -- templates ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("md", "number"),
    [({}, "00001"), ({"scan_id": 0}, "00001"), ({"scan_id": 8}, "00009")],
)
def test_the_scan_id_is_that_of_the_run_to_come(md, number):
    path = FileNames("/data/{scan_id:05d}", md=md).new("det")
    assert path.startswith(f"/data/{number}_")


def test_the_metadata_is_read_when_a_file_is_named():
    md = {"sample": "iron"}
    names = FileNames("/data/{sample}/{name}", md=md)
    md["sample"] = "gold ring"
    assert names.new("det").startswith("/data/gold_ring/det_")


def test_all_files_of_a_staging_are_named_by_its_begin():
    md = {"scan_id": 41}
    names = FileNames("/data/{scan_id}", md=md)
    names.begin()
    md["scan_id"] = 42
    assert names.new("det").startswith("/data/42_")
    names.begin()
    assert names.new("det").startswith("/data/43_")


def test_a_scan_id_that_is_no_number_matters_only_where_it_is_used():
    md = {"scan_id": "forty-two", "sample": "iron"}
    FileNames("/data/{sample}", md=md).new("det")
    with pytest.raises(ValueError, match="det: the metadata's scan_id is 'forty-two'"):
        FileNames("/data/{scan_id}", md=md).new("det")


def test_an_error_tells_whose_file_it_was():
    names = FileNames("/data/{sampel}", md={"sample": "iron"})
    with pytest.raises(ValueError, match=r"^det: .*{sampel}.*did you mean 'sample'"):
        names.new("det")


@pytest.mark.parametrize("where", [None, 5, Path("/data/x.h5")])
def test_what_is_neither_template_nor_provider_is_refused(where):
    with pytest.raises(TypeError, match="is a template or a path provider, not"):
        FileNames(where)


def test_metadata_that_is_no_mapping_is_refused(engine):
    with pytest.raises(
        TypeError, match=r"md is a mapping such as RE\.md, not <bluesky"
    ):
        FileNames("/data/{scan_id}", md=engine)


def test_another_template_is_checked_when_it_is_set():
    names = FileNames("/data/{name}")
    with pytest.raises(ValueError, match=r"unknown field {sample}"):
        names.where = "/data/{sample}"
    assert names.where == "/data/{name}"
    names.where = "/other/{name}"
    assert names.new("det").startswith("/other/det_")


# -- path providers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "pattern"),
    [
        (static(), r"/data/raw/scan\.h5"),
        (static("scan.nxs", "/data"), r"/data/scan\.nxs"),
        (static("v1.2"), r"/data/raw/v1\.2\.h5"),
        (
            StaticPathProvider(UUIDFilenameProvider(), FOLDER),
            r"/data/raw/[0-9a-f-]{36}\.h5",
        ),
        (
            YMDPathProvider(AutoIncrementFilenameProvider("scan"), FOLDER),
            r"/data/raw/det/\d{4}/\d\d/\d\d/scan_00000\.h5",
        ),
        (
            AutoIncrementingPathProvider(StaticFilenameProvider("scan"), FOLDER),
            r"/data/raw/det_00000/scan\.h5",
        ),
        (told("/data/raw/", "sub/scan"), r"/data/raw/sub/scan\.h5"),
    ],
)
def test_a_providers_name_is_taken_as_it_is(provider, pattern):
    names = FileNames(provider)
    path = names.new("det")
    assert re.fullmatch(pattern, path)
    assert names.uri(path) == f"file://localhost{path}"


def test_a_path_that_was_handed_out_before_gets_a_suffix():
    names = FileNames(static())
    paths = [names.new("det") for _ in range(4)]
    assert paths[0] == "/data/raw/scan.h5"
    assert all(re.fullmatch(rf"/data/raw/scan_{UID8}\.h5", one) for one in paths[1:])
    assert len({*paths}) == 4


def test_what_is_remembered_of_handed_out_paths_is_bounded(monkeypatch):
    monkeypatch.setattr(naming, "REMEMBERED", 2)
    provider = StaticPathProvider(AutoIncrementFilenameProvider("scan"), FOLDER)
    names = FileNames(provider)
    for _ in range(5):
        names.new("det")
    assert [*names._taken] == ["/data/raw/scan_00003.h5", "/data/raw/scan_00004.h5"]


@pytest.mark.parametrize(
    ("folder", "filename", "text"),
    [
        (PureWindowsPath("P:/data"), "x", "gives 'P:.*data', a path of Windows"),
        (r"P:\data", "x", "must begin with /"),
        ("data", "x", "must begin with /"),
        ("/data/../etc", "x", r"must not contain \.\."),
        (FOLDER, "../x", r"must not contain \.\."),
        (FOLDER, "a b", "the character ' '"),
        (FOLDER, "", "gives the filename ''"),
        (FOLDER, None, "gives the filename None"),
    ],
)
def test_a_provider_that_gives_no_safe_path_is_told_of(folder, filename, text):
    with pytest.raises(ValueError, match=rf"^det: path provider .*{text}"):
        FileNames(told(folder, filename)).new("det")


def test_a_provider_that_gives_something_else_is_told_of():
    text = "gives '/data': a directory_path and a filename are wanted"
    with pytest.raises(ValueError, match=rf"^det: path provider .*lambda> {text}"):
        FileNames(lambda _: "/data").new("det")


def test_a_provider_that_fails_is_told_of():
    text = r"^det: path provider StaticPathProvider failed: KeyError: 'cycle'"
    with pytest.raises(ValueError, match=text):
        FileNames(StaticPathProvider(lambda _: {}["cycle"], FOLDER)).new("det")


TEXT = st.text(alphabet="/.-a0 \\\0ä") | st.text()


@given(TEXT, TEXT)
def test_whatever_a_provider_gives_is_refused_or_a_new_safe_path(folder, filename):
    names = FileNames(told(f"/data/{folder}", filename))
    try:
        paths = [names.new("det") for _ in range(2)]
    except ValueError:
        return
    assert paths[0] != paths[1]
    for path in paths:
        assert re.fullmatch(r"/data/[A-Za-z0-9._/+=@-]+\.(h5|hdf5|nxs)", path)
        assert ".." not in PurePosixPath(path).parts
        assert names.uri(path) == f"file://localhost{path}"


# -- where readers find them ----------------------------------------------------------

MAP = {"/data": "/gpfs"}


@pytest.mark.parametrize(
    ("uri", "path_map", "seen"),
    [
        (None, None, "file://localhost/data/raw/"),
        (None, MAP, "file://localhost/gpfs/raw/"),
        ("file://localhost/data/raw/", MAP, "file://localhost/gpfs/raw/"),
        ("file://localhost/nsls2/raw", MAP, "file://localhost/nsls2/raw/"),
        ("file://storage/data/raw/", MAP, "file://storage/data/raw/"),
    ],
)
def test_a_directory_uri_of_its_own_is_the_readers(uri, path_map, seen):
    names = FileNames(static(uri=uri), path_map)
    assert names.uri(names.new("det")) == f"{seen}scan.h5"


def test_a_providers_uri_follows_its_folders():
    base = "file://localhost/gpfs"
    provider = YMDPathProvider(StaticFilenameProvider("scan"), FOLDER, base)
    names = FileNames(provider)
    path = names.new("det")
    assert names.uri(path) == path.replace("/data/raw", base)


def test_a_filename_with_a_folder_is_below_the_providers_uri():
    provider = told("/data", "sub/scan", directory_uri="file://localhost/gpfs/")
    names = FileNames(provider)
    assert names.uri(names.new("det")) == "file://localhost/gpfs/sub/scan.h5"


def test_a_reader_that_knows_no_uri_is_told_the_path():
    names = FileNames(static(uri="file://localhost/gpfs"))
    assert names.path(names.new("det")) == "/gpfs/scan.h5"


@pytest.mark.parametrize(
    ("where", "path_map", "seen"),
    [
        # The service answers with what /data leads to.
        ("/data/{uid8}", None, "/mnt/disk1/"),
        ("/data/{uid8}", {"/data": "/gpfs"}, "/gpfs/"),
        ("/data/{uid8}", {"/mnt/disk1": "/gpfs"}, "/gpfs/"),
        ("/data/{uid8}", {"/data": "/a", "/mnt/disk1": "/gpfs"}, "/gpfs/"),
        (static(folder="/data", uri="file://localhost/gpfs"), None, "/gpfs/"),
        (static(folder="/data", uri="file://localhost/a"), {"/mnt": "/b"}, "/b/disk1/"),
    ],
)
def test_a_link_that_the_service_resolved_hides_no_file(where, path_map, seen):
    names = FileNames(where, path_map)
    resolved = names.new("det").replace("/data/", "/mnt/disk1/")
    file = PurePosixPath(resolved).name
    assert names.uri(resolved) == f"file://localhost{seen}{file}"


@pytest.mark.parametrize(
    "where", ["/data/{name}.h5", static(folder="/data", uri="file://localhost/a")]
)
def test_a_file_of_others_is_where_the_map_says(where):
    names = FileNames(where, MAP)
    names.new("det")
    assert names.uri("/data/old/x.h5") == "file://localhost/gpfs/old/x.h5"


# -- the device -----------------------------------------------------------------------


def test_a_run_has_the_scan_id_of_its_file(engine, make, documents, service):
    engine.md.update(scan_id=41, sample="iron")
    det = make(write_path_template="/data/{sample}/{scan_id:05d}", md=engine.md)
    for plan in (bp.count([det]), srx_fly([det], 2)):
        engine(plan)
    found = [one["file"].rpartition("_")[0] for one in service.acquisitions]
    assert found == ["/data/iron/00042", "/data/iron/00043"]
    assert [one["scan_id"] for one in documents.of("start")] == [42, 43]


def test_all_files_of_a_run_have_its_scan_id(engine, make, service):
    det = make(write_path_template="/data/{scan_id}", md=engine.md)

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def step_and_fly():
        yield from bps.trigger_and_read([det], name="step")
        yield from bps.declare_stream(det, name="fly", collect=True)
        yield from bps.kickoff(det, wait=True)
        yield from bps.collect_while_completing([det], [det], stream_name="fly")

    engine(step_and_fly())
    found = [one["file"].rpartition("_")[0] for one in service.acquisitions]
    assert found == ["/data/1", "/data/1"]


def test_the_async_device_prepares_in_the_run_and_has_its_scan_id(
    engine, service, driver
):
    engine.md["scan_id"] = 41
    with init_devices():
        det = SrxAsyncDetector(
            service.url, "/data/{scan_id}", driver=driver, name="det", md=engine.md
        )
    with contextlib.closing(det.client):
        engine(bp.count([det]))
        engine(bp.count([det]))
    found = [one["file"].rpartition("_")[0] for one in service.acquisitions]
    assert found == ["/data/42", "/data/43"]


def test_staging_fails_with_what_the_metadata_lacks(engine, make, service):
    det = make(write_path_template="/data/{sampel}", md=engine.md | {"sample": "iron"})
    with pytest.raises(ValueError, match=r"^det: .*did you mean 'sample'\?"):
        engine(bp.count([det]))
    assert (engine.state, service.acquisitions) == ("idle", [])


def test_the_template_of_a_device_may_change_between_scans(engine, make, service):
    det = make(write_path_template="/data/a")
    engine(bp.count([det]))
    with pytest.raises(ValueError, match="must begin with /"):
        det.write_path_template = "b"
    det.write_path_template = static("b")
    engine(bp.count([det]))
    first, second = (one["file"] for one in service.acquisitions)
    assert (first[:8], second) == ("/data/a_", "/data/raw/b.h5")


def test_the_documents_name_the_file_where_the_provider_says(engine, make, documents):
    engine(bp.count([make(write_path_template=static(uri="file://nas/gpfs/"))]))
    assert documents.of("stream_resource")[0]["uri"] == "file://nas/gpfs/scan.h5"


def test_resources_name_the_file_where_the_provider_says(engine, make, documents):
    provider = static(uri="file://nas/gpfs/")
    engine(bp.count([make(SrxDatumDetector, write_path_template=provider)]))
    [resource] = documents.of("resource")
    assert resource["root"] + resource["resource_path"] == "/gpfs/scan.h5"


def test_a_file_that_exists_is_left_alone(engine, make, service):
    service.files.add("/data/raw/scan.h5")
    engine(bp.count([make(write_path_template=static())]))
    [acquisition] = service.acquisitions
    assert re.fullmatch(rf"/data/raw/scan_{UID8}\.h5", acquisition["file"])


def test_a_file_is_given_another_name_only_once(make, service):
    text = "/data/x.h5 exists and is never overwritten; choose another name"
    service.refusals["arm"] = (409, "cannot make the file", text)
    with pytest.raises(ServiceError, match="never overwritten"):
        make().stage()
    assert [what for what, _ in service.requests].count("arm") == 2


def test_a_service_that_is_busy_is_not_asked_for_another_name(make, service):
    service.refusals["arm"] = (409, "busy", "acquisition 9c is armed")
    with pytest.raises(ServiceError, match="busy"):
        make().stage()
    assert [what for what, _ in service.requests].count("arm") == 1


def test_a_provider_is_asked_for_the_device(make, service):
    asked = []

    def provide(name):
        asked.append(name)
        return PathInfo(directory_path=FOLDER, filename=name)

    det = make(name="eiger", write_path_template=provide)
    assert asked == []
    det.stage()
    assert asked == ["eiger"]
    assert det.file.get() == "/data/raw/eiger.h5" == service.current["file"]
