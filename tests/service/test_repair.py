import contextlib
import logging
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from srx_service import repair as module
from srx_service.errors import WriteError
from srx_service.openfiles import FileLock, OpenFiles
from srx_service.repair import Unrepairable, main, repair, repair_left_over
from srx_service.superblock import SIZE

GROUP = "/entry/instrument/eiger"
FILL = 65535
WRITER = """
import os, random, sys
import h5py, numpy as np

path, end, seed = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(seed)

def reached(stage):
    if stage == end:
        os.kill(os.getpid(), 9)

file = h5py.File(path, "w", libver="latest")
reached("created")
group = file.create_group("/entry/instrument/eiger")
group.attrs["NX_class"] = "NXdetector"
group["description"] = "a text"
reached("group")
file.flush()
reached("group flushed")

def make(name, shape=(), dtype="u8", chunk=2048, **options):
    dataset = group.create_dataset(
        name,
        (0, *shape),
        dtype,
        maxshape=(None, *shape),
        chunks=(chunk, *shape),
        **options,
    )
    if not name.startswith("missing"):
        dataset.attrs["rows"] = "one per frame"
    return dataset

data = make("data", (7, 9), "u2", 1, fillvalue=65535)
file["/entry/data/data"] = data
columns = [make("sequence_number"), make("timestamp", dtype="f8")]
lists = [make("missing_frames"), make("missing_reason", dtype="u1")]
reached("datasets")
file.swmr_mode = True
reached("swmr")
rows, missing = 0, []

def flush():
    for column in columns:
        had = len(column)
        column.resize(rows, axis=0)
        column[had:] = np.arange(had, rows)
    for dataset in lists:
        had = len(dataset)
        dataset.resize(had + len(missing), axis=0)
        dataset[had:] = missing if dataset.dtype == "u8" else [1] * len(missing)
    missing.clear()
    file.flush()
    print(rows, flush=True)

print(0, flush=True)
while True:
    count = random.choice((1, 5, 200)) if rows else 5
    data.resize(rows + count, axis=0)
    for row in range(rows, rows + count):
        if random.random() < 0.02:
            missing.append(row)
        else:
            frame = np.full((7, 9), row % 60000, "u2")
            data.id.write_direct_chunk((row, 0, 0), frame.tobytes())
    rows += count
    reached("rows")
    if end == "closed" or random.random() < 0.4:
        flush()
        reached("flushed")
    if end == "closed":
        file.close()
        break
"""


