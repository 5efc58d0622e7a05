"""Inputs chosen by the code they reach: atheris, which is libFuzzer for Python.

`python -m tests.fuzz.guided TARGET --count 200000` feeds one target; the input at which
it raises ends the process and is kept. Atheris is not installed with the tests: `pip
install atheris` where there is a wheel (Linux, CPython 3.11 to 3.13).
"""

import argparse
import logging
import sys
from collections import Counter
from pathlib import Path

from tests.fuzz import corpus

MAX_INPUT_BYTES = 1 << 16


def main() -> None:
    """Feed a target until so many inputs were tried.

    Inputs that reach new code are put into the folder `--keep`, and so is the one that
    makes the target raise.
    """
    import atheris  # pyright: ignore[reportMissingImports]

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"))
    arguments = parser.parse_args()
    # before anything imports what is to be watched
    with atheris.instrument_imports(include=["srx_service"]):
        from tests.fuzz.targets import TARGETS

    logging.disable(logging.CRITICAL)
    target = TARGETS[arguments.target]()
    outcomes: Counter[str] = Counter()

    def feed(text: bytes) -> None:
        outcomes[target.run(text)] += 1
        if outcomes.total() == arguments.count:
            print(f"{arguments.target}: {dict(outcomes)}", flush=True)

    folder = arguments.keep / arguments.target.replace(" ", "_")
    folder.mkdir(parents=True, exist_ok=True)
    for index, text in enumerate(corpus.load(arguments.target).values()):
        (folder / f"seed-{index}").write_bytes(text)
    options = [f"-runs={arguments.count}", f"-max_len={MAX_INPUT_BYTES}", "-timeout=30"]
    options.append(f"-artifact_prefix={arguments.keep}/")
    atheris.Setup([sys.argv[0], str(folder), *options], feed)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
