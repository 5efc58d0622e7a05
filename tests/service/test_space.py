"""The guard of the disk's room, with a disk and a clock that do as the test says."""

import errno
import threading

import pytest

from srx_service.errors import WriteError
from srx_service.space import SILENT_S, Space
from tests.service.disks import MIB, Disk
from tests.service.writing import Desk, acquisition, image, images

KEEP = 10 * MIB
BIG = (512, 512)
"""Half a MiB of uint16."""


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def clock():
    return [100.0]


@pytest.fixture
def space(disk, clock, tmp_path):
    return Space(KEEP, tmp_path, clock=lambda: clock[0])


@pytest.fixture
def desk(tmp_path, space):
    with Desk(tmp_path, space=space) as desk:
        yield desk


def look(space):
    """What the thread does in a round."""
    while space._asked:
        space._asked.popleft()()
    space._look()


# -- the file --------------------------------------------------------------------------


def test_where_there_is_room_all_is_written(desk):
    made = desk.series(*images(0, 1, 2))
    assert (made.state, made.rows, made.error) == ("done", 3, None)


@pytest.mark.parametrize("free", [KEEP, KEEP - 1, 0])
def test_no_file_is_made_on_a_full_disk(desk, disk, free):
    disk.free_bytes = free
    made = desk.series(image(0))
    assert (made.state, made.counts.unsaved) == ("failed", 1)
    assert "10.0 MiB stay free (keep_free): free space" in made.error
    assert not desk.file.exists()
    disk.free_bytes = 2 * KEEP
    assert desk.series(image(0)).state == "done"


def test_writing_stops_before_the_disk_is_full_without_asking_it(desk, disk):
    disk.free_bytes = KEEP + 2 * MIB
    made = desk.begin()
    asked = len(disk.asked)
    for frame in range(10):
        desk.write(made, image(frame, shape=BIG))
    assert len(disk.asked) == asked
    desk.end(made)
    assert made.state == "failed"
    assert "keep_free" in made.error
    assert (made.rows, made.counts.unsaved) == (4, 6)  # the fourth fills it up


def test_a_file_that_was_stopped_is_whole(desk, disk):
    disk.free_bytes = KEEP + MIB
    made = desk.begin()
    desk.write(made, *images(*range(4), shape=BIG))
    desk.end(made)
    assert (made.state, made.rows) == ("failed", 4)
    disk.free_bytes = 2 * KEEP
    again = desk.series(image(4, shape=BIG))
    assert (again.state, again.rows) == ("done", 1)


def test_what_others_write_is_seen_at_the_next_look(desk, disk, space):
    made = desk.begin()
    desk.write(made, image(0))
    disk.free_bytes = KEEP
    look(space)
    desk.write(made, image(1))
    desk.write(made, image(2))
    assert desk.end(made).state == "failed"
    assert (made.rows, made.counts.unsaved) == (2, 1)


def test_room_that_came_back_is_used(desk, disk, space):
    disk.free_bytes = KEEP + MIB
    made = desk.begin()
    desk.write(made, image(0, shape=BIG))
    disk.free_bytes = KEEP * 10
    look(space)
    desk.write(made, *images(*range(1, 9), shape=BIG))
    assert desk.end(made).state == "done"


def test_without_a_limit_the_disk_may_get_full(disk, tmp_path):
    disk.free_bytes = 0
    with Desk(tmp_path, space=Space(None, tmp_path)) as desk:
        assert desk.series(image(0)).state == "done"


# -- a name that leads nowhere ---------------------------------------------------------


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_that_vanished_is_noticed_while_it_is_written(desk, space, how):
    made = desk.begin()
    desk.write(made, image(0))
    desk.flush()
    desk.file.unlink()
    if how == "replaced":
        desk.file.touch()
    look(space)
    desk.write(made, image(1))
    assert made.error is not None
    assert "is not there any more" in made.error
    desk.end(made)
    desk.file.unlink(missing_ok=True)
    assert (made.state, desk.series(image(0)).state) == ("failed", "done")


