"""What the last life of the service left: repaired, marked interrupted, armed again.

The journal tells which acquisitions were not over, the list of open files which files
nobody closed. Either may be missing: a locked journal, a disk that was full.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import h5py
import msgspec

from srx_service.acquisitions import TERMINAL, Acquisition, ArmRequest
from srx_service.apart import repair_apart
from srx_service.counts import COUNTS, settle
from srx_service.errors import WriteError
from srx_service.journal import Journal
from srx_service.journalfile import Entry
from srx_service.layout import made_by
from srx_service.openfiles import FileLock, OpenFile, OpenFiles
from srx_service.remains import Remains, remains_of
from srx_service.repair import Report, repair_left_over
from srx_service.routing import Router
from srx_service.rows import count_frames
from srx_service.superblock import SIZE

logger = logging.getLogger(__name__)

CAUSE = "the service was killed, or its machine stopped"
RECEIVERS = ("received", "late", "duplicate", "stale", "surplus")
"""Counts of the receive thread: the journal may know more of them than the file."""

Reports = Mapping[Path, Report | WriteError]


class LastLife(msgspec.Struct, frozen=True):
    """What is known of it, and what is still to be done."""

    entries: list[Entry]
    """Acquisitions that are over, newest first."""
    armed: Entry | None
    """To be armed again: no image had come for it."""
    interrupted: Entry | None
    """The one whose series was open, if one was."""

    @property
    def past(self) -> list[dict[str, Any]]:
        """What is told of the acquisitions that are over, newest first."""
        return [entry.told for entry in self.entries]


def recover(
    journal: Journal,
    open_files: OpenFiles,
    dataset: str,
    mend: Callable[[Path], Report] = repair_apart,
) -> LastLife:
    """Repair what was left open and settle what was not over.

    Args:
        journal: What could be read of it decides; what is found out is put into it.
        open_files: Of the last life.
        dataset: Where the frames are in a file, for files that the journal lacks.
        mend: Repairs a file, or raises WriteError.
    """
    entries, left_over = journal.load(), open_files.left_over()
    reports = repair_left_over(open_files, mend)
    known = {entry.told["id"] for entry in entries}
    unknown = [
        _entry_of(path, listed, dataset)
        for path, listed in left_over.items()
        if listed.acquisition not in known
    ]
    armed = interrupted = None
    newest = next(iter(entries), None)
    for entry in [*unknown, *entries]:
        state = entry.told["state"]
        if state in TERMINAL:
            continue
        # the newest or none: whatever came later, it waits no more
        if entry is newest and _can_be_armed(entry, reports):
            armed = entry
            logger.warning("acquisition %s is armed again", entry.told["id"])
            continue
        if interrupted is None and state == "running":
            interrupted = entry
        _interrupt(entry, reports, mend)
        journal.amend(entry)
        text = "acquisition %s was %s when the service ended: interrupted at row %d"
        logger.warning(text, entry.told["id"], state, entry.told["rows"])
    rest = [entry for entry in [*unknown, *entries] if entry is not armed]
    return LastLife(rest, armed, interrupted)


def arm_again(last_life: LastLife, router: Router) -> None:
    """Arm what was armed, as it was patched meanwhile, with a lease of full length."""
    if (entry := last_life.armed) is None:
        return
    told = entry.told
    given = {"file": told["file"], "expected": told["expected"]}
    request = msgspec.structs.replace(entry.request, **given)
    acquisition = router.arm_again(request, told["id"])
    acquisition.pinned_id = entry.pinned_id
    acquisition.created_s = told["created_s"]
    if request.lease_s is not None:
        acquisition.lease_until_s = time.monotonic() + request.lease_s


def _entry_of(path: Path, listed: OpenFile, dataset: str) -> Entry:
    """Return what can be told of an acquisition that only the list of files knows."""
    request = ArmRequest(file=str(path))
    acquisition = Acquisition(
        request, origin="stream", dataset=dataset, skip_missing=False
    )
    acquisition.id = listed.acquisition
    acquisition.state = "running"
    with suppress(ValueError):
        acquisition.created_s = datetime.fromisoformat(listed.since).timestamp()
    return Entry(told=acquisition.as_dict(), request=request)


# -- armed -----------------------------------------------------------------------------


def _can_be_armed(entry: Entry, reports: Reports) -> bool:
    """True for what waited for its first series; its empty file is removed."""
    told = entry.told
    if told["state"] != "armed" or told["origin"] != "api":
        return False
    path = None if told["file"] is None else Path(told["file"])
    if path is None or not path.exists():
        return True
    report = reports.get(path)
    if not isinstance(report, Report) or report.rows or not _is_own(path, told["id"]):
        return False
    try:
        path.unlink()
    except OSError as error:
        logger.error("%s holds nothing and cannot be made anew: %s", path, error)
        return False
    return True


def _is_own(path: Path, identifier: str) -> bool:
    """True for a file without frames that was made for this very acquisition."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return made_by(file) == ("api", identifier) and not count_frames(file)
    except (OSError, RuntimeError, KeyError, ValueError):
        return False


# -- interrupted -----------------------------------------------------------------------


def _interrupt(entry: Entry, reports: Reports, mend: Callable[[Path], Report]) -> None:
    """Settle what was not over, by what is in its file now."""
    told = entry.told
    told |= {"state": "interrupted", "is_idle": True, "finished_s": time.time()}
    told["error"] = told["error"] or CAUSE
    remains = None
    if told["file"] is not None:
        path = Path(told["file"])
        try:
            report = reports.get(path) or mend(path)
            if isinstance(report, WriteError):
                raise report
            remains = remains_of(path, told["dataset"])
        except WriteError as error:
            told["note"] = str(error)
            _remove_if_empty(path)
    if remains is not None and remains.acquisition != told["id"]:
        remains = None
    told["rows"] = remains.rows if remains else 0
    told["holes"] = remains.holes if remains else []
    told["counts"] = _counts(told, remains)


def _remove_if_empty(path: Path) -> None:
    """Remove a file that its writer only just had made."""
    with suppress(OSError, WriteError), FileLock(path, "the service, at its start"):
        if (size := path.stat().st_size) <= SIZE:
            path.unlink()
            text = "%s had %d bytes, no more than a superblock, and is removed"
            logger.warning(text, path, size)


def _counts(told: dict[str, Any], remains: Remains | None) -> dict[str, int]:
    """Return counts that add up: what was received and is in no file is unsaved."""
    noted = dict.fromkeys(COUNTS, 0) | told["counts"]
    if remains is None or remains.counts is None:
        counts = noted | {"written": 0, "unsaved": 0}
    else:
        counts = {name: remains.counts[name] for name in COUNTS} | {"unsaved": 0}
        if noted["received"] > counts["received"]:  # it was noted later
            counts |= {name: noted[name] for name in RECEIVERS}
    settle(counts, told["expected"])
    counts["received"] -= min(0, counts["unsaved"])
    counts["unsaved"] = max(0, counts["unsaved"])
    return counts
