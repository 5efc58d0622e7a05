"""The journal's file: every acquisition in SQLite, for the next life of the service.

| table | a row for each | columns |
|---|---|---|
| `acquisitions` | acquisition | id, origin, created_s, request (JSON) |
| `progress` | acquisition | state, file, rows, counts and all that is told (JSON) |
| `changes` | change of a state | at_s (POSIX), state, error |

WAL: who looks with `sqlite3` is in nobody's way. `synchronous=NORMAL`: a commit waits
for no disk, and survives a kill of the service; a loss of power may take the last ones.
See https://www.sqlite.org/wal.html and https://www.sqlite.org/pragma.html.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from srx_service.acquisitions import PAST_KEPT, ArmRequest

logger = logging.getLogger(__name__)

VERSION = 1
KEPT = 10_000
"""Acquisitions; the oldest are taken out."""
KEPT_BYTES = 256 << 20
"""With more in the file half of them are taken out."""
LOADED_BYTES = 8 << 20
"""Of text, at most, is read at a start."""
BUSY_S = 0.5
"""Another program's lock is waited for so long, then tried again later."""
SCHEMA = """
CREATE TABLE acquisitions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    origin TEXT NOT NULL,
    created_s REAL NOT NULL,
    request TEXT NOT NULL
);
CREATE TABLE progress (
    id TEXT PRIMARY KEY REFERENCES acquisitions (id) ON DELETE CASCADE,
    state TEXT NOT NULL,
    file TEXT,
    error TEXT,
    finished_s REAL,
    rows INTEGER NOT NULL,
    counts TEXT NOT NULL,
    told TEXT NOT NULL,
    pinned_id INTEGER
);
CREATE TABLE changes (
    id TEXT NOT NULL REFERENCES acquisitions (id) ON DELETE CASCADE,
    at_s REAL NOT NULL,
    state TEXT NOT NULL,
    error TEXT
);
CREATE INDEX changes_by_id ON changes (id);
"""


class Change(NamedTuple):
    """A state, and since when."""

    at_s: float
    """POSIX time."""
    state: str
    error: str | None


class Entry(msgspec.Struct, kw_only=True):
    """What is kept of an acquisition."""

    told: dict[str, Any]
    """What the HTTP interface tells of it."""
    request: ArmRequest
    pinned_id: int | None = None
    """The series it was told to take, and did not get yet."""


class JournalFile:
    """One SQLite file. Used by one thread at a time.

    Raises:
        sqlite3.Error: It cannot be opened, now or ever.
    """

    def __init__(self, path: Path) -> None:
        self._known: set[str] = set()
        """Acquisitions that have their row in each table."""
        self._connection = sqlite3.connect(
            path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        ask = self._connection.execute
        ask("PRAGMA journal_mode = WAL")
        ask("PRAGMA synchronous = NORMAL")
        ask("PRAGMA foreign_keys = ON")
        version = ask("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            text = f"it was written by a newer srx: version {version}, not {VERSION}"
            raise sqlite3.NotSupportedError(text)
        if version < VERSION:
            script = f"BEGIN; {SCHEMA} PRAGMA user_version = {VERSION}; COMMIT;"
            self._connection.executescript(script)

    def close(self) -> None:
        """Close; what was not committed is not in it."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()

    # -- to write ---------------------------------------------------------------------

    def store(self, entries: Iterable[tuple[Entry, list[Change]]]) -> None:
        """Write what became of some acquisitions: all of it or nothing.

        Raises:
            sqlite3.Error: The file is locked, full, damaged …
        """
        known = set(self._known)
        with self._connection as connection:
            connection.execute("BEGIN IMMEDIATE")
            for entry, changes in entries:
                self._store(entry, known)
                rows = [(entry.told["id"], *change) for change in changes]
                connection.executemany("INSERT INTO changes VALUES (?, ?, ?, ?)", rows)
            if len(known) > len(self._known):
                self._prune()
        # what is forgotten is inserted once more, which does nothing
        self._known = known if len(known) < PAST_KEPT else set()

    def _store(self, entry: Entry, known: set[str]) -> None:
        told = entry.told
        if told["id"] not in known:
            self._insert(entry)
            known.add(told["id"])
        self._connection.execute(
            "UPDATE progress SET state = ?, file = ?, error = ?, finished_s = ?,"
            " rows = ?, counts = ?, told = ?, pinned_id = ? WHERE id = ?",
            (
                *(told[key] for key in ("state", "file", "error", "finished_s")),
                int(told["rows"]),
                _json(told["counts"]),
                _json({k: told[k] for k in told.keys() - {"metadata"}}),
                entry.pinned_id,
                told["id"],
            ),
        )

    def _insert(self, entry: Entry) -> None:
        told = entry.told
        self._connection.execute(
            "INSERT INTO acquisitions (id, origin, created_s, request)"
            " VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (told["id"], told["origin"], told["created_s"], _json(entry.request)),
        )
        self._connection.execute(
            "INSERT INTO progress (id, state, rows, counts, told)"
            " VALUES (?, '', 0, '', '') ON CONFLICT DO NOTHING",
            (told["id"],),
        )

    def _prune(self) -> None:
        ask = self._connection.execute
        pages, free, page_bytes = (
            ask(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        kept = KEPT
        if (pages - free) * page_bytes > KEPT_BYTES:
            kept = ask("SELECT count(*) FROM acquisitions").fetchone()[0] // 2
        newest = ask("SELECT max(number) FROM acquisitions").fetchone()[0]
        ask("DELETE FROM acquisitions WHERE number <= ?", (newest - kept,))

    # -- to read ----------------------------------------------------------------------

    def load(self) -> list[Entry]:
        """Return the last acquisitions, newest first.

        Raises:
            sqlite3.Error: It cannot be read.
        """
        entries: list[Entry] = []
        size_bytes = 0
        with contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(
                "SELECT request, told, pinned_id FROM acquisitions"
                " JOIN progress USING (id) ORDER BY number DESC LIMIT ?",
                (PAST_KEPT,),
            )
            for request, told, pinned_id in cursor:
                size_bytes += len(request) + len(told)
                if size_bytes > LOADED_BYTES:
                    break
                entry = _entry(request, told, pinned_id)
                if entry is not None:
                    entries.append(entry)
        return entries


def _entry(request: str, told: str, pinned_id: int | None) -> Entry | None:
    try:
        asked = msgspec.json.decode(request, type=ArmRequest)
        known = msgspec.json.decode(told, type=dict[str, Any])
    except msgspec.DecodeError as error:
        logger.warning("an acquisition of the journal cannot be read: %s", error)
        return None
    known["metadata"] = asked.metadata
    return Entry(told=known, request=asked, pinned_id=pinned_id)


def _json(value: object) -> str:
    # numpy's integers, of shapes say, are the only ones that JSON does not know
    return msgspec.json.encode(value, enc_hook=int).decode()
