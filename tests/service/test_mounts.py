"""What is free where, and whether the disk is still the one that was meant."""

import errno
import os
from pathlib import Path

import pytest

from srx_service.errors import WriteError
from srx_service.mounts import KEPT, UNTOLD, Mounts, Room, look
from tests.service.disks import Disk


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


def test_a_look_tells_what_the_system_tells(tmp_path):
    room, found = look(tmp_path), os.statvfs(tmp_path)
    assert room.folder == tmp_path.resolve()
    # others write meanwhile
    assert room.free_bytes == pytest.approx(found.f_bavail * found.f_frsize, rel=0.1)
    assert room.mount.is_mount()
    assert tmp_path.resolve().is_relative_to(room.mount)


def test_a_folder_yet_to_be_made_has_the_room_of_the_one_above(disk, tmp_path):
    assert look(tmp_path / "a/b/c").folder == tmp_path.resolve()


def test_a_file_in_the_way_is_no_error(disk, tmp_path):
    (tmp_path / "a").touch()
    assert look(tmp_path / "a/b").free_bytes == disk.free_bytes


def test_a_link_leads_to_the_disk_behind_it(disk, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert look(tmp_path / "link/b").folder == (tmp_path / "real").resolve()


def test_a_folder_that_may_not_be_looked_into_is_told(disk, tmp_path):
    disk.error = PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(PermissionError):
        look(tmp_path)


def test_a_file_system_that_tells_no_size_is_not_taken_for_full(disk, tmp_path):
    disk.blocks = disk.free_bytes = 0
    assert look(tmp_path).free_bytes == UNTOLD


def test_a_file_that_would_go_below_a_vanished_mount_is_refused(disk, tmp_path):
    folder = (tmp_path / "data").resolve()
    known, disk.mounted = Mounts(), [Path("/"), folder]
    folder.mkdir()
    known.add(look(folder))
    known.must_be_there(folder / "a.h5", look(folder))
    disk.mounted.pop()
    with pytest.raises(WriteError, match=f"{folder} is not mounted any more"):
        known.must_be_there(folder / "a.h5", look(folder))
    known.must_be_there(tmp_path / "a.h5", look(tmp_path))
    disk.mounted.append(folder)
    known.must_be_there(folder / "a.h5", look(folder))


def test_a_mount_that_came_later_is_as_good(disk, tmp_path):
    known = Mounts()
    known.add(look(tmp_path))
    disk.mounted.append(tmp_path.resolve())
    known.must_be_there(tmp_path / "a.h5", look(tmp_path))


def test_mounts_that_come_and_go_are_not_kept_for_ever():
    known = Mounts()
    for k in range(2 * KEPT):
        known.add(Room(Path("/"), Path(f"/mnt/{k}"), 0))
        known.add(Room(Path("/"), Path(f"/mnt/{k}"), 0))
    assert list(known._known) == [Path(f"/mnt/{k}") for k in range(KEPT, 2 * KEPT)]
