"""What `srx verify` finds, and what it leaves in peace."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest

from srx_service import cli
from srx_service.inspection.objects import _misplaced
from srx_service.messages import Start
from srx_service.verify import main, verify
from tests.service.writing import DATASET, GROUP, Desk, acquisition, image, images

SUMS = f"{DATASET}_checksum"
HOLE, UNFIT, ROWS = 3, 6, 8
"""Rows of the file below that hold no frame, and how many there are."""


def write(folder, **options):
    """A file with frames, a hole, an image that did not fit, and two headers."""
    encoding = options.pop("encoding", "bslz4")
    with Desk(folder, **options) as desk:
        made = acquisition(desk.file, series=2, expected=9)
        desk.begin(made, Start(metadata={"mask": [[1, 2], [3, 4]]}))
        desk.write(made, *images(0, 1, 2, encoding=encoding))
        desk.lose(made, 1)
        desk.write(made, *images(4, 5, encoding=encoding), image(6, shape=(2, 2)))
        desk.write(made, image(7, encoding=encoding), arrival_s=6.0)
        desk.end(made)
        return desk.file


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write(tmp_path_factory.mktemp("whole"), checksum=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return write(tmp_path_factory.mktemp("plain"))


@pytest.fixture
def copy(whole, tmp_path):
    return shutil.copy(whole, tmp_path / "copy.h5")


@pytest.fixture
def plain_copy(plain, tmp_path):
    return shutil.copy(plain, tmp_path / "copy.h5")


def place(path, row):
    """Where in a file the chunk of a row is."""
    with h5py.File(path) as file:
        found = file[DATASET].id.get_chunk_info_by_coord((row, 0, 0))
    return found.byte_offset, found.size


def overwrite(path, offset, with_bytes):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(with_bytes)


def flip(path, offset):
    before = path.read_bytes()[offset]
    overwrite(path, offset, bytes([before ^ 1]))


# -- whole -----------------------------------------------------------------------------


@pytest.mark.parametrize("checksum", [True, False])
@pytest.mark.parametrize("encoding", ["none", "bslz4"])
@pytest.mark.parametrize("frames_per_chunk", [1, 3])
def test_what_was_written_is_whole(tmp_path, checksum, encoding, frames_per_chunk):
    options = {"checksum": checksum, "frames_per_chunk": frames_per_chunk}
    report = verify(write(tmp_path, encoding=encoding, **options), decode=True)
    assert (report.verdict, report.found.problems) == ("whole", [])
    assert report.found.remarks == []
    assert report.found.rows == ROWS
    assert report.found.compared == (report.found.chunks if checksum else 0)
    assert report.found.decoded == report.found.chunks


@pytest.mark.parametrize(
    "dataset",
    ["/entry/data/data", "/entry/data", "/data", "/entry/measurement/Pilatus/data"],
)
def test_the_frames_may_be_anywhere(tmp_path, dataset):
    with Desk(tmp_path, checksum=True) as desk:
        made = desk.begin(acquisition(desk.file, dataset=dataset))
        desk.write(made, *images(0, 1), image(2, shape=(2, 2)))
        desk.end(made)
        report = verify(desk.file)
    assert (report.verdict, report.found.problems) == ("whole", [])
    assert (report.found.rows, report.found.compared) == (3, 2)


def test_a_file_without_frames_is_whole(tmp_path):
    with Desk(tmp_path, checksum=True) as desk:
        desk.series(start=Start(metadata={"a": 1}))
        report = verify(desk.file)
    assert (report.verdict, report.found.problems) == ("whole", [])


def test_a_file_that_several_series_went_into_is_whole(tmp_path):
    with Desk(tmp_path, checksum=True) as desk:
        for first in (0, 5, 3):
            desk.series(*images(first, first + 1))
        report = verify(desk.file)
    assert (report.verdict, report.found.remarks) == ("whole", [])
    assert [counts["written"] for counts in report.found.counts] == [2, 2, 2]


def test_rows_of_another_program_before_are_no_damage(tmp_path):
    with Desk(tmp_path) as desk:
        with h5py.File(desk.file, "w", libver="latest") as file:
            shape, limits = (2, 6, 8), (None, 6, 8)
            first = file.create_dataset(
                DATASET, shape, "u2", maxshape=limits, chunks=(1, 6, 8)
            )
            first[:] = 7
            for name in ("sequence_number", "timestamp"):
                file[GROUP].create_dataset(name, data=[0, 1], maxshape=(None,))
        assert desk.series(*images(0, 1)).error is None
        report = verify(desk.file)
    assert (report.verdict, report.found.problems) == ("whole", [])


def test_another_programs_file_is_read_through(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros((3, 4))
        file["there"] = h5py.ExternalLink("other2.h5", "/x")
        file["scalar"], file["nothing"] = 1, h5py.Empty("f8")
    report = verify(path)
    assert report.verdict == "whole"
    assert [text.split()[0] for text in report.found.remarks] == ["/there", "the"]


@pytest.mark.parametrize("checksum", [True, False])
def test_the_file_is_left_as_it_is(tmp_path, checksum):
    path = write(tmp_path, checksum=checksum)
    before, when = path.read_bytes(), path.stat().st_mtime_ns
    path.chmod(0o444)
    verify(path, decode=True)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == (before, when)


# -- damaged ---------------------------------------------------------------------------


def set_to(name, row, value):
    def damage(file):
        file[name][row] = value

    return damage


def cut(name, rows):
    return lambda file: file[name].resize(rows, axis=0)


def holes(rows, reasons):
    def damage(file):
        for name, values in (("missing_frames", rows), ("missing_reason", reasons)):
            file[GROUP][name].resize(len(values), axis=0)
            file[GROUP][name][:] = values

    return damage


def count(name, number):
    def damage(file):
        counts = file["/entry/acquisition/counts"]
        column = list(counts.attrs["names"]).index(name)
        counts[0, column] += number

    return damage


def unlink(name):
    def damage(file):
        del file[name]

    return damage


def nowhere(file):
    file["/entry/lost"] = h5py.SoftLink("/not/there")


def no_default(file):
    file.attrs["default"] = "nothing"


DAMAGES = {
    "a checksum is lost": (set_to(SUMS, 1, 0), "row 1 has no checksum"),
    "a checksum of nothing": (set_to(SUMS, HOLE, 5), "row 3 is gone, its checksum"),
    "another checksum": (set_to(SUMS, 2, 5), "row 2 has changed since it was written"),
    "too few checksums": (cut(SUMS, 4), "8 chunks, and 4 checksums"),
    "too few numbers": (cut(f"{GROUP}/sequence_number", 7), "has 7 rows"),
    "a hole not told": (holes([UNFIT], [2]), "row 3 is gone, and not in missing_fra"),
    "too many holes": (holes([3, 5, 6], [1, 2, 2]), "row 5 is there, but in missing_f"),
    "a missing frame has a number": (holes([3, 6], [1, 1]), "row 6 is a hole, but has"),
    "holes in disorder": (holes([6, 3], [2, 1]), "missing_frames is not in order"),
    "holes beyond": (holes([3, 6, 9], [1, 2, 1]), "1 of missing_frames are beyond"),
    "no such reason": (holes([3, 6], [1, 7]), "values that mean nothing"),
    "too few reasons": (holes([3, 6], [1]), "2 missing_frames, but 1 reasons"),
    "no number": (set_to(f"{GROUP}/sequence_number", 1, 2**32 - 1), "row 1 has no fra"),
    "no time": (set_to(f"{GROUP}/timestamp", 4, np.nan), "row 4 has no time"),
    "no header": (set_to(f"{GROUP}/header_log", 0, 1), "line 1 of header_log is no"),
    "received": (count("received", 1), "do not add up: received 8, accounted for 7"),
    "short": (count("short", 2), "do not add up: expected 9, accounted for 11"),
    "link": (unlink("/entry/data/data"), f"its signal is not {DATASET}"),
    "soft link": (nowhere, "/entry/lost leads nowhere"),
    "default": (no_default, "its attribute default names nothing"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_told(copy, name):
    damage, text = DAMAGES[name]
    with h5py.File(copy, "r+") as file:
        damage(file)
    report = verify(copy)
    assert report.verdict == "damaged"
    assert any(text in problem for problem in report.found.problems), str(report)


def test_images_that_are_counted_and_not_there_are_told(copy):
    with h5py.File(copy, "r+") as file:
        count("written", -1)(file)
        count("unsaved", 1)(file)
    texts = verify(copy).found.problems
    assert texts == ["5 images were counted as written, 6 are there"]


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_any_byte_of_the_pixels_may_not_change(tmp_path, encoding):
    path = write(tmp_path, encoding=encoding, checksum=True)
    offset, size = place(path, 5)
    for k in (0, size // 2, size - 1):
        flip(path, offset + k)
        texts = verify(path).found.problems
        assert texts == ["the chunk of row 5 has changed since it was written"]
        flip(path, offset + k)
    assert verify(path).verdict == "whole"


def test_without_checksums_pixels_that_cannot_be_decoded_are_told(plain_copy):
    offset, size = place(plain_copy, 1)
    overwrite(plain_copy, offset + 12, b"\xff" * (size - 12))
    [text] = verify(plain_copy).found.problems
    assert text.startswith("the chunk of row 1 cannot be decoded: ")


def test_a_chunk_of_several_frames_is_told_by_its_first_row(tmp_path):
    path = write(tmp_path, encoding="none", frames_per_chunk=3, checksum=True)
    flip(path, place(path, 6)[0])
    texts = verify(path).found.problems
    assert texts == ["the chunk of rows from 6 on has changed since it was written"]


def test_of_very_many_the_first_are_told(tmp_path):
    with Desk(tmp_path, checksum=True) as desk:
        desk.series(*images(*range(50)))
        with h5py.File(desk.file, "r+") as file:
            file[SUMS][:] = 1
        texts = verify(desk.file).found.problems
    assert len(texts) == 21
    assert texts[-1] == "and 30 more like the last one"


@pytest.mark.parametrize("share", [0.99, 0.5, 0.1])
def test_a_file_that_was_cut_off_is_damaged(copy, share):
    os.truncate(copy, int(copy.stat().st_size * share))
    report = verify(copy)
    assert report.verdict == "damaged"
    assert report.found.problems[0].startswith("truncated: ")


def test_chunks_beyond_the_end_or_over_one_another_are_told(copy):
    """Behind the checksums of HDF5's own metadata only a fault of HDF5 does this."""
    texts = [*_misplaced([(100, 10, "b"), (95, 10, "a"), (0, 95, "c")], 105)]
    assert texts == [
        "b: goes on to byte 110, the file has 105",
        "b: its bytes from 100 on belong to a, too",
    ]


