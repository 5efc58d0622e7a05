import threading
import time
from concurrent.futures import Future

import h5py
import numpy as np
import pytest

from srx_service import writer
from srx_service.errors import WriteError
from srx_service.h5file import AcquisitionFile
from srx_service.messages import Start
from srx_service.orders import Close, Create, Header, Holes, Rewind, Rows, Tally
from tests.service.writing import (
    DATASET,
    Desk,
    acquisition,
    image,
    images,
    pixels,
)


@pytest.fixture
def running(desk):
    """A writer in its thread."""
    thread = threading.Thread(target=desk.writer.run)
    thread.start()
    yield desk
    desk.writer.stop()
    thread.join(20)


def series(made, *shots, done=None):
    made.counts.received += len(shots)
    rows = Rows(made, 0, list(shots), [5.0] * len(shots))
    return [
        Create(made, True),
        Header(made, Start(), 0),
        rows,
        Close(made, "done", done),
    ]


def test_orders_are_carried_out_in_their_order(running):
    made, done = acquisition(running.file), Future()
    running.writer.put(series(made, *images(0, 1, 2), done=done), 300)
    done.result(20)
    assert (made.state, made.counts.written) == ("done", 3)
    with h5py.File(running.file) as file:
        assert np.array_equal(file[DATASET], [pixels(frame) for frame in range(3)])


def test_bytes_are_queued_until_they_are_written(desk):
    made = acquisition(desk.file)
    desk.writer.put(series(made, image(0)), 96)
    assert desk.writer.queued_bytes == 96
    desk.writer.stop()
    desk.writer.run()
    assert desk.writer.queued_bytes == 0


def test_all_that_is_queued_is_written_before_it_stops(desk):
    made = acquisition(desk.file)
    desk.writer.put(series(made, *images(0, 1))[:-1], 192)
    desk.writer.stop()
    desk.writer.run()
    assert made.counts.written == 2
    with h5py.File(desk.file) as file:
        assert len(file[DATASET]) == 2


@pytest.fixture
def written(monkeypatch):
    """How many images each call that writes some was given."""
    counts, write = [], AcquisitionFile.rows

    def rows(file, shots, arrivals_s):
        counts.append(len(shots))
        return write(file, shots, arrivals_s)

    monkeypatch.setattr(AcquisitionFile, "rows", rows)
    return counts


def put(desk, made, *shots, size_bytes=96):
    made.counts.received += len(shots)
    row = made.rows_given
    made.rows_given += len(shots)
    rows = Rows(made, row, list(shots), [float(row)] * len(shots))
    desk.writer.put([rows], size_bytes)


def finish(desk):
    desk.writer.stop()
    desk.writer.run()
    assert desk.writer.queued_bytes == 0


def test_rows_that_wait_are_written_together_each_with_its_arrival(desk, written):
    made = desk.begin()
    for frame in range(3):
        put(desk, made, image(2 * frame), image(2 * frame + 1))
    finish(desk)
    assert (written, made.counts.written) == ([6], 6)
    with h5py.File(desk.file) as file:
        assert np.array_equal(file[DATASET], [pixels(frame) for frame in range(6)])
        arrivals = file[DATASET].parent["timestamp"][:]
    assert arrivals.tolist() == [0.0, 0.0, 2.0, 2.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("bound", "value"), [("TOGETHER_BYTES", 200), ("TOGETHER_IMAGES", 3)]
)
def test_rows_are_written_together_up_to_a_bound(
    desk, written, monkeypatch, bound, value
):
    monkeypatch.setattr(writer, bound, value)
    made = desk.begin()
    for frame in range(6):
        put(desk, made, image(frame))
    finish(desk)
    assert (written, made.counts.written) == ([3, 3], 6)


def test_what_stands_between_rows_keeps_its_place(desk, written):
    made = desk.begin()
    put(desk, made, image(0))
    desk.writer.put([Holes(made, 1, 1, "missing")], 0)
    made.rows_given += 1
    put(desk, made, image(2))
    other = acquisition(desk.folder / "b.h5")
    desk.writer.put([Close(made, "done"), Create(other, True)], 0)
    put(desk, other, image(0))
    finish(desk)
    assert written == [1, 1, 1]
    assert (made.counts.written, made.counts.missing) == (2, 1)
    assert other.counts.written == 1


def test_rows_are_flushed_when_the_queue_runs_empty(running):
    made, asked = acquisition(running.file), time.monotonic()
    running.writer.put(series(made, *images(0, 1))[:-1], 192)
    while made.rows < 2:
        assert time.monotonic() < asked + 20
        time.sleep(0.001)
    assert made.counts.written == 2


def test_who_armed_learns_that_the_file_is_there_or_why_not(desk):
    there, taken = Future(), Future()
    made = acquisition(desk.file, series=1)
    desk.do(Create(made, False, there))
    assert there.result(0) is None
    desk.do(Close(made, "done"))
    desk.do(Create(acquisition(desk.file, series=1), False, taken))
    with pytest.raises(WriteError, match="never overwritten"):
        taken.result(0)