def test_a_file_that_vanished_is_noticed_when_it_is_closed(tmp_path, space):
    with Desk(tmp_path, space=space, fsync="never") as desk:
        made = desk.begin()
        desk.write(made, image(0))
        desk.file.unlink()
        assert desk.end(made).state == "failed"
    assert "is not there any more" in made.error


def test_the_first_cause_is_the_one_told(desk, disk):
    made = desk.begin()
    desk.write(made, image(0))
    disk.free_bytes = KEEP
    look(desk.writer._filing._options.space)
    desk.file.unlink()
    desk.write(made, image(1))
    desk.end(made)
    assert "keep_free" in made.error
    assert all("keep_free" in error for error in desk.errors[:1])


def test_a_folder_that_may_not_be_looked_into_holds_its_file(desk, space, monkeypatch):
    made = desk.begin()
    desk.write(made, image(0))
    growing = space._growing

    class Hidden:
        def stat(self):
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(growing, "path", Hidden())
    growing.look_for()
    assert not growing.is_gone
    monkeypatch.undo()


# -- what is told ----------------------------------------------------------------------


def test_the_room_is_told_before_the_first_file(space, disk):
    assert space.shown()["disk_free_bytes"] is None
    look(space)
    shown = space.shown()
    assert shown["disk_free_bytes"] == disk.free_bytes
    assert (shown["disk_is_short"], shown["disk_warning"]) == (False, None)


def test_what_is_free_sinks_with_each_batch(desk, disk, space):
    made = desk.begin()
    desk.write(made, *images(0, 1, shape=BIG))
    assert disk.free_bytes - space.free_bytes > MIB
    desk.end(made)


def test_frames_that_will_not_fit_are_told_in_time(desk, disk, space, tmp_path):
    disk.free_bytes = KEEP + 4 * MIB
    made = desk.begin(acquisition(tmp_path / "b.h5", expected=100))
    desk.write(made, image(0, shape=BIG))
    made.places_given = 1
    look(space)
    assert "99 more frames are expected" in space.warning
    assert space.shown()["disk_is_short"]
    desk.end(made)


def test_a_disk_that_cannot_be_looked_at_is_told(space, disk, tmp_path):
    disk.error = PermissionError(errno.EACCES, "Permission denied")
    look(space)
    assert space.warning == f"{tmp_path} cannot be looked at: Permission denied"


def test_without_a_root_nothing_is_looked_at_before_a_file(disk):
    space = Space(KEEP)
    look(space)
    assert (disk.asked, space.shown()["disk_free_bytes"]) == ([], None)


# -- the thread ------------------------------------------------------------------------


@pytest.fixture
def thread(space):
    thread = threading.Thread(target=space.run, daemon=True)
    thread.start()
    yield thread
    space.stop()
    thread.join(30.0)
    assert not thread.is_alive()


def test_the_thread_does_what_it_is_asked(space, thread):
    assert space.ask(lambda: 7).result(30.0) == 7
    with pytest.raises(ZeroDivisionError):
        space.ask(lambda: 1 // 0).result(30.0)


def test_a_disk_that_hangs_is_told_and_holds_nobody(space, clock, thread, tmp_path):
    begun, gate = threading.Event(), threading.Event()

    def hang():
        begun.set()
        assert gate.wait(30.0)

    space.ask(hang)
    assert begun.wait(30.0)
    assert space.warning is None
    clock[0] += SILENT_S
    assert space.warning == f"{tmp_path} does not answer, for 3 s now"
    given_up = space.ask(lambda: 7)
    assert given_up.cancel()
    gate.set()
    assert space.ask(lambda: 8).result(30.0) == 8
    assert given_up.cancelled()


def test_a_refusal_is_the_disks(space, disk, tmp_path):
    disk.free_bytes = 0
    with pytest.raises(WriteError) as raised:
        space.must_have_room(tmp_path / "a.h5")
    assert isinstance(raised.value.__cause__, OSError)
