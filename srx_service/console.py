"""What commands share that run until told to stop: a JSON line, signals as an event."""

import argparse
import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import TypeVar

Number = TypeVar("Number", int, float)


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """Turn SIGTERM and SIGINT into an event, for as long as the block runs."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def print_line(content: Mapping[str, object]) -> None:
    """Write one JSON line to standard output, at once."""
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


def complain(command: str, error: Exception) -> int:
    """Write to standard error what is in the way; return the exit code."""
    sys.stderr.write(f"{command}: {error}\n")
    return 1


def within(
    kind: Callable[[str], Number], least: Number, most: Number
) -> Callable[[str], Number]:
    """Return a `type` for argparse: a number that is not out of range."""

    def read(text: str) -> Number:
        try:
            number = kind(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no number from {least} to {most}"
            )
        return number

    return read
