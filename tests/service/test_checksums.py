"""The checksums beside the frames: of every chunk as it is stored, whatever happens."""

import shutil

import h5py
import numpy as np
import pytest
import xxhash

from srx_service import building, config
from srx_service.checksums import Checksums, digest, sums_of, trim_checksums
from srx_service.extendable import Extendable
from srx_service.messages import Start
from srx_service.repair import repair
from srx_service.space import Space
from srx_service.writebehind import WriteBehind
from tests.service.writing import (
    DATASET,
    GROUP,
    Desk,
    acquisition,
    image,
    images,
)

SUMS = f"{DATASET}_checksum"
LAYOUTS = [
    {"encoding": "none", "frames_per_chunk": 1, "parts": 1},
    {"encoding": "bslz4", "frames_per_chunk": 1, "parts": 1},
    {"encoding": "lz4", "frames_per_chunk": 1, "parts": 2},
    {"encoding": "none", "frames_per_chunk": 1, "parts": 3},
    {"encoding": "none", "frames_per_chunk": 3, "parts": 1},
    {"encoding": "none", "frames_per_chunk": "auto", "parts": 1},
]


@pytest.fixture(params=LAYOUTS, ids=lambda how: "-".join(map(str, how.values())))
def how(request):
    return request.param


@pytest.fixture
def desk(tmp_path, how):
    options = {"frames_per_chunk": how["frames_per_chunk"], "checksum": True}
    with Desk(tmp_path, **options) as made:
        yield made


def shots(how, *frames):
    return images(*frames, encoding=how["encoding"], parts=how["parts"])


