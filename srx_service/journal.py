"""What became of each acquisition, kept on disk by a thread that nobody waits for.

Whoever changes a state only leaves a note. The thread writes it, and once a second the
counts of what is not over. A journal that is locked, full or damaged is told in
/status; what cannot be written waits, and the line goes on.
"""

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from srx_service.acquisitions import Acquisition
from srx_service.journalfile import Change, Entry, JournalFile

logger = logging.getLogger(__name__)

COUNTED_EVERY_S = 1.0
APART_S = 0.02
"""Changes that come closer together are written together."""
WAITING_KEPT = 2_000
"""Changes of states that may wait to be written; further ones are left out, counted."""
STOP_S = 1.0
"""At its end what waits is tried to be written for so long."""
RECOVERABLE = (sqlite3.OperationalError, sqlite3.NotSupportedError, OSError)
"""What does not mean that the file is damaged: it is tried again as it is."""


class _Page:
    """What is still to be written of one acquisition."""

    def __init__(self, source: Acquisition | Entry) -> None:
        self.source = source
        self.changes: list[Change] = []
        self.written: Entry | None = None
        """As it was written last."""

    def entry(self) -> Entry:
        """Return what is to be written now."""
        source = self.source
        if isinstance(source, Entry):
            return source
        return Entry(
            told=source.as_dict(), request=source.request, pinned_id=source.pinned_id
        )

    @property
    def is_over(self) -> bool:
        """True once it will not change any more."""
        return isinstance(self.source, Entry) or self.source.is_over