def test_who_no_longer_waits_does_no_harm(desk):
    gone = Future()
    gone.cancel()
    made = acquisition(desk.file, series=1)
    desk.do(Create(made, False, gone), Close(made, "done", gone))
    assert made.state == "done"


def test_frames_that_take_no_row_are_counted(desk):
    made = desk.begin()
    desk.do(Tally(made, "discarded", 2, 0), Holes(made, None, 3, "missing"))
    made.counts.received = 2
    desk.write(made, image(5))
    desk.end(made)
    assert (made.counts.discarded, made.counts.missing, made.rows) == (2, 3, 1)


def test_a_rewind_is_answered_when_it_is_durable(desk):
    made, done = desk.begin(acquisition(desk.file, series="open")), Future()
    desk.write(made, *images(0, 1, 2))
    desk.do(Rewind(made, 1, done=done))
    assert done.result(0) is None
    assert (made.rows, made.counts.rewound) == (1, 2)
    with h5py.File(desk.file, swmr=True) as file:
        assert len(file[DATASET]) == 1


def test_a_rewind_of_a_failed_acquisition_is_answered_with_the_cause(desk):
    made, done = desk.begin(acquisition(desk.file, dtype="uint8")), Future()
    desk.write(made, *images(0, 1))
    desk.do(Rewind(made, 0, done=done))
    with pytest.raises(WriteError, match="armed for uint8"):
        done.result(0)
    assert desk.end(made).counts.rejected == 2


@pytest.mark.parametrize("state", ["done", "aborted"])
def test_the_state_is_settled_when_the_file_is_closed(desk, state):
    made = desk.begin()
    desk.write(made, image(0))
    assert desk.end(made, state).state == state
    h5py.File(desk.file).close()


def test_a_cause_makes_it_failed_and_what_follows_unsaved(desk, monkeypatch):
    made = desk.begin()
    desk.write(made, *images(0, 1))
    monkeypatch.setattr(desk.writer._filing.file._pixels, "write", break_off)
    desk.write(made, *images(2, 3))
    desk.write(made, *images(4, 5))
    desk.lose(made, 2)
    desk.end(made)
    assert made.state == "failed"
    assert (made.counts.written, made.counts.unsaved, made.counts.missing) == (2, 4, 2)
    with h5py.File(desk.file) as file:
        assert len(file[DATASET]) == 2


def break_off(*_):
    raise OSError(28, "full")


@pytest.mark.parametrize("step", ["header", "holes", "rewind", "close"])
def test_an_error_in_any_order_fails_the_acquisition_alone(desk, step, monkeypatch):
    made = desk.begin(acquisition(desk.file, series="open"))
    desk.write(made, *images(0, 1))
    monkeypatch.setattr(desk.writer._filing.file, step, refuse)
    orders = [
        Header(made, Start(), 2),
        Holes(made, 2, 1, "missing"),
        Rewind(made, 1),
        Close(made, "done"),
    ]
    desk.do(*orders)
    assert (made.state, made.error) == ("failed", "cannot do it")
    monkeypatch.undo()
    assert made.counts.imbalance(None) is None


def refuse(*_):
    raise WriteError("cannot do it")


def test_one_failure_is_told_once_and_the_next_series_is_clean(desk, tmp_path, caplog):
    (tmp_path / "b").touch()
    desk.series(*images(0, 1), file=tmp_path / "b/a.h5")
    assert [r.levelname for r in caplog.records].count("ERROR") == 1
    assert desk.series(image(0)).error is None


def test_books_that_do_not_add_up_are_told(desk, caplog):
    made = desk.begin()
    made.counts.received = 5
    desk.do(Close(made, "done"))
    assert "does not add up: received 5, accounted for 0" in caplog.text


def test_a_dying_thread_closes_the_file(desk):
    made = acquisition(desk.file)
    desk.writer.put(series(made, *images(0, 1))[:-1], 192)
    desk.writer.put([object()], 0)
    desk.writer.put([Rows(made, 2, None, [5.0])], 0)
    with pytest.raises(TypeError):
        desk.writer.run()
    with h5py.File(desk.file) as file:
        assert len(file[DATASET]) == 2


@pytest.mark.parametrize(
    ("frames_per_chunk", "behind", "are_taken"),
    [(1, False, True), (4, False, False), (4, True, True)],
)
def test_turns_are_taken_frame_by_frame_or_when_it_is_behind(
    tmp_path, monkeypatch, frames_per_chunk, behind, are_taken
):
    monkeypatch.setattr(writer, "BEHIND_BYTES", 1 if behind else 1000)
    monkeypatch.setattr(writer, "TOGETHER_IMAGES", 1)
    with Desk(tmp_path, frames_per_chunk=frames_per_chunk) as desk:
        made = desk.begin()
        put(desk, made, image(0))
        put(desk, made, image(1))
        finish(desk)
        assert desk.writer._turns.are_taken == are_taken


def test_it_tells_how_long_writing_and_flushing_took(desk):
    made = desk.begin()
    for frame in range(3):
        desk.write(made, image(frame))
    desk.end(made)
    timings = desk.writer.timings()
    assert timings["write_seconds"]["+Inf"] == 3
    assert timings["flush_seconds"]["+Inf"] == 1