def stored(path):
    """The checksum of each chunk that is there, by its place, and those in the file."""
    found = {}
    with h5py.File(path) as file:
        frames, sums = file[DATASET], file[SUMS][()]
        per_chunk, step, _ = frames.chunks
        parts = frames.shape[1] // step
        for k in range(frames.id.get_num_chunks()):
            offset = frames.id.get_chunk_info(k).chunk_offset
            place = offset[0] // per_chunk * parts + offset[1] // step
            _, blob = frames.id.read_direct_chunk(offset)
            found[place] = xxhash.xxh3_64_intdigest(blob)
        assert sums.shape[0] == -(-len(frames) // per_chunk)
        assert sums.shape[1:] == (() if parts == 1 else (parts,))
    return found, sums.ravel()


def check(path):
    """Every chunk has its checksum, and nothing else has one."""
    found, sums = stored(path)
    assert {k: int(v) for k, v in enumerate(sums) if v} == found
    return found


def test_each_chunk_has_its_checksum(desk, how):
    desk.series(*shots(how, 0, 1, 2, 3, 4, 5, 6))
    assert len(check(desk.file)) >= 1


def test_a_hole_has_none(desk, how):
    made = desk.begin()
    desk.lose(made, 2)
    desk.write(made, *shots(how, 2, 3))
    desk.lose(made, 4)
    desk.write(made, *shots(how, 8), image(9, shape=(2, 2)), *shots(how, 10))
    desk.lose(made, 7)
    desk.end(made)
    check(desk.file)


def test_a_chunk_that_is_written_again_has_a_new_one(desk, how):
    made = desk.begin()
    for frame in range(8):
        desk.write(made, *shots(how, frame))
        desk.flush()
    desk.end(made)
    check(desk.file)


@pytest.mark.parametrize("row", [0, 1, 4, 5, 6])
@pytest.mark.parametrize("again", [0, 1, 5])
def test_a_rewind_takes_them_back(desk, how, row, again):
    made = desk.begin(acquisition(desk.file, series="open"))
    desk.write(made, *shots(how, *range(7)))
    desk.rewind(made, row)
    if again:
        desk.write(made, *shots(how, *range(20, 20 + again)))
    desk.end(made)
    check(desk.file)


def test_series_that_are_appended_have_theirs(desk, how):
    for first in (0, 2, 6):
        desk.series(*shots(how, first, first + 1))
    assert len(check(desk.file)) >= 1


@pytest.mark.parametrize("kept", [2, 4, 5, 7, 8])
def test_after_a_crash_they_are_those_of_the_rows_that_are_left(desk, how, kept):
    made = desk.begin()
    desk.write(made, *shots(how, *range(5)))
    desk.flush()
    desk.write(made, *shots(how, *range(5, 9)))
    if kept > 5:
        desk.flush()
    desk.write(made, *shots(how, 9))
    killed = desk.folder / "killed.h5"
    shutil.copy(desk.file, killed)
    report = repair(killed, durable_rows=kept)
    assert report.rows == kept
    check(killed)


def test_what_the_storage_refuses_leaves_none(desk, how, monkeypatch):
    made = desk.begin()
    desk.write(made, *shots(how, 0, 1))
    desk.flush()
    pixels = desk.writer._filing.file._pixels
    calls = []

    def write(*words, **options):
        calls.append(words)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        real(*words, **options)

    real = pixels._checksums._write
    monkeypatch.setattr(pixels._checksums, "_write", write)
    desk.write(made, *shots(how, *range(2, 9)))
    desk.end(made)
    check(desk.file)


@pytest.mark.parametrize(("word", "is_on"), [("on", True), ("off", False)])
def test_the_key_is_on_or_off(tmp_path, word, is_on):
    path = tmp_path / "detectors.yaml"
    keys = "class: Detector, dcu_host_purple: a, data_port: 1, dset_name: /d/d"
    path.write_text(f"x: {{{keys}, checksum: {word}}}")
    entry = config.load_one(path, "x")
    options = building.file_options(entry, "1", WriteBehind(None), Space(None))
    assert options.checksum is is_on


# -- with or without -------------------------------------------------------------------


def test_there_are_none_unless_they_are_asked_for(tmp_path):
    with Desk(tmp_path) as desk:
        desk.series(*images(0, 1))
        with h5py.File(desk.file) as file:
            assert SUMS not in file


@pytest.mark.parametrize("before", [False, True])
def test_a_file_that_is_appended_to_goes_on_as_it_began(tmp_path, before):
    for checksum in (before, not before):
        with Desk(tmp_path, checksum=checksum) as desk:
            assert desk.series(*images(0, 1)).error is None
            file = desk.file
    with h5py.File(file) as opened:
        assert (SUMS in opened) is before
    if before:
        assert len(check(file)) == 4


def test_the_header_cannot_take_their_name(tmp_path):
    with Desk(tmp_path, checksum=True) as desk:
        desk.series(*images(0), start=Start(metadata={"data_checksum": 7}))
        assert check(desk.file)
        with h5py.File(desk.file) as file:
            assert file[f"{SUMS}_"][()] == 7


def test_another_dataset_of_their_name_is_left_alone(tmp_path):
    with Desk(tmp_path, checksum=True) as desk:
        with h5py.File(desk.file, "w", libver="latest") as file:
            file[SUMS] = [1, 2, 3]
        assert desk.series(*images(0)).error is None
        with h5py.File(desk.file) as file:
            assert file[SUMS][()].tolist() == [1, 2, 3]
            assert sums_of(file[GROUP], file[DATASET]) is None


def test_a_foreign_file_has_nothing_to_trim():
    with h5py.File("foreign.h5", "w", driver="core", backing_store=False) as file:
        file["data"] = np.zeros((4, 2, 2))
        trim_checksums(file, file["data"])
        assert sums_of(file, file["data"]) is None


def test_a_chunk_that_cannot_be_written_keeps_no_checksum():
    with h5py.File("a.h5", "w", driver="core", backing_store=False) as file:
        frames = file.create_dataset("x", (1, 2), "u1", maxshape=(None, 2), chunks=True)
        sums = file.create_dataset("s", (0,), "u8", maxshape=(None,), fillvalue=0)
        made = Checksums(frames, Extendable(sums.id))
        with pytest.raises(TypeError):
            made.put((0, 0), b"12", "no mask")
        made.write(1)
        assert sums[()].tolist() == [0]


def test_the_checksum_is_xxh3():
    assert digest(memoryview(b"")) == 0x2D06800538D394C2
    assert digest(b"xxhash") == xxhash.xxh3_64_intdigest(b"xxhash")
