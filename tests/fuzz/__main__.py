"""`python -m tests.fuzz`: feed targets with mutations, and tell what became of them.

Ends with 1 where a target raised; the input is kept in `--keep`, so that it can be fed
again with `--replay FILE`, and put into the corpus once the defect is mended.
"""

import argparse
import multiprocessing
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.feeding import feed
from tests.fuzz.targets import TARGETS

SLICE = 10_000
"""Mutations by one process, one after the other: each slice has a seed of its own."""


def run(arguments: argparse.Namespace) -> int:
    """Print a row for each target; return how many inputs made one raise."""
    tasks = [
        (name, min(SLICE, arguments.count - first), f"{arguments.seed}-{first}")
        for name in arguments.targets or TARGETS
        for first in range(0, arguments.count, SLICE)
    ]
    outcomes: dict[str, Counter[str]] = {}
    faults: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with context.Pool(arguments.jobs, maxtasksperchild=20) as pool:
        found = pool.imap_unordered(feed, [(*t, arguments.keep) for t in tasks])
        for name, came, wrong, took_s in found:
            outcomes.setdefault(name, Counter()).update(came)
            faults[name] += wrong
            seconds[name] += took_s  # pyright: ignore[reportArgumentType]
    print("| target | inputs | what became of them | defects | CPU s |")
    print("|---|---|---|---|---|")
    for name, came in outcomes.items():
        told = ", ".join(f"{kind} {count:,}" for kind, count in came.most_common())
        total = came.total() + faults[name]
        print(f"| {name} | {total:,} | {told} | {faults[name]} | {seconds[name]:.0f} |")
    return faults.total()


def write_corpus() -> None:
    """Make the seeds of every target anew; what was found stays."""
    for name, make in TARGETS.items():
        with closing(make()) as target:
            seeds = dict(target.seeds())
        corpus.save(name, corpus.renewed(corpus.load(name), seeds))


def main(argv: Sequence[str] | None = None) -> int:
    """Do as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    parser.add_argument("--count", type=int, default=20_000, help="of each target")
    parser.add_argument("--seed", default="0")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--replay", type=Path, help="feed one target with a file")
    parser.add_argument("--corpus", action="store_true", help="make the seeds anew")
    arguments = parser.parse_args(argv)
    if arguments.corpus:
        write_corpus()
        return 0
    if arguments.replay:
        [target] = arguments.targets or parser.error("name one target")
        with closing(TARGETS[target]()) as made:
            print(made.run(arguments.replay.read_bytes()))
        return 0
    return 1 if run(arguments) else 0


if __name__ == "__main__":
    sys.exit(main())