def write(path, end, seed=1):
    """Let a process write until it is killed at a place it knows."""
    command = [sys.executable, "-c", WRITER, str(path), end, str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == (0 if end == "closed" else -9), done.stderr
    return path


def write_till_killed(path, seed):
    """Kill a writing process at any time; return the rows it said were flushed."""
    command = [sys.executable, "-c", WRITER, str(path), "", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        time.sleep(random.Random(seed).random() * 0.3)
        process.kill()
        told = process.stdout.read().split()
    return int(told[-1]) if told else 0


def check_rows(path, rows):
    """Every reader opens it, each row is what was written, or a hole that is told."""
    with h5py.File(path) as file:
        group = file[GROUP]
        expected = np.arange(rows) % 60000
        expected[group["missing_frames"][:]] = FILL
        assert len(group["data"]) == rows
        for corner in (0, -1):
            frames = group["data"][:, corner, corner]
            np.testing.assert_array_equal(frames, expected)
        for name in ("sequence_number", "timestamp"):
            np.testing.assert_array_equal(group[name][:], np.arange(rows))
        assert len(group["missing_frames"]) == len(group["missing_reason"])


def flags(path):
    return path.read_bytes()[11]


@contextlib.contextmanager
def unchanged(path):
    before, names = path.read_bytes(), set(path.parent.iterdir())
    yield
    assert path.read_bytes() == before
    assert set(path.parent.iterdir()) == names


@pytest.mark.parametrize("seed", range(4))
def test_whenever_its_writer_is_killed_every_flushed_row_is_there(tmp_path, seed):
    path = tmp_path / "a.h5"
    told = write_till_killed(path, seed)
    with h5py.File(path, swmr=True) as file:
        assert len(file[GROUP]["sequence_number"]) >= told
    report = repair(path)
    assert report.was_open
    assert report.rows >= told
    check_rows(path, report.rows)


@pytest.mark.parametrize("end", ["swmr", "rows", "flushed"])
def test_a_repaired_file_is_whole_and_nothing_is_left_beside_it(tmp_path, end):
    path = write(tmp_path / "a.h5", end)
    assert flags(path) == 5
    report = repair(path)
    check_rows(path, report.rows)
    assert flags(path) == 0
    assert list(tmp_path.iterdir()) == [path]
    assert not repair(path).was_open


def test_a_repaired_file_can_be_written_on(tmp_path):
    path = write(tmp_path / "a.h5", "flushed")
    rows = repair(path).rows
    with h5py.File(path, "r+", libver="latest") as file:
        file.swmr_mode = True
        for name in ("data", "sequence_number", "timestamp"):
            file[GROUP][name].resize(rows + 1, axis=0)
            file[GROUP][name][rows] = rows
    check_rows(path, rows + 1)


def test_rows_that_were_not_durable_are_taken_off_and_told(tmp_path):
    path = write(tmp_path / "a.h5", "flushed", seed=2)
    with h5py.File(path, swmr=True) as file:
        rows = len(file[GROUP]["data"])
    report = repair(path, durable_rows=rows - 2)
    assert report.rows == rows - 2
    assert report.taken_off[f"{GROUP}/data"] == 2
    assert f"{rows - 2} frames; rows taken off" in str(report)
    check_rows(path, rows - 2)


def test_more_durable_rows_than_there_are_add_none(tmp_path):
    path = write(tmp_path / "a.h5", "flushed")
    report = repair(path, durable_rows=10**9)
    check_rows(path, report.rows)


def test_a_file_killed_before_its_first_frame_opens_again(tmp_path):
    path = write(tmp_path / "a.h5", "group flushed")
    assert "opens again; no frames" in str(repair(path))
    with h5py.File(path) as file:
        assert file[GROUP]["description"][()] == b"a text"


def test_a_file_killed_while_its_datasets_are_made_is_repaired_or_left(tmp_path):
    path = write(tmp_path / "a.h5", "datasets")
    before = path.read_bytes()
    try:
        assert repair(path).rows in (0, None)
        assert not repair(path).was_open
    except Unrepairable:
        assert path.read_bytes() == before


@pytest.mark.parametrize("end", ["created", "group"])
def test_a_file_in_which_nothing_was_flushed_is_told_to_hold_nothing(tmp_path, end):
    path = write(tmp_path / "a.h5", end)
    with unchanged(path), pytest.raises(Unrepairable, match="holds nothing"):
        repair(path)


def test_a_whole_file_is_left_byte_for_byte_as_it_is(tmp_path):
    path = write(tmp_path / "a.h5", "closed")
    with unchanged(path):
        report = repair(path)
    assert not report.was_open
    assert "whole, left as it was" in str(report)


@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
def test_files_of_others_are_left_as_they_are(tmp_path, libver):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver=(libver, "latest")) as file:
        file.create_dataset("x", (5, 4, 4), "u2", maxshape=(None, 4, 4))
        file["sequence_number"] = [1, 2]
    with unchanged(path):
        assert not repair(path).was_open


def test_a_file_that_h5clear_made_worse_is_repaired(tmp_path):
    path = write(tmp_path / "a.h5", "flushed")
    block = module.Superblock.from_bytes(path.read_bytes()[:SIZE])
    cleared = module.msgspec.structs.replace(block, flags=0, end=709)
    module.write_head(path, cleared.as_bytes())
    check_rows(path, repair(path).rows)


@pytest.mark.parametrize("content", [b"", b"\x89HDF", b"text" * 100, bytes(500)])
def test_what_is_no_hdf5_file_is_left_as_it_is(tmp_path, content):
    path = tmp_path / "a.h5"
    path.write_bytes(content)
    with (
        unchanged(path),
        pytest.raises(Unrepairable, match=r"not an HDF5|holds nothing"),
    ):
        repair(path)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_truncated_file_is_left_as_it_is(tmp_path, share):
    path = write(tmp_path / "a.h5", "flushed", seed=3)
    os.truncate(path, int(path.stat().st_size * share))
    with (
        unchanged(path),
        pytest.raises(Unrepairable, match=r"truncated|damaged|holds no"),
    ):
        repair(path)


def test_a_damaged_superblock_is_told(tmp_path):
    path = write(tmp_path / "a.h5", "flushed")
    content = bytearray(path.read_bytes())
    content[30] ^= 1
    path.write_bytes(content)
    with unchanged(path), pytest.raises(Unrepairable, match="checksum is wrong"):
        repair(path)


def test_a_file_that_is_being_written_is_left_alone(tmp_path):
    path = write(tmp_path / "a.h5", "flushed")
    with (
        FileLock(path, "the service 'eiger'"),
        unchanged(path),
        pytest.raises(WriteError, match="is being written by the service 'eiger'"),
    ):
        repair(path)


def test_a_file_that_others_write_through_hdf5_is_left_alone(tmp_path):
    path = tmp_path / "a.h5"
    code = (
        "import sys, h5py; f = h5py.File(sys.argv[1], 'w', libver='latest'); "
        "f['x'] = 1; f.flush(); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        with pytest.raises(WriteError, match="has it open for writing"):
            repair(path)
        process.stdin.close()


def test_a_reader_that_follows_the_file_is_not_in_the_way(tmp_path):
    path = write(tmp_path / "a.h5", "flushed")
    code = (
        "import sys, h5py; f = h5py.File(sys.argv[1], swmr=True); "
        "print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        check_rows(path, repair(path).rows)
        process.stdin.close()


def test_without_locks_on_the_file_system_nothing_is_touched(tmp_path, monkeypatch):
    path = write(tmp_path / "a.h5", "flushed")
    monkeypatch.setattr("srx_service.openfiles._lock", lambda _: False)
    with unchanged(path), pytest.raises(WriteError, match="repair a copy on another"):
        repair(path)


def test_a_repair_that_breaks_off_keeps_the_first_bytes_and_can_be_repeated(
    tmp_path, monkeypatch
):
    path = write(tmp_path / "a.h5", "flushed")
    before = path.read_bytes()[:SIZE]

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "_trim", fail)
        with pytest.raises(WriteError, match=r"No space left .*a\.h5\.superblock"):
            repair(path)
    assert (tmp_path / "a.h5.superblock").read_bytes() == before
    assert not repair(path).was_open


def test_a_repair_that_was_killed_is_taken_up_again(tmp_path):
    path = write(tmp_path / "a.h5", "flushed")
    before = path.read_bytes()[:SIZE]
    (tmp_path / "a.h5.superblock").write_bytes(before)
    check_rows(path, repair(path).rows)
    assert list(tmp_path.iterdir()) == [path]


# -- what the service does at its start ----------------------------------------------


@pytest.fixture
def open_files(tmp_path):
    (tmp_path / "data").mkdir()

    def restarted(*paths):
        with contextlib.closing(OpenFiles(tmp_path, "eiger")) as last_life:
            for path in paths:
                last_life.add(path, "1")
        made.append(OpenFiles(tmp_path, "eiger"))
        return made[-1]

    made = []
    yield restarted
    for each in made:
        each.close()


def test_what_a_crash_left_open_is_repaired_and_told(open_files, tmp_path, caplog):
    path = write(tmp_path / "data/a.h5", "flushed")
    left = open_files(path)
    (report,) = repair_left_over(left).values()
    check_rows(path, report.rows)
    assert not left.left_over()
    assert f"a.h5: left open by its writer, opens again; {report.rows}" in caplog.text


def test_what_can_never_be_repaired_is_told_once(open_files, tmp_path, caplog):
    path = write(tmp_path / "data/a.h5", "created")
    left = open_files(path)
    assert [*map(type, repair_left_over(left).values())] == [Unrepairable]
    assert not left.left_over()
    assert [r.levelno for r in caplog.records] == [logging.ERROR]


def test_a_file_that_is_gone_is_taken_off_the_list(open_files, tmp_path):
    left = open_files(tmp_path / "data/a.h5")
    assert "no such file" in str(repair_left_over(left)[tmp_path / "data/a.h5"])
    assert not left.left_over()


def test_a_file_on_a_disk_that_is_not_there_is_tried_again(open_files, tmp_path):
    path = write(tmp_path / "data/a.h5", "flushed")
    left = open_files(path)
    shutil.move(tmp_path / "data", tmp_path / "elsewhere")
    assert "no such file" in str(repair_left_over(left)[path])
    assert [*left.left_over()] == [path]
    shutil.move(tmp_path / "elsewhere", tmp_path / "data")
    assert len(repair_left_over(left)) == 1


def test_a_file_that_another_service_writes_is_tried_again(open_files, tmp_path):
    path = write(tmp_path / "data/a.h5", "flushed")
    left = open_files(path)
    with FileLock(path, "another service"):
        assert "another service" in str(repair_left_over(left)[path])
    assert [*left.left_over()] == [path]


# -- the command ---------------------------------------------------------------------


def test_the_command_says_what_it_did_and_how_it_went(tmp_path, capsys):
    good = write(tmp_path / "a.h5", "flushed")
    whole = write(tmp_path / "b.h5", "closed")
    assert main([str(good), str(whole)]) == 0
    assert capsys.readouterr().out.count("\n") == 2


def test_the_command_goes_on_after_a_file_it_cannot_repair(tmp_path, capsys):
    good = write(tmp_path / "a.h5", "flushed")
    assert main([str(tmp_path / "none.h5"), str(tmp_path), str(good)]) == 1
    told = capsys.readouterr()
    assert told.err.count("no such file") == 2
    assert "opens again" in told.out


def test_the_command_keeps_as_many_rows_as_it_is_told(tmp_path, capsys):
    path = write(tmp_path / "a.h5", "flushed", seed=2)
    assert main([str(path), "--rows", "1"]) == 0
    assert "; 1 frames" in capsys.readouterr().out


def test_the_command_refuses_a_negative_number_of_rows(capsys):
    with pytest.raises(SystemExit):
        main([str(Path("a.h5")), "--rows", "-1"])
    assert "0 or more" in capsys.readouterr().err
