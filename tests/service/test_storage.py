import contextlib
import fcntl
import os
import stat
import threading

import h5py
import pytest

from srx_service.causes import Refused
from srx_service.errors import WriteError
from srx_service.openfiles import OpenFiles
from srx_service.storage import FileOptions, Storage


@pytest.fixture
def open_files(tmp_path):
    listed = OpenFiles(tmp_path / "state", "test")
    yield listed
    listed.close()


@pytest.fixture
def store(tmp_path, open_files):
    """Open storages; those still open at the end are given up."""
    opened = []

    def open_one(name="a.h5", *, append=False, **options):
        made = Storage(
            tmp_path / name, "1", FileOptions(**options), open_files, append=append
        )
        opened.append(made)
        return made

    yield open_one
    for made in opened:
        made.give_up()


def test_a_file_is_made_with_its_folders(store, tmp_path):
    made = store("b/c/a.h5")
    assert made.is_new
    made.close()
    assert h5py.is_hdf5(tmp_path / "b/c/a.h5")


@pytest.mark.parametrize("append", [False, True])
def test_readers_with_hdf5_1_10_know_the_format(store, append):
    if append:
        store().close()
    made = store(append=append)
    assert made.file.libver == ("v110", "v110")


def test_an_existing_file_is_never_made_again(store, tmp_path):
    (tmp_path / "a.h5").write_text("precious")
    with pytest.raises(WriteError, match="exists and is never overwritten"):
        store()
    assert (tmp_path / "a.h5").read_text() == "precious"


def test_a_dangling_link_is_in_the_way_too(store, tmp_path):
    (tmp_path / "a.h5").symlink_to(tmp_path / "nowhere.h5")
    with pytest.raises(WriteError, match="exists"):
        store()
    assert not (tmp_path / "nowhere.h5").exists()


def test_an_empty_file_of_another_program_may_be_appended_to(store, tmp_path):
    (tmp_path / "a.h5").touch()
    made = store(append=True)
    assert made.is_new
    made.close()
    assert h5py.is_hdf5(tmp_path / "a.h5")


@pytest.mark.parametrize("content", [b"not HDF5", b"\x89HDF\r\n\x1a\n cut short"])
def test_a_file_that_is_no_hdf5_is_refused_and_left_as_it_is(store, tmp_path, content):
    (tmp_path / "a.h5").write_bytes(content)
    with pytest.raises(Refused, match="cannot append to"):
        store(append=True)
    assert (tmp_path / "a.h5").read_bytes() == content


def test_a_file_left_open_by_a_crash_is_refused_with_what_to_do(store, tmp_path):
    made = store()
    made.begin_swmr()
    made.give_up()
    with pytest.raises(Refused, match="srx repair"):
        store(append=True)


def test_a_folder_in_the_place_of_the_file_is_an_error(store, tmp_path):
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(WriteError):
        store(append=True)


def test_a_file_in_the_place_of_a_folder_is_an_error(store, tmp_path):
    (tmp_path / "b").write_text("a file")
    with pytest.raises(WriteError, match="is a file where a folder should be"):
        store("b/a.h5")


def test_a_reader_that_waits_for_the_file_does_not_keep_it_from_being_made(
    store, tmp_path, monkeypatch
):
    put_on_list, reader = Storage._put_on_list, contextlib.ExitStack()

    def opened_meanwhile(made, owner):
        there = reader.enter_context((tmp_path / "a.h5").open("rb"))
        fcntl.flock(there, fcntl.LOCK_SH)  # as HDF5 does to look into it
        put_on_list(made, owner)
        leaving.start()

    leaving = threading.Timer(0.1, reader.close)
    monkeypatch.setattr(Storage, "_put_on_list", opened_meanwhile)
    store().close()
    leaving.join()
    assert h5py.is_hdf5(tmp_path / "a.h5")


def test_two_cannot_write_one_file(store):
    made = store()
    with pytest.raises(WriteError, match="is being written by"):
        store(append=True)
    made.close()
    store(append=True).close()


def test_modes_are_as_configured(store, tmp_path):
    store("b/c/a.h5", file_mode=0o640, dir_mode=0o2750).close()
    modes = [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("b", "b/c")]
    assert modes == [0o2750, 0o2750]
    assert stat.S_IMODE((tmp_path / "b/c/a.h5").stat().st_mode) == 0o640


