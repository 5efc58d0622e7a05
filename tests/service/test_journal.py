import contextlib
import logging
import sqlite3
import threading

import pytest

from srx_service import journal as module
from srx_service.acquisitions import Acquisition, Acquisitions, ArmRequest
from srx_service.journal import Journal
from srx_service.journalfile import JournalFile

METADATA = {"sample": "LaB6"}


def make(**fields):
    request = ArmRequest(metadata={**METADATA}, **fields)
    return Acquisition(
        request, origin="api", dataset="/entry/data/x", skip_missing=False
    )


class Desk:
    """A journal whose thread is the test, and whose clock is told."""

    def __init__(self, folder):
        self.now_s = 100.0
        self.journal = Journal(folder, "eiger", clock=lambda: self.now_s)
        self.acquisitions = Acquisitions(on_state=self.journal.note)

    def add(self, **fields):
        self.acquisitions.add(made := make(**fields))
        return made

    def round(self, after_s=0.0):
        self.now_s += after_s
        self.journal._round()

    def stored(self):
        """What another life of the service would load."""
        with contextlib.closing(JournalFile(self.journal.path)) as file:
            return {entry.told["id"]: entry for entry in file.load()}

    @property
    def where(self):
        return self.journal.path.parent, "eiger"

    def states(self, acquisition):
        with sqlite3.connect(self.journal.path) as connection:
            query = "SELECT state, error FROM changes WHERE id = ? ORDER BY rowid"
            found = connection.execute(query, (acquisition.id,)).fetchall()
        connection.close()
        return found


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.journal.load()
    yield made
    made.journal._close()


def test_the_first_journal_is_empty_and_all_is_well(desk):
    assert desk.stored() == {}
    assert desk.journal.shown() == {"journal": None, "journal_waiting": 0}


def test_an_acquisition_is_told_again_as_it_was(desk):
    made = desk.add(file="/data/a.h5", expected=3, lease_s=60.0)
    made.shape, made.columns = (2, 3), {"timestamp": "/t"}
    made.counts.received = made.counts.written = 2
    made.fail("disk full")
    made.finish("done")
    desk.round()
    stored = desk.stored()[made.id]
    assert stored.told == made.as_dict() | {"shape": [2, 3]}
    assert stored.request == made.request


def test_every_change_of_a_state_is_kept(desk):
    made = desk.add()
    made.state = "running"
    made.state = "running"
    made.state = "finishing"
    made.fail("disk full")
    made.finish("done")
    desk.round()
    states = [("armed", None), ("running", None), ("finishing", None)]
    assert desk.states(made) == [*states, ("failed", "disk full")]


def test_counts_are_kept_once_a_second_while_they_change(desk):
    made = desk.add()
    desk.round()
    made.counts.received = 7
    desk.round(0.5)
    assert desk.stored()[made.id].told["counts"]["received"] == 0
    desk.round(0.6)
    assert desk.stored()[made.id].told["counts"]["received"] == 7


def test_what_does_not_change_is_not_written_again(desk, monkeypatch):
    desk.add()
    desk.round()
    monkeypatch.setattr(JournalFile, "store", None)
    desk.round(2.0)
    assert desk.journal.problem is None


def test_what_is_over_is_parted_with(desk):
    desk.add().finish("aborted")
    open_one = desk.add()
    desk.round()
    assert [*desk.journal._pages] == [open_one.id]


def test_a_pinned_series_is_kept(desk):
    made = desk.add()
    made.pinned_id = 12
    desk.round()
    assert desk.stored()[made.id].pinned_id == 12


def test_acquisitions_are_loaded_newest_first(desk):
    made = [desk.add() for _ in range(3)]
    desk.round()
    assert [*desk.stored()] == [each.id for each in reversed(made)]


def test_an_entry_of_an_earlier_life_is_amended(desk):
    made = desk.add()
    desk.round()
    next_life = Desk(desk.where[0])
    (entry,) = next_life.journal.load()
    entry.told |= {"state": "interrupted", "error": "killed"}
    next_life.journal.amend(entry)
    next_life.round()
    next_life.journal._close()
    assert desk.stored()[made.id].told["state"] == "interrupted"
    assert desk.states(made) == [("armed", None), ("interrupted", "killed")]


def test_a_name_cannot_lead_out_of_the_state_dir(tmp_path):
    assert Journal(tmp_path, "../a/b").path.parent == tmp_path


# -- what may be wrong with it ---------------------------------------------------------


