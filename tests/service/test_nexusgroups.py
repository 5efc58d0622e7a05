import h5py
import pytest

from srx_service.nexusgroups import class_all, group_in, put


@pytest.fixture
def file(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as opened:
        yield opened


def test_a_field_has_its_unit_and_stays_as_it_was_first(file):
    for value in (0.5, 7.0):
        assert put(file, "distance", value, "m")[()] == 0.5
    assert file["distance"].attrs["units"] == "m"


def test_a_dataset_is_linked_and_not_copied(file):
    table = file.create_dataset("tables/mask", data=[1, 2])
    put(file, "pixel_mask", table)
    table[0] = 9
    assert file["pixel_mask"][:].tolist() == [9, 2]
    assert isinstance(file.get("pixel_mask", getlink=True), h5py.HardLink)


def test_a_group_keeps_the_class_it_has(file):
    group_in(file, "entry", "NXentry")
    assert group_in(file, "entry", "NXother").attrs["NX_class"] == "NXentry"


def test_groups_without_a_class_become_collections(file):
    group_in(file, "entry", "NXentry").create_group("goniometer/omega")
    class_all(file["entry"])
    kinds = [file[f"entry/{p}"].attrs["NX_class"] for p in ("", "goniometer/omega")]
    assert kinds == ["NXentry", "NXcollection"]
