"""`python -m benchmarks.bare run …`: the service without journal and free-space guard.

Only to see what these cost: nothing else knows a service without them.
"""

import sys
import threading

from srx_service import cli
from srx_service.journal import Journal
from srx_service.space import Space


class Idle:
    """A thread's body that waits until it is told to stop, in place of any other."""

    def __init__(self) -> None:
        self._is_stopped = threading.Event()

    def run(self) -> None:
        """Wait."""
        self._is_stopped.wait()

    def stop(self) -> None:
        """Let `run` return."""
        self._is_stopped.set()


def nothing(*_: object) -> None:
    """Do what is left of a method: nothing."""


def strip() -> None:
    """Take journal and guard away from the service that this process will be."""
    idle: dict[type, Idle] = {Journal: Idle(), Space: Idle()}
    for kind, names in {
        Journal: ("note", "amend"),
        Space: ("must_have_room", "follow", "grown", "leave"),
    }.items():
        for name in names:
            setattr(kind, name, nothing)
        body = idle[kind]
        setattr(kind, "run", lambda _, body=body: body.run())  # noqa: B010
        setattr(kind, "stop", lambda _, body=body: body.stop())  # noqa: B010


if __name__ == "__main__":
    strip()
    sys.exit(cli.main())
