import contextlib

import h5py
import pytest

from srx_service.acquisitions import Acquisitions, ArmRequest
from srx_service.counts import imbalance
from srx_service.journal import Journal
from srx_service.openfiles import OpenFiles
from srx_service.orders import Create
from srx_service.recovery import CAUSE, arm_again, recover
from srx_service.repair import repair
from srx_service.superblock import SIZE
from tests.service.line import Line
from tests.service.writing import DATASET, Desk, acquisition, image, images


class Life:
    """A service's writer and journal, which may end without a word."""

    def __init__(self, folder):
        self.folder = folder
        self.desk = Desk(folder)
        self.journal = Journal(folder / "state", "test")
        self.journal.load()
        self.acquisitions = Acquisitions(on_state=self.journal.note)

    def begin(self, **request):
        """An acquisition of a client, or one that the stream names."""
        made = acquisition(self.desk.file, **request)
        self.acquisitions.add(made)
        if request:
            self.desk.do(Create(made, append=False))
        else:
            self.desk.begin(made)
            made.state = "running"
        return made

    def write(self, made, *frames):
        self.desk.write(made, *frames)
        self.desk.flush()

    def note(self):
        self.journal._counted_s -= 2.0
        self.journal._round()

    def end(self):
        """As a kill does: what was flushed is there, and nothing is closed."""
        self.note()
        filing = self.desk.writer._filing
        if filing.file is not None:
            filing.file._storage.give_up(filing.file)
            filing.file = None
        self.journal._close()
        self.desk.open_files.close()

    def next(self):
        """What the next life finds."""
        self.end()
        with contextlib.closing(OpenFiles(self.folder / "state", "test")) as files:
            journal = Journal(self.folder / "state", "test")
            found = recover(journal, files, DATASET, repair)
            journal._round()
            journal._close()
        return found


@pytest.fixture
def life(tmp_path):
    made = Life(tmp_path)
    yield made
    made.journal._close()
    made.desk.open_files.close()


def counts(told):
    assert imbalance(told["counts"], told["expected"]) is None
    return {name: count for name, count in told["counts"].items() if count}


def test_a_first_life_finds_nothing(tmp_path):
    with contextlib.closing(OpenFiles(tmp_path, "test")) as files:
        found = recover(Journal(tmp_path, "test"), files, DATASET)
    assert (found.entries, found.armed, found.interrupted) == ([], None, None)


def test_what_was_over_is_told_as_it_was(life):
    made = life.begin()
    life.write(made, *images(0, 1))
    life.desk.end(made)
    (told,) = life.next().past
    assert (told["state"], told["id"], told["rows"]) == ("done", made.id, 2)


def test_what_was_running_is_interrupted_with_the_rows_of_its_file(life):
    made = life.begin()
    life.write(made, *images(0, 1, 2))
    life.desk.lose(made, 1)
    life.write(made, image(4))
    found = life.next()
    (told,) = found.past
    assert found.interrupted is found.entries[0]
    assert (told["state"], told["error"], told["rows"]) == ("interrupted", CAUSE, 5)
    assert told["holes"] == [3]
    assert counts(told) == {"received": 4, "written": 4, "missing": 1}


def test_what_was_received_and_is_in_no_file_is_unsaved(life):
    made = life.begin()
    life.write(made, *images(0, 1, 2))
    made.counts.received += 5
    made.counts.late += 1
    (told,) = life.next().past
    assert counts(told) == {"received": 8, "written": 3, "late": 1, "unsaved": 4}


def test_a_file_that_nothing_was_flushed_to_has_no_rows(life):
    made = life.begin()
    life.desk.write(made, *images(0, 1))
    (told,) = life.next().past
    assert (told["state"], told["rows"]) == ("interrupted", 0)
    assert counts(told) == {"received": 2, "unsaved": 2}


