import signal

import pytest

from srx_service import apart
from srx_service.apart import repair_apart
from srx_service.errors import WriteError
from srx_service.repair import Unrepairable, repair
from tests.fuzz import corpus
from tests.fuzz.repair import made

DIVIDES_BY_ZERO = "found: HDF5 divides by zero"
"""In the corpus: a chunk of no length in a dataset's header, its checksum right."""


@pytest.fixture
def file(tmp_path):
    """Put some bytes into a file."""

    def _file(content):
        path = tmp_path / "a.h5"
        path.write_bytes(content)
        return path

    return _file


def test_a_repair_apart_reports_what_one_at_hand_reports(file, tmp_path):
    (tmp_path / "other").mkdir()
    path, other = file(made("behind")), tmp_path / "other" / "a.h5"
    other.write_bytes(path.read_bytes())
    report, known = repair_apart(path), repair(other)
    assert report.was_open
    assert str(report) == str(known).replace(str(other), str(path))


def test_what_cannot_be_repaired_is_told_as_always(file, tmp_path):
    with pytest.raises(Unrepairable, match="not an HDF5 file"):
        repair_apart(file(b"text" * 50))
    with pytest.raises(WriteError, match="no such file") as told:
        repair_apart(tmp_path / "none.h5")
    assert not isinstance(told.value, Unrepairable)


def test_a_file_at_which_hdf5_ends_its_process_is_told_and_left(file):
    content = corpus.load("repair")[DIVIDES_BY_ZERO]
    path = file(content)
    with pytest.raises(Unrepairable, match=r"HDF5 ends the process .*\(SIGFPE\)"):
        repair_apart(path)
    assert path.read_bytes() == content


def test_a_file_that_is_read_for_ever_is_given_up(file, tmp_path, monkeypatch):
    endless = tmp_path / "python"
    endless.write_text("#!/bin/sh\nexec sleep 100\n")
    endless.chmod(0o755)
    monkeypatch.setattr(apart.sys, "executable", str(endless))
    with pytest.raises(Unrepairable, match="no end within 0 s"):
        repair_apart(file(made("open")), patience_s=0.1)


def test_how_a_process_ended_is_told_by_name():
    assert apart._told(-signal.SIGSEGV) == "SIGSEGV"
    assert apart._told(3) == "exit code 3"