@pytest.mark.parametrize("offset", [9, 20, 30, 46])
def test_a_damaged_superblock_is_told(copy, offset):
    flip(copy, offset)
    assert verify(copy).verdict == "damaged"


def test_damage_anywhere_never_ends_in_a_traceback(whole, tmp_path):
    rng = np.random.default_rng(7)
    size = whole.stat().st_size
    for k in range(60):
        path = shutil.copy(whole, tmp_path / f"{k}.h5")
        for offset in rng.integers(48, size, 3):
            overwrite(path, int(offset), bytes(rng.integers(0, 256, 8, np.uint8)))
        assert verify(path, decode=True).verdict in ("whole", "damaged")


# -- what may be odd -------------------------------------------------------------------


def test_a_clock_that_was_set_back_is_a_remark(copy):
    with h5py.File(copy, "r+") as file:
        file[GROUP]["timestamp"][2] = 9.5
    report = verify(copy)
    assert report.verdict == "whole"
    assert report.found.remarks == [
        "timestamp goes back by 4.500000 s: a clock was set"
    ]


def test_frame_numbers_that_go_back_are_a_remark(copy):
    with h5py.File(copy, "r+") as file:
        file[GROUP]["sequence_number"][2] = 0
    report = verify(copy)
    assert report.verdict == "whole"
    assert report.found.remarks == ["frame numbers go back in the series of row 0"]


