import errno
import os
import threading
import time
from pathlib import Path

import pytest

from srx_service.writebehind import PAGE_BYTES, WriteBehind
from tests.service.writing import Desk, image

STEP = 4 * PAGE_BYTES
PATIENCE_S = 30.0


class Disk:
    """Stands for the kernel: keeps what it is asked to write."""

    def __init__(self):
        self.asked: list[tuple[str, int, int]] = []
        self.error: int | None = None

    def flush(self, descriptor, offset, size_bytes):
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        self.asked.append((name, offset, size_bytes))
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def behind(disk):
    return WriteBehind(STEP, disk.flush)


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / name for name in ("a", "b")]
    for path in paths:
        path.touch()
    return paths


def test_every_step_of_a_file_goes_to_the_disk_once(behind, disk, files):
    for size in (STEP, 2 * STEP):
        behind.grown(files[0], size)
        behind._catch_up()
    assert disk.asked == [("a", 0, STEP), ("a", STEP, STEP)]


def test_less_than_a_step_is_left_to_the_kernel(behind, disk, files):
    behind.grown(files[0], STEP - 1)
    assert not behind._has_grown.is_set()


def test_the_last_page_waits_until_it_is_full(behind, disk, files):
    behind.grown(files[0], STEP + 1)
    behind._catch_up()
    behind.grown(files[0], 2 * STEP + 2)
    behind._catch_up()
    assert disk.asked == [("a", 0, STEP), ("a", STEP, STEP)]


def test_what_the_disk_is_behind_with_is_caught_up_in_steps(behind, disk, files):
    for steps in (1, 2, 3):
        behind.grown(files[0], steps * STEP + PAGE_BYTES)
    behind._catch_up()
    assert [size for _, _, size in disk.asked] == [STEP, STEP, STEP, PAGE_BYTES]


def test_the_next_file_is_followed_from_its_begin(behind, disk, files):
    for path in files:
        behind.grown(path, STEP)
        behind._catch_up()
    assert disk.asked == [("a", 0, STEP), ("b", 0, STEP)]


def test_a_file_that_is_gone_is_no_error(behind, disk, tmp_path):
    behind.grown(tmp_path / "gone", STEP)
    behind._catch_up()
    assert disk.asked == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EINVAL, errno.ESPIPE])
def test_where_the_kernel_cannot_it_is_off_and_told_once(
    behind, disk, files, number, caplog
):
    caplog.set_level("INFO")
    disk.error = number
    for steps in (1, 2):
        behind.grown(files[0], steps * STEP)
        if behind._has_grown.is_set():
            behind._has_grown.clear()
            behind._catch_up()
    assert len(disk.asked) == len(caplog.records) == 1
    assert os.strerror(number) in caplog.text


def test_an_error_of_the_disk_is_left_to_who_waits_for_it(behind, disk, files, caplog):
    disk.error = errno.EIO
    for steps in (1, 2):
        behind.grown(files[0], steps * STEP)
        behind._catch_up()
    assert (len(disk.asked), caplog.text) == (2, "")


@pytest.mark.parametrize("off", [{"step_bytes": None}, {"flush": None}])
def test_off_it_does_nothing(disk, files, off):
    behind = WriteBehind(**{"step_bytes": STEP, "flush": disk.flush} | off)
    behind.grown(files[0], 10 * STEP)
    behind.stop()
    behind.run()
    assert disk.asked == []


def test_its_thread_follows_until_it_is_stopped(behind, disk, files):
    thread = threading.Thread(target=behind.run)
    thread.start()
    behind.grown(files[0], STEP)
    deadline_s = time.monotonic() + PATIENCE_S
    while not disk.asked and time.monotonic() < deadline_s:
        time.sleep(0.001)
    behind.stop()
    thread.join(PATIENCE_S)
    assert (disk.asked, thread.is_alive()) == ([("a", 0, STEP)], False)


def test_a_slow_disk_holds_up_neither_the_writer_nor_the_end(files):
    entered, released = threading.Event(), threading.Event()

    def flush(descriptor, offset, size_bytes):
        entered.set()
        assert released.wait(PATIENCE_S)

    behind = WriteBehind(STEP, flush)
    thread = threading.Thread(target=behind.run)
    thread.start()
    behind.grown(files[0], 100 * STEP)
    assert entered.wait(PATIENCE_S)
    behind.grown(files[0], 200 * STEP)
    behind.stop()
    released.set()  # one step is under way, 99 are left out
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_the_kernel_takes_it(tmp_path, caplog):
    caplog.set_level("INFO")
    path = tmp_path / "a"
    path.write_bytes(bytes(2 * STEP))
    behind = WriteBehind(STEP)
    behind.grown(path, 2 * STEP)
    behind._catch_up()
    assert (behind._is_off, caplog.text) == (False, "")


def test_the_kernel_refuses_what_is_no_file(caplog):
    caplog.set_level("INFO")
    behind = WriteBehind(STEP)
    behind.grown(Path(os.devnull), STEP)
    behind._catch_up()
    assert "write_behind is off: /dev/null: Illegal seek" in caplog.text


def test_the_writer_tells_of_what_it_wrote(tmp_path, disk):
    behind = WriteBehind(STEP, disk.flush)
    with Desk(tmp_path, write_behind=behind) as desk:
        made = desk.begin()
        desk.write(made, *(image(k, shape=(64, 64)) for k in range(4)))
        behind._catch_up()
        desk.end(made)
    assert made.state == "done"
    assert disk.asked[0] == ("a.h5", 0, STEP)
