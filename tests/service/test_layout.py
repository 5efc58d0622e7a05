import json

import h5py
import numpy as np
import pytest

from srx_service import layout
from srx_service.counts import COUNT_NAMES
from srx_service.messages import Start


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as opened:
        yield opened


def lay_out(file, dataset):
    layout.make_entry(file, dataset)
    layout.make_groups(file, dataset)
    layout.make_acquisition(file, {"id": "1", "origin": "api", "metadata": {}}, dataset)
    file.create_dataset(dataset, data=[[1, 2]])
    layout.link_data(file, dataset)


def classes(file):
    found = {}
    file.visititems(lambda name, each: found.update({name: each.attrs.get("NX_class")}))
    return {name: kind for name, kind in found.items() if kind}


@pytest.mark.parametrize(
    ("dataset", "group", "name"),
    [
        ("/entry/a/data", "/entry/a", "data"),
        ("/data", "/", "data"),
        ("/a/b", "/a", "b"),
    ],
)
def test_a_path_is_a_group_and_a_name(dataset, group, name):
    assert layout.split(dataset) == (group, name)


def test_groups_have_their_nexus_class(file):
    lay_out(file, "/entry/instrument/eiger/data")
    assert classes(file) == {
        "entry": "NXentry",
        "entry/data": "NXdata",
        "entry/instrument": "NXinstrument",
        "entry/instrument/eiger": "NXdetector",
        "entry/acquisition": "NXcollection",
    }


def test_a_group_of_another_name_is_a_collection(file):
    lay_out(file, "/entry/measurement/Pilatus/data")
    assert classes(file)["entry/measurement"] == "NXcollection"
    assert classes(file)["entry/measurement/Pilatus"] == "NXdetector"


@pytest.mark.parametrize(
    "dataset",
    [
        "/entry/instrument/eiger/data",
        "/entry/measurement/Pilatus/data",
        "/entry/data/data",
        "/entry/data/frames",
        "/data",
        "/entry/acquisition/data",
    ],
)
def test_the_default_plot_leads_to_the_data(file, dataset):
    lay_out(file, dataset)
    entry = file[file.attrs["default"]]
    data = entry[entry.attrs["default"]]
    assert data.attrs["NX_class"] == "NXdata"
    assert data[data.attrs["signal"]] == file[dataset]
    assert data[data.attrs["signal"]][0, 1] == 2


def test_the_link_is_a_hard_one(file):
    lay_out(file, "/entry/instrument/eiger/data")
    link = file.get("/entry/data/data", getlink=True)
    assert isinstance(link, h5py.HardLink)


@pytest.mark.parametrize("dataset", ["/entry", "/entry/data"])
def test_a_dataset_in_the_way_of_nxdata_is_told(file, dataset, caplog):
    lay_out(file, dataset)
    assert file[dataset][0, 1] == 2
    assert f"no NXdata: {dataset}" in caplog.text


@pytest.mark.parametrize(
    "dataset", ["/entry", "/entry/acquisition", "/entry/acquisition/counts", "/a/data"]
)
def test_whose_file_it_is_can_be_told_wherever_the_dataset_is(file, dataset):
    lay_out(file, dataset)
    assert layout.made_by(file) == ("api", "1")


def test_another_programs_file_is_nobodys(file):
    file.create_group("entry/acquisition")
    assert layout.made_by(file) == ("", "")


def test_the_clients_metadata_is_kept_nested_and_as_json(file):
    metadata = {"sample": {"name": "A1", "no": None}}
    layout.make_acquisition(file, {"id": "1", "metadata": metadata}, "/entry/a/data")
    group = file["entry/acquisition"]
    assert group["metadata/sample/name"].asstr()[()] == "A1"
    assert json.loads(group["metadata_json"].asstr()[()]) == metadata
    assert list(group["counts"].attrs["names"]) == list(COUNT_NAMES)


def test_what_the_header_said_is_kept_as_datasets_and_as_json(file):
    group = layout.make_groups(file, "/entry/eiger/data")
    metadata = {"count_time": 0.1, "data": 5, "sequence_number": 6, "header_json": "x"}
    layout.save_header(group, Start(metadata=metadata), "data")
    assert json.loads(group["header_json"].asstr()[()]) == metadata
    assert group["count_time"][()] == 0.1
    assert (group["data_"][()], group["sequence_number_"][()]) == (5, 6)
    assert group["header_json_"].asstr()[()] == "x"


def test_tables_and_appendix_are_kept(file):
    group = layout.make_groups(file, "/entry/eiger/data")
    mask = np.arange(6, dtype=np.uint32).reshape(2, 3)
    start = Start(metadata={"flatfield": 1}, tables={"flatfield": mask}, appendix=b"\0")
    layout.save_header(group, start, "data")
    assert np.array_equal(group["flatfield_"], mask)
    assert group["flatfield"][()] == 1
    assert group["header_appendix"][:].tobytes() == b"\0"


def test_what_stands_in_the_way_of_the_group_is_an_error(file):
    file["entry/eiger"] = 1
    with pytest.raises(KeyError, match="no group"):
        layout.group_of(file, "/entry/eiger/data")
