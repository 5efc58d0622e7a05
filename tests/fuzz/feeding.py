"""Many inputs to a target, one after the other."""

import logging
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS, mutations

SLOW_S = 5.0
"""An input that takes so long is a defect, too."""
KEPT = 5
"""Of the inputs that raise in a slice: thousands are mostly one defect."""


def fuzz(target: str, count: int, seed: str, keep: Path) -> tuple[Counter[str], int]:
    """Return how often each outcome came, and how many inputs made it raise."""
    logging.disable(logging.CRITICAL)
    made, inputs = TARGETS[target](), corpus.load(target)
    outcomes: Counter[str] = Counter()
    faults = 0
    for text in mutations(made, inputs, count, seed):
        begun_s = time.process_time()
        try:
            outcomes[made.run(text)] += 1
            assert time.process_time() - begun_s < SLOW_S, "it took too long"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a defect
            faults += 1
            if faults <= KEPT:
                _tell(target, text, error, keep)
    made.close()
    return outcomes, faults


def _tell(target: str, text: bytes, error: Exception, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    file = keep / f"{target.replace(' ', '_')}-{abs(hash(text)):x}"
    file.write_bytes(text)
    told = "".join(traceback.format_exception(error))[-2000:]
    print(f"{target}: {file}\n{told}", file=sys.stderr)


def feed(task: tuple[str, int, str, Path]) -> tuple[str, Counter[str], int, float]:
    """Do as `fuzz`; return the target, too, and the seconds it took."""
    begun_s = time.process_time()
    outcomes, faults = fuzz(*task)
    return task[0], outcomes, faults, time.process_time() - begun_s
