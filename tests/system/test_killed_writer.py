"""What a kill -9 leaves of the file that was being written."""

import subprocess
import sys

import h5py
import numpy as np
import pytest

from srx_service.repair import repair
from tests.blocks import ROOT
from tests.service.writing import DATASET, GROUP, pixels


@pytest.fixture(params=[(1, "none"), (1, "bslz4"), (7, "none")], ids=str)
def killed(tmp_path, request):
    """Kill a writer; return its file and the rows that it told to be durable."""
    words = [sys.executable, "-m", "tests.system.killed_writer", tmp_path]
    words += map(str, request.param)
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as process:
        rows = 0
        while rows < 300:
            rows = int(process.stdout.readline())
        process.kill()
        told = [rows, *map(int, process.stdout.read().split())]
    return tmp_path / "a.h5", max(told)


def check(file, rows):
    there = np.arange(rows) % 5 != 4
    frames, group = file[DATASET][:rows], file[GROUP]
    expected = np.array([pixels(k) for k in range(rows)])
    assert np.array_equal(frames[there], expected[there])
    assert (frames[~there] == 65535).all()
    numbers = group["sequence_number"][:rows]
    assert np.array_equal(numbers[there], np.arange(rows)[there])
    assert np.array_equal(
        group["exposure"][:rows][there], (np.arange(rows) // 5 * 0.5)[there]
    )
    lost = group["missing_frames"][:]
    assert np.array_equal(lost[lost < rows], np.flatnonzero(~there))


def test_every_durable_row_can_be_read_at_once(killed):
    path, rows = killed
    with h5py.File(path, swmr=True) as file:
        assert len(file[DATASET]) >= rows
        check(file, rows)


def test_once_repaired_every_reader_opens_it_with_all_durable_rows(killed):
    path, rows = killed
    with pytest.raises(OSError, match="already open"):
        h5py.File(path)
    report = repair(path)
    assert report.rows >= rows
    with h5py.File(path) as file:
        check(file, rows)
        assert (
            len(file[DATASET]) == len(file[f"{GROUP}/sequence_number"]) == report.rows
        )


def test_repaired_to_the_durable_rows_it_has_no_more(killed):
    path, rows = killed
    repair(path, durable_rows=rows)
    with h5py.File(path) as file:
        assert file[DATASET].shape[0] == rows
        check(file, rows)