@pytest.mark.parametrize("size", [0, SIZE])
def test_a_file_that_was_only_just_made_is_removed(life, size):
    with h5py.File(life.folder / "new.h5", "w", libver="latest"):
        beginning = (life.folder / "new.h5").read_bytes()[:size]
    life.begin()
    life.end()
    life.desk.file.write_bytes(beginning)
    (told,) = Life(life.folder).next().past
    assert (told["state"], told["rows"]) == ("interrupted", 0)
    assert "its writer ended before anything was flushed" in told["note"]
    assert not life.desk.file.exists()


def test_rows_of_an_earlier_acquisition_are_not_its_own(life):
    life.desk.series(*images(0, 1))
    made = life.begin()
    life.write(made, *images(2, 3, 4))
    (told,) = life.next().past
    assert (told["rows"], counts(told)) == (3, {"received": 3, "written": 3})


def test_nor_are_they_where_it_had_none(life):
    life.desk.series(*images(0, 1))
    life.begin()
    (told,) = life.next().past
    assert (told["rows"], counts(told)) == (0, {})


def test_a_live_view_only_is_interrupted_too(life):
    made = acquisition(None)
    life.acquisitions.add(made)
    made.state, made.counts.received = "running", 7
    (told,) = life.next().past
    assert (told["state"], counts(told)) == (
        "interrupted",
        {"received": 7, "unsaved": 7},
    )


def test_a_file_that_the_journal_lacks_is_told_all_the_same(life):
    made = life.begin()
    life.write(made, *images(0, 1))
    life.note()
    life.journal._close()
    for path in (life.folder / "state").glob("*.sqlite*"):
        path.unlink()
    life.acquisitions = Acquisitions()
    life.journal._pages.clear()
    (told,) = life.next().past
    assert (told["id"], told["state"], told["rows"]) == (made.id, "interrupted", 2)
    assert told["file"] == str(life.desk.file)


def test_a_second_start_finds_it_settled(life):
    made = life.begin()
    life.write(made, *images(0, 1))
    first = life.next().past
    again = Life(life.folder)
    assert again.next().past == first


# -- armed -----------------------------------------------------------------------------


def test_what_was_armed_is_to_be_armed_again(life):
    made = life.begin(series="open", lease_s=60.0)
    made.expected, made.pinned_id = 9, 4
    found = life.next()
    assert found.past == []
    assert not life.desk.file.exists()
    line = Line()
    arm_again(found, line.router)
    again = line.newest
    assert (again.id, again.file, again.state) == (made.id, made.file, "armed")
    assert (again.expected, again.pinned_id) == (9, 4)
    assert again.request.lease_s == 60.0
    assert again.lease_until_s is not None
    assert again.created_s == made.created_s
    (create,) = line.router.take_orders()
    assert (create.acquisition, create.append) == (again, False)


def test_a_file_with_frames_is_never_made_anew(life):
    made = life.begin(series="open")
    life.write(made, image(0))
    found = life.next()
    assert found.armed is None
    assert (found.past[0]["state"], found.past[0]["rows"]) == ("interrupted", 1)


def test_a_file_of_others_is_never_made_anew(life):
    life.begin(series="open")
    life.end()
    life.desk.file.unlink()
    with h5py.File(life.desk.file, "w") as file:
        file["x"] = 1
    before = life.desk.file.read_bytes()
    found = Life(life.folder).next()
    assert (found.armed, found.past[0]["state"]) == (None, "interrupted")
    assert life.desk.file.read_bytes() == before


def test_what_others_came_after_is_not_armed_again(life):
    life.begin(series="open")
    later = acquisition(None)
    life.acquisitions.add(later)
    later.finish("done")
    found = life.next()
    assert found.armed is None
    assert [told["state"] for told in found.past] == ["done", "interrupted"]


def test_an_armed_live_view_is_armed_again(life):
    made = acquisition(None, series=1)
    life.acquisitions.add(made)
    found = life.next()
    assert found.armed.request == ArmRequest(series=1)
