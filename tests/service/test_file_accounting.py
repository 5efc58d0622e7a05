"""Whatever befalls acquisitions, the counts in their file and in the API add up."""

import tempfile
from pathlib import Path
from unittest import mock

import h5py
from hypothesis import given, settings
from hypothesis import strategies as st

from srx_service.counts import COUNTS, imbalance
from srx_service.errors import WriteError
from srx_service.filecounts import complete_counts, counts_in, expected_of
from srx_service.orders import Tally
from srx_service.verify import verify
from tests.service.writing import Desk, acquisition, image, images

EXPECTED = 1000
"""More than any of these acquisitions brings."""
WHAT = ["write", "write", "write", "unfit", "lose", "reject", "discard", "duplicate"]
WHAT += ["on its way", "rewind", "flush", "disk full", "disk full at a flush"]
STEPS = st.lists(st.tuples(st.sampled_from(WHAT), st.integers(1, 7)), max_size=12)


class Life:
    """One acquisition, as the line would have it come about."""

    def __init__(self, desk, made, how):
        self.desk, self.made, self.how = desk, made, how
        self.frame = 0
        self.waiting = 0
        """Images that the receive thread has counted, and the writer not yet got."""

    def go(self, what, count):
        getattr(self, "_" + what.replace(" ", "_"))(count)

    def end(self):
        self._write(0)
        return self.desk.end(self.made)

    def _frames(self, count):
        self.frame += count
        return range(self.frame - count, self.frame)

    def _write(self, count):
        self.made.counts.received -= self.waiting
        count, self.waiting = count + self.waiting, 0
        if count:
            self.desk.write(self.made, *images(*self._frames(count), **self.how))

    def _on_its_way(self, count):
        self.made.counts.received += count
        self.waiting += count

    def _unfit(self, count):
        self._write(0)
        bad = [image(k, shape=(2, 2)) for k in self._frames(count)]
        self.desk.write(self.made, *bad)

    def _lose(self, count):
        self._write(0)
        self.desk.lose(self.made, count)

    def _reject(self, count):
        self._write(0)
        self.desk.lose(self.made, count, "rejected")

    def _discard(self, count):
        self.made.counts.received += count
        row = self.made.rows_given
        self.desk.do(Tally(self.made, "discarded", count, row))

    def _duplicate(self, count):
        self.made.counts.received += count
        self.made.counts.duplicate += count

    def _rewind(self, count):
        self._write(0)
        if self.made.origin == "api" and self.made.error is None:
            self.desk.rewind(self.made, max(0, self.made.rows_given - count))

    def _flush(self, _):
        self.desk.flush()

    def _disk_full(self, count):
        """From the next chunk but so many on."""
        file = self.desk.writer._filing.file
        if file is None or file._pixels is None:
            return
        shared = file._pixels._shared
        target, name = (shared, "_put") if shared else (file._pixels, "_write")
        error = OSError(28, "No space left on device")
        write = mock.Mock(wraps=getattr(target, name))
        write.side_effect = [mock.DEFAULT] * count + [error] * 100
        setattr(target, name, write)

    def _disk_full_at_a_flush(self, _):
        file = self.desk.writer._filing.file
        if file is not None and file._pixels is not None:
            file._storage.flush = mock.Mock(side_effect=WriteError("disk full"))


@settings(max_examples=25, deadline=None)
@given(
    lives=st.lists(STEPS, min_size=1, max_size=3),
    is_armed=st.booleans(),
    checksum=st.booleans(),
    frames_per_chunk=st.sampled_from([1, 3]),
    how=st.sampled_from([{}, {"encoding": "bslz4"}, {"parts": 2}]),
)
def test_counts_add_up(lives, is_armed, checksum, frames_per_chunk, how):
    options = {"checksum": checksum, "frames_per_chunk": frames_per_chunk}
    options["fsync"] = "never"  # many files, and the disk may have other work
    with tempfile.TemporaryDirectory() as folder, Desk(Path(folder), **options) as desk:
        for index, steps in enumerate(lives):
            path = desk.folder / f"{index if is_armed else 0}.h5"
            request = {"series": "open", "expected": EXPECTED} if is_armed else {}
            life = Life(desk, desk.begin(acquisition(path, **request)), how)
            for what, count in steps:
                life.go(what, count)
            check(life.end(), path)


def check(made, path):
    """The file, if it was kept, is whole, and tells what the API tells."""
    if not path.exists():
        assert made.error is not None
        return
    report = verify(path)
    assert report.found.problems == []
    with h5py.File(path) as file:
        every = counts_in(file)
    assert [imbalance(each, expected_of(each)) for each in every] == [None] * len(every)
    if made.error is None:
        expected = -1 if made.expected is None else made.expected
        assert every[-1] == made.counts.as_dict() | {"expected": expected}


def test_a_file_of_before_goes_on_without_what_is_expected(tmp_path):
    with Desk(tmp_path) as desk:
        desk.series(*images(0, 1))
        with h5py.File(desk.file, "r+") as file:
            group = file["/entry/acquisition"]
            rows = group["counts"][:, : len(COUNTS)]
            del group["counts"]
            counts = group.create_dataset(
                "counts", data=rows, maxshape=(None, len(COUNTS))
            )
            counts.attrs["names"] = list(COUNTS)
        made = desk.series(*images(0, 1, 2))
        assert made.error is None
        with h5py.File(desk.file) as file:
            assert counts_in(file)[-1] == made.counts.as_dict()
        assert verify(desk.file).verdict == "whole"


def test_what_failed_counts_what_is_on_its_way_as_lost(tmp_path):
    with Desk(tmp_path) as desk:
        life = Life(desk, desk.begin(acquisition(desk.file)), {})
        life.go("write", 3)
        life.go("on its way", 4)
        life.go("disk full", 1)
        desk.write(life.made, *images(3, 4))
        with h5py.File(desk.file) as file:
            [told] = counts_in(file)
        assert (told["received"], told["written"], told["unsaved"]) == (9, 4, 5)
        life.end()


def test_a_file_that_was_cut_counts_the_rest_as_lost(tmp_path):
    with Desk(tmp_path) as desk:
        for first in (0, 3):
            desk.series(*images(first, first + 1, first + 2))
        with h5py.File(desk.file, "r+") as file:
            complete_counts(file, 2)
            every = counts_in(file)
        assert [each["written"] for each in every] == [2, 0]
        assert [each["unsaved"] for each in every] == [1, 3]


def test_a_file_without_counts_has_none_to_complete(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        complete_counts(file, 2)
        assert [*file] == []
