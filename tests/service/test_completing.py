import h5py
import numpy as np
import pytest

from srx_service.filecounts import counts_in
from srx_service.repair import repair
from srx_service.superblock import SIZE, Superblock, write_head
from tests.service.writing import GROUP, Desk, image, images


def lose_the_end(path, **lengths):
    """As a kill in a flush: rows are there, what is told of them is not."""
    with h5py.File(path, "r+", libver=("v110", "v110"), locking=False) as file:
        for name, length in lengths.items():
            file[f"{GROUP}/{name}"].resize(length, axis=0)


def leave_open(path):
    """Set the flags that a writer sets, who did not live to take them off."""
    block = Superblock.from_bytes(path.read_bytes()[:SIZE])
    fields = {"base": block.base, "extension": block.extension, "end": block.end}
    marked = Superblock(**fields, root=block.root, flags=5)
    write_head(path, marked.as_bytes())


@pytest.fixture
def lossy(desk):
    """A file with two holes that never came and one image that did not fit."""
    made = desk.begin()
    desk.write(made, *images(0, 1))
    desk.lose(made, 2)
    desk.write(made, image(4), image(5, shape=(9, 9)), image(6))
    desk.end(made)
    return desk.file


def told(path):
    with h5py.File(path) as file:
        group = file[GROUP]
        return [*group["missing_frames"]], [*group["missing_reason"]]


def test_a_hole_that_was_not_told_of_is_listed_with_its_reason(lossy):
    assert told(lossy) == ([2, 3, 5], [1, 1, 2])
    lose_the_end(lossy, missing_frames=1, missing_reason=1)
    leave_open(lossy)
    report = repair(lossy)
    assert (report.rows, report.holes) == (7, 2)
    assert "empty rows added to missing_frames: 2" in str(report)
    assert told(lossy) == ([2, 3, 5], [1, 1, 2])


def test_what_was_told_of_is_not_listed_twice(lossy):
    leave_open(lossy)
    assert repair(lossy).holes == 0
    assert told(lossy) == ([2, 3, 5], [1, 1, 2])


def test_a_whole_file_is_not_looked_through(lossy):
    lose_the_end(lossy, missing_frames=1, missing_reason=1)
    before = lossy.read_bytes()
    assert not repair(lossy).was_open
    assert lossy.read_bytes() == before


def test_counts_in_the_file_add_up_with_the_holes(lossy):
    with h5py.File(lossy, "r+", libver=("v110", "v110")) as file:
        counts = file["/entry/acquisition/counts"]
        names = [*counts.attrs["names"]]
        row = dict.fromkeys(names, 0) | {"received": 2, "written": 2, "expected": 9}
        counts[0] = [row[name] for name in names]
    lose_the_end(lossy, missing_frames=0, missing_reason=0)
    leave_open(lossy)
    repair(lossy)
    with h5py.File(lossy) as file:
        (row,) = counts_in(file)
    there = {name: count for name, count in row.items() if count}
    places = {"written": 4, "rejected": 1, "missing": 2, "short": 2}
    assert there == places | {"received": 5, "expected": 9}


def test_in_a_shared_chunk_the_sequence_numbers_tell(tmp_path):
    with Desk(tmp_path, frames_per_chunk=4) as desk:
        made = desk.begin()
        desk.write(made, *images(0, 1))
        desk.lose(made, 1)
        desk.write(made, image(3))
        desk.end(made)
        lose_the_end(desk.file, missing_frames=0, missing_reason=0)
        leave_open(desk.file)
        repair(desk.file)
        assert told(desk.file) == ([2], [1])


def test_a_file_without_these_lists_is_left_without(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as file:
        for name, tail in (("data", (2, 2)), ("sequence_number", ())):
            shape, most = (3, *tail), (None, *tail)
            file.create_dataset(f"{GROUP}/{name}", shape, "u4", maxshape=most)
    leave_open(path)
    assert repair(path).holes == 0
    with h5py.File(path) as file:
        assert np.count_nonzero(file[f"{GROUP}/sequence_number"]) == 0
