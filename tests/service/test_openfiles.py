import errno
import fcntl
import json
import os
import subprocess
import sys

import h5py
import pytest

from srx_service import openfiles
from srx_service.errors import ConfigError, WriteError
from srx_service.openfiles import FileLock, OpenFiles

HOLD = """
import sys
from pathlib import Path
from srx_service.openfiles import FileLock, OpenFiles
if sys.argv[1] == "service":
    held = OpenFiles(Path(sys.argv[2]), "eiger")
else:
    held = FileLock(Path(sys.argv[2]), "the other")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def elsewhere():
    """Hold a lock in another process, which is killed at the end if not before."""
    processes = []

    def hold(*arguments):
        command = [sys.executable, "-c", HOLD, *map(str, arguments)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout.readline() == b"held\n"
        return process

    yield hold
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def open_files(tmp_path):
    made = OpenFiles(tmp_path / "state", "eiger")
    yield made
    made.close()


def listed(tmp_path):
    text = (tmp_path / "state/eiger-open-files.json").read_text()
    return [(entry["path"], entry["acquisition"]) for entry in json.loads(text)]


def reopen(open_files, tmp_path):
    open_files.close()
    return OpenFiles(tmp_path / "state", "eiger")


# -- the list ------------------------------------------------------------------------


def test_a_file_is_listed_from_its_opening_to_its_closing(open_files, tmp_path):
    open_files.add(tmp_path / "a.h5", "1")
    open_files.add(tmp_path / "b.h5", "2")
    open_files.remove(tmp_path / "a.h5")
    assert listed(tmp_path) == [(str(tmp_path / "b.h5"), "2")]


def test_what_the_last_life_had_open_is_left_over(open_files, tmp_path):
    open_files.add(tmp_path / "a.h5", "1")
    next_life = reopen(open_files, tmp_path)
    next_life.add(tmp_path / "b.h5", "2")
    assert [*next_life.left_over()] == [tmp_path / "a.h5"]
    next_life.close()


def test_left_over_files_stay_listed_until_they_are_removed(open_files, tmp_path):
    open_files.add(tmp_path / "a.h5", "1")
    second = reopen(open_files, tmp_path)
    third = reopen(second, tmp_path)
    assert [*third.left_over()] == [tmp_path / "a.h5"]
    third.remove(tmp_path / "a.h5")
    assert ([*third.left_over()], listed(tmp_path)) == ([], [])
    third.close()


def test_removing_what_is_not_listed_does_no_harm(open_files, tmp_path):
    open_files.remove(tmp_path / "a.h5")
    assert listed(tmp_path) == []


def test_a_file_is_known_by_its_true_name(open_files, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    open_files.add(tmp_path / "link" / "a.h5", "1")
    monkeypatch.chdir(tmp_path)
    open_files.remove(openfiles.Path("a.h5"))
    assert listed(tmp_path) == []


def test_the_list_is_replaced_as_a_whole(open_files, tmp_path, monkeypatch):
    open_files.add(tmp_path / "a.h5", "1")

    def fail(_):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(openfiles.os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        open_files.add(tmp_path / "b.h5", "2")
    assert listed(tmp_path) == [(str(tmp_path / "a.h5"), "1")]


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b'[{"path": 3}]', b"\xff"])
def test_a_damaged_list_is_kept_and_told(open_files, tmp_path, caplog, content):
    open_files.close()
    (tmp_path / "state/eiger-open-files.json").write_bytes(content)
    again = OpenFiles(tmp_path / "state", "eiger")
    again.close()
    assert not again.left_over()
    assert (tmp_path / "state/eiger-open-files.damaged").read_bytes() == content
    assert "is damaged" in caplog.text


# -- one service a name --------------------------------------------------------------


def test_a_second_service_of_that_name_is_told_who_is_in_the_way(elsewhere, tmp_path):
    other = elsewhere("service", tmp_path)
    with pytest.raises(
        ConfigError, match=rf"'eiger' \(process {other.pid} on .*stop it"
    ):
        OpenFiles(tmp_path, "eiger")


def test_services_of_other_names_share_a_state_dir(open_files, tmp_path):
    OpenFiles(tmp_path / "state", "pilatus").close()


def test_a_killed_service_leaves_its_name_free(elsewhere, tmp_path):
    other = elsewhere("service", tmp_path)
    other.kill()
    other.wait()
    OpenFiles(tmp_path, "eiger").close()


@pytest.mark.parametrize("name", ["a/b", "../up", "ä b", "."])
def test_a_name_cannot_lead_out_of_the_state_dir(tmp_path, name):
    OpenFiles(tmp_path / "state", name).close()
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_a_state_dir_that_cannot_be_made_is_told_at_the_start(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"state_dir .*file/x cannot be used: Not a dir"
    ):
        OpenFiles(tmp_path / "file" / "x", "eiger")


# -- one writer a file ---------------------------------------------------------------


def test_a_file_has_one_writer(open_files, tmp_path, elsewhere):
    other = elsewhere("file", tmp_path / "a.h5")
    with pytest.raises(WriteError, match=r"a\.h5 is being written by the other"):
        open_files.lock_file(tmp_path / "a.h5")
    other.kill()
    other.wait()
    open_files.lock_file(tmp_path / "a.h5").release()


def test_a_file_has_one_writer_within_a_process_too(open_files, tmp_path):
    with (
        open_files.lock_file(tmp_path / "a.h5"),
        pytest.raises(WriteError, match=r"the service 'eiger' \(process \d+ on "),
    ):
        open_files.lock_file(tmp_path / "a.h5")


def test_another_name_of_the_file_is_no_way_round_its_lock(tmp_path):
    (tmp_path / "b.h5").symlink_to(tmp_path / "a.h5")
    with (
        FileLock(tmp_path / "a.h5", "x"),
        pytest.raises(WriteError, match="written by x"),
    ):
        FileLock(tmp_path / "b.h5", "y")


def test_other_files_are_free(tmp_path):
    with FileLock(tmp_path / "a.h5", "x"), FileLock(tmp_path / "b.h5", "x"):
        pass


def test_a_released_lock_leaves_nothing_behind(tmp_path):
    lock = FileLock(tmp_path / "a.h5", "x")
    assert len(list(tmp_path.iterdir())) == 1
    lock.release()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_release_leaves_a_successors_lock_alone(tmp_path):
    first = FileLock(tmp_path / "a.h5", "x")
    next(tmp_path.iterdir()).unlink()
    with FileLock(tmp_path / "a.h5", "y"):
        first.release()
        with pytest.raises(WriteError, match="written by y"):
            FileLock(tmp_path / "a.h5", "z")


def test_a_lock_whose_name_went_to_another_file_is_taken_anew(tmp_path, monkeypatch):
    lock, calls = openfiles._lock, []

    def overtaken(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:  # its last owner removes it between open and lock
            next(tmp_path.iterdir()).unlink()
        return lock(descriptor)

    monkeypatch.setattr(openfiles, "_lock", overtaken)
    with FileLock(tmp_path / "a.h5", "x"):
        assert len(calls) == 2
        assert len(list(tmp_path.iterdir())) == 1


def test_no_directory_no_lock(tmp_path):
    with pytest.raises(WriteError, match=r"cannot lock it by .*: No such file or dir"):
        FileLock(tmp_path / "none" / "a.h5", "x")


def test_a_lock_file_of_another_user_is_enough(tmp_path, monkeypatch):
    (tmp_path / ".a.h5.srx-lock").touch()
    really_open = os.open

    def refuse_writing(path, flags, mode=0o777):
        if flags & os.O_RDWR:
            raise PermissionError(errno.EACCES, "Permission denied")
        return really_open(path, flags, mode)

    monkeypatch.setattr(openfiles.os, "open", refuse_writing)
    with (
        FileLock(tmp_path / "a.h5", "x"),
        pytest.raises(WriteError, match="another proc"),
    ):
        FileLock(tmp_path / "a.h5", "y")


def test_without_locks_on_the_file_system_the_service_goes_on(
    open_files, tmp_path, monkeypatch, caplog
):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with open_files.lock_file(tmp_path / "a.h5") as lock:
        assert not lock.is_held
    assert "no locks on its file system" in caplog.text


def test_neither_writer_nor_reader_of_hdf5_meets_the_lock(tmp_path):
    path = tmp_path / "a.h5"
    read = [sys.executable, "-c", "import sys, h5py; h5py.File(sys.argv[1], swmr=True)"]
    with FileLock(path, "x"), h5py.File(path, "w", libver="latest") as file:
        file["x"] = 1
        file.swmr_mode = True
        subprocess.run([*read, str(path)], check=True)
    with FileLock(path, "x"), h5py.File(path) as file:
        assert file["x"][()] == 1