def test_modes_of_what_is_there_are_left(store, tmp_path):
    (tmp_path / "b").mkdir(mode=0o711)
    store("b/a.h5", file_mode=0o640, dir_mode=0o2750).close()
    (tmp_path / "b/a.h5").chmod(0o600)
    store("b/a.h5", append=True, file_mode=0o640).close()
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o711
    assert stat.S_IMODE((tmp_path / "b/a.h5").stat().st_mode) == 0o600


def test_without_modes_the_umask_holds(store, tmp_path):
    before = os.umask(0o027)
    try:
        store().close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.h5").stat().st_mode) == 0o640


def test_an_open_file_is_listed_and_a_closed_one_is_not(store, open_files, tmp_path):
    made = store()
    assert str(tmp_path / "a.h5") in open_files._files
    made.close()
    assert open_files._files == {}


def test_a_file_given_up_stays_listed_and_its_lock_is_free(store, open_files, tmp_path):
    made = store()
    made.give_up()
    assert str(tmp_path / "a.h5") in open_files._files
    open_files.lock_file(tmp_path / "a.h5").release()


def test_nothing_of_a_file_given_up_is_written_any_more(store, tmp_path):
    made = store()
    column = made.file.create_dataset("x", (1,), "i8", maxshape=(None,), chunks=(4,))
    made.begin_swmr()
    kept = (tmp_path / "a.h5").read_bytes()
    column[0] = 2
    made.give_up()
    assert (tmp_path / "a.h5").read_bytes() == kept
    assert not made.file


def test_one_that_holds_nothing_yet_is_removed(store, open_files, tmp_path):
    store().discard()
    assert not (tmp_path / "a.h5").exists()
    assert open_files._files == {}
    store().close()


def test_one_that_existed_is_not_removed(store, tmp_path):
    store().close()
    store(append=True).discard()
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == []


def test_a_list_that_cannot_be_written_does_not_harm_the_file(
    store, open_files, tmp_path, monkeypatch, caplog
):
    made = store()
    monkeypatch.setattr(open_files, "_write", lambda: raise_(OSError(28, "full")))
    made.close()
    assert h5py.is_hdf5(tmp_path / "a.h5")
    assert "list of open files" in caplog.text


def test_a_full_state_dir_does_not_keep_frames_from_a_disk_with_room(
    store, open_files, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(open_files, "_write", lambda: raise_(OSError(28, "full")))
    store().close()
    assert h5py.is_hdf5(tmp_path / "a.h5")
    assert "only `srx repair` helps" in caplog.text


def test_an_id_that_hdf5_freed_is_not_used_any_more(
    store, open_files, tmp_path, monkeypatch
):
    monkeypatch.setattr("srx_service.storage._FREED", freed := [])
    made = store()
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, made._descriptor)  # as HDF5 closes it when its last write fails
    os.close(nowhere)
    assert made._is_freed
    made.give_up()
    assert made.file
    assert freed
    with open_files.lock_file(tmp_path / "a.h5"):
        pass
    made._found = os.fstat(made._descriptor)  # here it was not freed: close it


def raise_(error):
    raise error


def test_readers_are_let_in_by_swmr(store, tmp_path):
    made = store()
    made.file.create_dataset("x", (0,), "i8", maxshape=(None,), chunks=(4,))
    assert made.begin_swmr()
    with h5py.File(tmp_path / "a.h5", swmr=True) as reader:
        assert reader["x"].shape == (0,)


def test_a_file_of_an_older_hdf5_has_no_swmr(store, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="earliest") as file:
        file["x"] = 1
    assert not store(append=True).begin_swmr()


@pytest.mark.parametrize(
    ("fsync", "synced"),
    [("never", []), ("close", ["close"]), ("flush", ["flush", "flush", "close"])],
)
def test_the_disk_is_synced_as_configured(store, monkeypatch, fsync, synced):
    made, seen = store(fsync=fsync), []
    step = "flush"
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(step))
    made.flush()
    made.flush()
    monkeypatch.setattr(made, "_take_off_list", lambda: None)
    step = "close"
    made.close()
    assert seen == synced


def test_what_hdf5_keeps_open_is_not_opened_again(store, tmp_path, monkeypatch):
    made = store()
    monkeypatch.setattr("srx_service.storage._KEPT_OPEN", kept := {})
    monkeypatch.setattr(type(made.file), "close", lambda _: raise_(RuntimeError("x")))
    made.give_up()
    assert list(kept) == [tmp_path / "a.h5"]
    with pytest.raises(WriteError, match="restart the service"):
        store(append=True)
    monkeypatch.undo()
