"""`python -m benchmarks`: what the service does, beside what is asked of it.

Rates are ratios to a yardstick in C, or to another row. Machines are shared and noisy,
and noise only slows down: both run in turn, and the best of each is compared with the
best of the other. With three tables a figure is met if it is in two of them.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import records, table
from benchmarks.runs import QUICK, Effort, Place
from benchmarks.senders import CannotBuild, build
from benchmarks.works import WORKS, Measure, UnknownRow, named


def main(words: Sequence[str] | None = None) -> int:
    """Print the table; 1 when a figure is missed."""
    options = arguments().parse_args(words)
    if options.list:
        print("\n".join(WORKS))
        return 0
    if options.show:
        print("\n".join(table.markdown(records.read(options.show))))
        return 0
    effort = QUICK if options.quick else Effort(options.repeat, options.seconds)
    is_kept = not (options.quick or options.no_save)
    save = options.save or (records.default_file() if is_kept else None)
    try:
        works = named(options.only)
        found = measure_all(works, effort, options.tables, options.target, save)
    except (UnknownRow, CannotBuild) as error:
        raise SystemExit(str(error)) from None
    print()
    print("\n".join(table.markdown(found)))
    missed = table.misses(found)
    print(f"\nmissed: {'; '.join(missed) or 'none'}")
    return 1 if missed and not options.quick else 0


def arguments() -> argparse.ArgumentParser:
    """Return what may be asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--only", action="append", default=[], help="rows whose name contains this")
    add("--list", action="store_true", help="print the names of the rows")
    add("--repeat", type=int, default=6, help="runs of each side (6)")
    add("--seconds", type=float, default=3.0, help="least length of a run (3)")
    add("--tables", type=int, default=1, help="how often all of it is measured (1)")
    add("--target", type=Path, default=Path("/dev/shm"), help="where files are written")
    add("--save", type=Path, help="add the records to this file, not to results/DATE")
    add("--no-save", action="store_true", help="keep no records")
    add("--quick", action="store_true", help="a few frames, to see that all works")
    add("--show", type=Path, nargs="+", help="print the table of files of records")
    return parser


def measure_all(
    works: dict[str, Measure],
    effort: Effort,
    tables: int,
    target: Path,
    save: Path | None,
) -> list[table.Record]:
    """Return the records of all tables, printed and kept as they come."""
    found: list[table.Record] = []
    with (
        tempfile.TemporaryDirectory(prefix="srx-benchmarks-") as folder,
        tempfile.TemporaryDirectory(prefix="srx-benchmarks-", dir=target) as files,
    ):
        build(Path(folder))
        place = Place(Path(folder), Path(files))
        for number in range(1, tables + 1):
            for name, measure in works.items():
                measured = measure(place, effort)
                found.append(
                    records.record(name, measured, table=number, repeat=effort.repeat)
                )
                print("\n".join(table.lines(found[-1])), flush=True)
                if save is not None:
                    records.append(save, found[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