# -- what cannot be judged -------------------------------------------------------------


def test_a_file_that_is_being_written_cannot_be_judged(tmp_path):
    with Desk(tmp_path, checksum=True) as desk:
        made = desk.begin()
        desk.write(made, *images(0, 1))
        desk.flush()
        report = verify(desk.file)
        desk.end(made)
        assert verify(desk.file).verdict == "whole"
    assert report.verdict == "unreadable"
    assert "is being written" in report.found.problems[0]


def test_what_is_no_hdf5_file_cannot_be_judged(tmp_path):
    text, empty = tmp_path / "a.txt", tmp_path / "empty.h5"
    text.write_text("no HDF5")
    empty.touch()
    found = [verify(path) for path in (text, empty, tmp_path, tmp_path / "none.h5")]
    assert [report.verdict for report in found] == ["unreadable"] * 4
    assert found[3].found.problems == ["cannot be opened: No such file or directory"]


# -- the command -----------------------------------------------------------------------


def test_the_exit_code_is_that_of_the_worst_file(whole, copy, tmp_path, capsys):
    flip(copy, place(copy, 0)[0])
    assert main([str(whole)]) == 0
    assert main([str(whole), str(copy), str(whole)]) == 1
    assert main([str(tmp_path / "none.h5"), str(copy)]) == 2
    assert "copy.h5: damaged; 8 rows in 6 chunks" in capsys.readouterr().out


def test_wrong_arguments_end_with_2(capsys):
    for words in ([], ["--what", "a.h5"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_it_answers_in_json_a_line_for_each_file(whole, copy, capsys):
    with h5py.File(copy, "r+") as file:
        file[SUMS][0] = 1
    assert cli.main(["verify", "--json", str(whole), str(copy)]) == 1
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["verdict"] for each in told] == ["whole", "damaged"]
    assert told[0]["file"] == str(whole)
    found = told[0]["found"]
    assert (found["rows"], found["chunks"], found["compared"]) == (8, 6, 6)
    assert found["counts"][0]["written"] == 6
    assert told[1]["found"]["problems"] == [
        "the chunk of row 0 has changed since it was written"
    ]
