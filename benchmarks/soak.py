"""`python -m benchmarks.soak`: hours of a beamline's life, pressed into minutes.

One service, thousands of acquisitions of changing shape, faults of all kinds, clients
that come and go. Every frame that is made has to be in its row of its file, or in the
count that tells what became of it; and what the service holds has to stay the same.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import records, table
from benchmarks.soaking import plot
from benchmarks.soaking.program import Held, Program
from benchmarks.soaking.rounds import Round
from benchmarks.soaking.sampling import Samples, after_warm_up, grown, thinned
from benchmarks.soaking.source import Source
from benchmarks.verdicts import Figure, Measured

DOCS = records.HERE.parent / "docs" / "explanations"
FAULTY_A_MINUTE = 500
"""Series sent under faults: 10,000 in 20 minutes."""
WARM_UP = 0.5
"""Of the time: caches fill, the list of acquisitions that are over, and what malloc
keeps for the largest of everything."""
MOST_MIB, MOST_FILES, MOST_THREADS = 12.0, 1.0, 0.5
"""By so much what is held at rest may grow after that, in all."""
SHOWN = 20
"""Differences printed: the first ones."""


class Soaked(NamedTuple):
    """What a soak found."""

    measured: Measured
    differences: list[str]
    """Between what was due and what was found."""
    complaints: list[str]
    """Lines of the service's log that must not be there."""


def main(words: list[str] | None = None) -> int:
    """Soak, print the table, keep it and draw it; 1 where a figure is missed."""
    options = _parser().parse_args(words)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    with tempfile.TemporaryDirectory(dir=options.target) as folder:
        found = soak(Path(folder), options.minutes, seed, print)
    name = f"soak, {options.minutes:g} minutes"
    kept = records.record(name, found.measured, table=1, repeat=1)
    for line in table.markdown([kept]):
        print(line)
    for text in [*found.differences[:SHOWN], *found.complaints[:SHOWN]]:
        print(text)
    if not options.no_save:
        options.save.write_text(json.dumps(kept, indent=None) + "\n")
        plot.draw(options.plot, title_of(kept), kept["details"])
    return int(bool(table.misses([kept])))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak", description=__doc__
    )
    parser.add_argument("--minutes", type=float, default=20.0, help="how long (20)")
    parser.add_argument("--seed", type=int, help="decides what happens; else by chance")
    parser.add_argument("--target", type=Path, default=Path("/dev/shm"), help="files")
    parser.add_argument("--save", type=Path, default=records.RESULTS / "soak.json")
    parser.add_argument("--plot", type=Path, default=DOCS / "soak.svg")
    parser.add_argument("--no-save", action="store_true", help="print only")
    return parser


def soak(
    folder: Path, minutes: float, seed: int, tell: Callable[[str], object]
) -> Soaked:
    """Run rounds until the time is over; return what they showed.

    Args:
        folder: For files, configuration and log.
        minutes: How long; the last round is played to its end, and LEAST_ROUNDS are.
        seed: Decides what happens.
        tell: Told a line after each round.
    """
    program = Program(folder)
    source = Source(program.source_port)
    samples = Samples(program)
    rounds = Round(program, source, seed)
    until_s = time.monotonic() + 60 * minutes
    try:
        while time.monotonic() < until_s or len(samples.at_rest) < LEAST_ROUNDS:
            rounds.run()
            samples.rest()
            tell(_line(rounds, samples.at_rest[-1]))
    finally:
        samples.close()
        source.close()
        code = program.close()
    complaints = program.complaints() + [f"exit code {code}"] * (code != 0)
    measured = Measured(
        figures(rounds, samples, complaints, minutes),
        details(rounds, samples, source, seed, minutes),
    )
    return Soaked(measured, rounds.differences, complaints)


def figures(
    rounds: Round, samples: Samples, complaints: list[str], minutes: float
) -> tuple[Figure, ...]:
    """Return what is asked of it."""
    made, counts = rounds.made, rounds.counts
    beside = f"{made['frames']:,} frames, {made['acquisitions']:,} acquisitions"
    told = ", ".join(f"{name} {counts[name]:,}" for name in sorted(counts))
    failed = sum(n for status, n in rounds.answers.items() if status == 500)
    least = FAULTY_A_MINUTE * minutes
    return (
        Figure("series under faults", made["faulty"], least=least, beside=beside),
        Figure("frames lost without being reported", rounds.unreported, most=0),
        Figure(
            "differences from what is due", len(rounds.differences), most=0, beside=told
        ),
        Figure("complaints in the log", len(complaints), most=0),
        Figure("HTTP answers 500", failed, most=0, beside=_clients(rounds)),
        *(_growth(samples, *each) for each in GROWTHS),
    )


LEAST_ROUNDS = 4
"""From fewer nobody can tell whether anything grows."""
GROWTHS = (
    ("memory_mib", "MiB", MOST_MIB),
    ("files", "file descriptors", MOST_FILES),
    ("threads", "threads", MOST_THREADS),
)


def _growth(samples: Samples, name: str, unit: str, most: float) -> Figure:
    settled = after_warm_up(samples.at_rest, WARM_UP)
    values = [float(getattr(sample, name)) for sample in settled]
    rise = grown([sample.at_s for sample in settled], values)
    beside = f"{min(values):g} to {max(values):g} at rest" if values else ""
    return Figure(f"{unit} grown", rise, most=most, beside=beside)


def _clients(rounds: Round) -> str:
    return f"{rounds.visits.total():,} clients, {rounds.answers.total():,} answers"


def details(
    rounds: Round, samples: Samples, source: Source, seed: int, minutes: float
) -> dict[str, Any]:
    """Return all that stands beside the figures, and what the picture is made of."""
    return {
        "seed": seed,
        "minutes": minutes,
        "rounds": rounds.rounds,
        "messages": source.messages,
        "restarts of the source": source.restarts,
        "made": dict(rounds.made),
        "counts": dict(rounds.counts),
        "clients": dict(rounds.visits),
        "answers": {str(status): n for status, n in rounds.answers.items()},
        "warm_up_s": 60 * WARM_UP * minutes,
        "samples": [list(held) for held in thinned(samples.all)],
        "at_rest": [list(held) for held in thinned(samples.at_rest)],
    }


def title_of(kept: dict[str, Any]) -> str:
    """Return what stands above the picture."""
    made = kept["details"]["made"]
    return (
        f"{made['series']:,} series, {made['faulty']:,} of them under faults, "
        f"{made['frames']:,} frames; {kept['date'][:10]}, {kept['commit']}"
    )


def _line(rounds: Round, held: Held) -> str:
    return (
        f"{held.at_s:7.1f} s  {rounds.made['series']:6} series  "
        f"{rounds.made['frames']:8} frames  {held.memory_mib:6.1f} MiB  "
        f"{held.files:4} files  {held.threads:3} threads  "
        f"{len(rounds.differences)} differences"
    )


if __name__ == "__main__":
    sys.exit(main())
