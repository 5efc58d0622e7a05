"""`srx check` points at what is allowed and yet deserves a look."""

from pathlib import Path

import pytest

from srx_service import check
from srx_service.config import DetectorConfig
from srx_service.keys import make
from tests.service.disks import MIB, Disk

ENTRY = {
    "class": "Eiger",
    "dcu_host_purple": "dcu",
    "data_port": 1,
    "dset_name": "/e/d",
}
MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/export /data nfs4 rw 0 0
scratch /data/fast gpfs rw 0 0
tmpfs /mnt/two\\040words tmpfs rw 0 0
"""


def notes(**keys):
    return "\n".join(check.notes({"x": DetectorConfig.model_validate(ENTRY | keys)}))


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/home/user", "ext4"),
        ("/data", "nfs4"),
        ("/data/visitors/new", "nfs4"),
        ("/database", "ext4"),
        ("/data/fast/x", "gpfs"),
        ("/mnt/two words/x", "tmpfs"),
    ],
)
def test_the_deepest_mount_point_tells_the_file_system(path, kind):
    assert check.file_system(Path(path), MOUNTS) == kind


def test_a_write_root_on_nfs_is_pointed_out(tmp_path, monkeypatch):
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(check, "MOUNTS", mounts)
    assert f"x: write_root {tmp_path} is on nfs4" in notes(write_root=str(tmp_path))


def test_a_write_root_that_fits_is_no_word_worth(tmp_path):
    assert notes(write_root=str(tmp_path)) == ""


def test_a_write_root_that_is_not_there_is_pointed_out(tmp_path):
    assert "is no directory on this machine" in notes(write_root=str(tmp_path / "no"))


def test_no_write_root_is_pointed_out():
    assert "no write_root in x: the stream may name any file there" in notes()


def test_keys_without_effect_are_pointed_out():
    assert "rotate has no effect without a pipeline" in notes(rotate=True)
    assert "nworkers has no effect" in notes(nworkers=2, socket="sub")
    assert "source_name has no effect without nexus" in notes(source_name="MAX IV")


def test_ports_that_several_entries_share_are_pointed_out():
    shared = DetectorConfig.model_validate(ENTRY)
    assert (
        "port 5000 is used by a, b: they cannot run on the same machine"
        in check.notes({"a": shared, "b": shared})
    )


def test_a_class_that_cannot_be_imported_is_a_problem():
    own = DetectorConfig.model_validate(ENTRY | {"class": "no.where:Own"})
    assert check.problems({"x": own}) == [
        "x: class: no.where:Own: No module named 'no'"
    ]


def test_a_table_that_is_not_there_is_a_problem(tmp_path):
    keys = {"pipeline": "PilatusPipeline", "tot": str(tmp_path / "tot.npz")}
    (found,) = check.problems({"x": DetectorConfig.model_validate(ENTRY | keys)})
    assert found.startswith(f"x: tot: {tmp_path / 'tot.npz'} cannot be read")


def test_keys_that_cannot_be_read_are_a_problem(tmp_path):
    keys = {"curve_key": str(tmp_path / "no"), "curve_clients": str(tmp_path)}
    config = DetectorConfig.model_validate(ENTRY | keys)
    (found,) = check.problems({"x": config})
    assert found == f"x: curve_key: {tmp_path / 'no'}: No such file or directory"


def test_a_secret_key_that_others_can_read_is_pointed_out(tmp_path):
    _, own = make(tmp_path, "service")
    keys = {"curve_key": str(own), "curve_clients": str(tmp_path)}
    keys["write_root"] = str(tmp_path)
    assert notes(**keys) == ""
    own.chmod(0o644)
    assert f"curve_key {own} can be read by others" in notes(**keys)


def test_a_write_root_without_room_is_pointed_out(tmp_path, monkeypatch):
    disk = Disk(monkeypatch)
    disk.free_bytes = 256 * MIB
    assert "has less free than keep_free" in notes(write_root=str(tmp_path))
    assert notes(write_root=str(tmp_path), keep_free=None) == ""