class Journal:
    """Any thread leaves notes; `run` is the body of the thread that writes them.

    Args:
        state_dir: Where its file is, `<name>-journal.sqlite`.
        name: The detector's entry in detectors.yaml.
        clock: Seconds, ever growing.
    """

    def __init__(
        self, state_dir: Path, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.path = state_dir / f"{quote(name, safe=' ')}-journal.sqlite"
        self._failure: str | None = None
        """Why it was not written the last time."""
        self._damage: str | None = None
        self._clock = clock
        self._file: JournalFile | None = None
        self._notes: deque[tuple[Acquisition | Entry, Change]] = deque()
        self._left_out = 0
        self._pages: dict[str, _Page] = {}
        """By id: what is not over, and what is not yet written."""
        self._bell = threading.Event()
        self._is_stopping = False
        self._counted_s = clock()

    # -- the start --------------------------------------------------------------------

    def load(self) -> list[Entry]:
        """Return the acquisitions of earlier lives, newest first; before `run`."""
        entries: list[Entry] = []

        def read(file: JournalFile) -> None:
            entries.extend(file.load())

        self._try(read)
        return entries

    # -- any thread -------------------------------------------------------------------

    def note(self, acquisition: Acquisition) -> None:
        """Have a new acquisition, or a change of its state, written; never waits."""
        self._leave(acquisition, acquisition.state, acquisition.error)

    def amend(self, entry: Entry) -> None:
        """Have what became of an acquisition of an earlier life written."""
        self._leave(entry, entry.told["state"], entry.told["error"])

    def _leave(
        self, source: Acquisition | Entry, state: str, error: str | None
    ) -> None:
        if len(self._notes) >= WAITING_KEPT:
            self._left_out += 1
            return
        self._notes.append((source, Change(time.time(), state, error)))
        self._bell.set()

    @property
    def problem(self) -> str | None:
        """Why it is not written, or what became of an older one; None: all is well."""
        return self._failure or self._damage

    @property
    def waiting(self) -> int:
        """Changes of states that are not written yet, or were left out."""
        return self._unwritten + self._left_out

    @property
    def _unwritten(self) -> int:
        pages = list(self._pages.values())
        return len(self._notes) + sum(len(page.changes) for page in pages)

    def shown(self) -> dict[str, Any]:
        """Return what /status and /metrics tell of it."""
        return {"journal": self.problem, "journal_waiting": self.waiting}

    def stop(self) -> None:
        """Let `run` return once what waits is written, or cannot be."""
        self._is_stopping = True
        self._bell.set()

    # -- the thread -------------------------------------------------------------------

    def run(self) -> None:
        """Write what is noted until `stop`."""
        while not self._is_stopping:
            self._bell.wait(self._patience_s)
            self._round()
            if self._bell.is_set():
                time.sleep(APART_S)
        deadline_s = self._clock() + STOP_S
        while self._unwritten and self._clock() < deadline_s:
            self._round()
            time.sleep(0.01)
        if self.waiting:
            logger.error("%d changes of states are not in %s", self.waiting, self.path)
        self._close()

    @property
    def _patience_s(self) -> float | None:
        """Seconds until there is something to do without a note; None: there is not."""
        if not self._pages and not self._notes:
            return None
        return max(0.0, self._counted_s + COUNTED_EVERY_S - self._clock())

    def _round(self) -> None:
        """Write the notes, and the counts if it is time for them."""
        self._bell.clear()
        is_new = self._take_up()
        is_due = self._clock() >= self._counted_s + COUNTED_EVERY_S
        if is_due:
            self._counted_s = self._clock()
        # what failed is tried again each second, not at each note
        if is_due or (is_new and self._failure is None) or self._is_stopping:
            self._write()

    def _take_up(self) -> bool:
        notes, pages = self._notes, self._pages
        is_new = bool(notes)
        room = WAITING_KEPT - sum(bool(page.changes) for page in pages.values())
        for _ in range(min(room, len(notes))):
            source, change = notes.popleft()
            id = source.told["id"] if isinstance(source, Entry) else source.id
            page = pages.setdefault(id, _Page(source))
            page.source = source
            page.changes.append(change)
        return is_new

    def _write(self) -> None:
        pages = list(self._pages.values())
        # asked first: what is over by now changes no more while it is looked at
        over = [page for page in pages if page.is_over]
        entries = [(page, page.entry(), len(page.changes)) for page in pages]
        changed = [each for each in entries if each[2] or each[1] != each[0].written]
        if not changed:
            self._part_with(over)
            return
        rows = [(entry, page.changes) for page, entry, _ in changed]
        if not self._try(lambda file: file.store(rows)):
            return
        for page, entry, count in changed:
            page.written = entry
            del page.changes[:count]
        self._part_with(over)

    def _part_with(self, over: list[_Page]) -> None:
        done = {id(page) for page in over if not page.changes}
        kept = {k: page for k, page in self._pages.items() if id(page) not in done}
        self._pages = kept

    # -- the file ---------------------------------------------------------------------

    def _try(self, do: Callable[[JournalFile], Any]) -> bool:
        """Do something with the file; return whether that worked."""
        try:
            if self._file is None:
                self._file = JournalFile(self.path)
            do(self._file)
        except RECOVERABLE as error:
            self._close()  # opened anew it may do: its file was replaced, say
            self._tell(f"{self.path} cannot be used: {error}")
            return False
        except sqlite3.Error as error:
            self._set_aside(error)
            return False
        if self._failure is not None:
            logger.info("%s is written again", self.path)
        self._failure = None
        return True

    def _tell(self, problem: str) -> None:
        if problem != self._failure:
            logger.warning("%s; the line goes on, changes wait", problem)
        self._failure = problem

    def _set_aside(self, error: sqlite3.Error) -> None:
        """Begin anew with what is still known; the damaged file is kept."""
        self._close()
        kept = self.path.with_suffix(".damaged")
        try:
            self.path.replace(kept)
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except OSError as in_the_way:
            self._tell(f"{self.path} is damaged ({error}) and stays: {in_the_way}")
            return
        text = "%s is damaged, kept as %s: %s; a new one is begun"
        logger.error(text, self.path, kept, error)
        for page in self._pages.values():
            page.written = None
        self._failure = None
        self._damage = f"{self.path} was damaged: it is kept as {kept}, and begun anew"

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None