@pytest.fixture
def lock(desk):
    """Hold the file's lock, as another program may."""
    other = sqlite3.connect(desk.journal.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield other
    other.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("srx_service.journalfile.BUSY_S", 0.1)


def test_a_locked_journal_is_told_and_written_when_it_is_free(desk, lock, caplog):
    made = desk.add()
    desk.round()
    desk.round(2.0)
    assert "database is locked" in desk.journal.problem
    assert desk.journal.waiting == 1
    assert caplog.text.count("the line goes on") == 1
    lock.execute("ROLLBACK")
    made.finish("done")
    desk.round(2.0)
    assert desk.journal.shown() == {"journal": None, "journal_waiting": 0}
    assert [state for state, _ in desk.states(made)] == ["armed", "done"]


def test_a_locked_journal_is_tried_again_each_second_only(desk, lock, monkeypatch):
    desk.add()
    desk.round()
    monkeypatch.setattr(JournalFile, "store", None)  # would raise
    desk.add()
    desk.round(0.5)
    assert desk.journal.waiting == 2


def test_a_journal_that_is_locked_at_the_start_is_opened_later(desk):
    desk.journal._close()
    lock = sqlite3.connect(desk.journal.path, isolation_level=None)
    lock.execute("PRAGMA locking_mode = EXCLUSIVE")  # keeps readers out, too
    lock.execute("BEGIN EXCLUSIVE")
    late = Desk(desk.where[0])
    assert late.journal.load() == []
    assert "database is locked" in late.journal.problem
    made = late.add()
    late.round()
    lock.close()
    late.round(2.0)
    assert late.journal.problem is None
    late.journal._close()
    assert made.id in desk.stored()


def test_notes_have_a_bound_and_what_is_left_out_is_told(desk, lock, monkeypatch):
    monkeypatch.setattr(module, "WAITING_KEPT", 5)
    for _ in range(20):
        desk.add()
        desk.round()
    assert desk.journal.waiting == 20
    assert desk.journal._left_out > 0
    lock.execute("ROLLBACK")
    desk.round(2.0)
    desk.round(2.0)
    assert len(desk.stored()) == 20 - desk.journal._left_out


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 99])
def test_what_is_no_database_is_kept_and_a_new_one_is_begun(tmp_path, damage, caplog):
    (tmp_path / "eiger-journal.sqlite").write_bytes(damage)
    desk = Desk(tmp_path)
    assert desk.journal.load() == []
    made = desk.add()
    desk.round()
    desk.journal._close()
    assert made.id in desk.stored()
    if damage:
        assert (tmp_path / "eiger-journal.damaged").read_bytes() == damage
        assert "is damaged, kept as" in caplog.text


def test_a_journal_that_is_damaged_later_is_begun_anew_with_what_is_known(desk, caplog):
    first, second = desk.add(), desk.add()
    desk.round()
    first.finish("done")
    desk.round()
    desk.journal._file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with desk.journal.path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(100)
        file.write(bytes(size - 100))
    second.state = "running"
    desk.journal._close()
    desk.round()
    desk.round(2.0)
    assert "is damaged, kept as" in caplog.text
    assert "begun anew" in desk.journal.shown()["journal"]
    assert desk.journal.waiting == 0
    assert [*desk.stored()] == [second.id]


def test_the_journal_of_a_newer_srx_is_left_alone(desk, caplog):
    desk.journal._file._connection.execute("PRAGMA user_version = 99")
    desk.journal._close()
    older = Desk(desk.where[0])
    assert older.journal.load() == []
    assert "written by a newer srx" in older.journal.problem
    older.add()
    older.round()
    assert older.journal.waiting == 1


def test_a_full_disk_is_told(desk):
    desk.journal._file._connection.execute("PRAGMA max_page_count = 1")
    made = desk.add()
    made.request.metadata["long"] = "x" * 100_000
    desk.round()
    assert "full" in desk.journal.problem
    desk.round(2.0)  # opened anew it has no such limit
    assert desk.journal.problem is None
    assert made.id in desk.stored()


def test_a_folder_that_is_gone_is_told(tmp_path):
    journal = Journal(tmp_path / "gone", "eiger")
    assert journal.load() == []
    assert "unable to open database file" in journal.problem


# -- how much is kept ------------------------------------------------------------------


def test_the_oldest_are_taken_out(desk, monkeypatch):
    monkeypatch.setattr("srx_service.journalfile.KEPT", 3)
    made = [desk.add() for _ in range(5)]
    desk.round()
    newest = desk.add()
    desk.round()
    assert [*desk.stored()] == [newest.id, made[4].id, made[3].id]
    assert desk.states(made[0]) == []


def test_a_journal_that_is_too_large_is_halved(desk, monkeypatch):
    monkeypatch.setattr("srx_service.journalfile.KEPT_BYTES", 1)
    for _ in range(8):
        desk.add()
    desk.round()
    assert len(desk.stored()) == 4


def test_no_more_is_loaded_than_fits(desk, monkeypatch):
    made = [desk.add(file="x" * 10_000) for _ in range(3)]
    desk.round()
    monkeypatch.setattr("srx_service.journalfile.LOADED_BYTES", 25_000)
    assert [*desk.stored()] == [made[2].id]


def test_an_entry_that_cannot_be_read_is_left_out(desk, caplog):
    made = [desk.add() for _ in range(2)]
    desk.round()
    with sqlite3.connect(desk.journal.path) as connection:
        query = "UPDATE acquisitions SET request = '{' WHERE id = ?"
        connection.execute(query, (made[0].id,))
    connection.close()
    assert [*desk.stored()] == [made[1].id]
    assert "cannot be read" in caplog.text


# -- the thread ------------------------------------------------------------------------


@pytest.fixture
def running(tmp_path):
    desk = Desk(tmp_path)
    desk.journal._clock = module.time.monotonic
    thread = threading.Thread(target=desk.journal.run)
    thread.start()
    yield desk
    desk.journal.stop()
    thread.join(10)
    assert not thread.is_alive()


def test_the_thread_writes_what_is_noted_and_the_rest_at_its_end(running):
    made = running.add()
    running.journal.stop()
    made.finish("aborted")
    for thread in threading.enumerate():
        if thread.name.endswith("(run)"):
            thread.join(10)
    assert running.stored()[made.id].told["state"] == "aborted"


def test_what_could_not_be_written_at_the_end_is_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "STOP_S", 0.05)
    desk = Desk(tmp_path / "gone")
    desk.journal._clock = module.time.monotonic
    desk.add()
    desk.journal.stop()
    with caplog.at_level(logging.ERROR):
        desk.journal.run()
    assert "1 changes of states are not in" in caplog.text
