"""Statuses of asyncio whose text is their cause, as those of the classic device.

The RunEngine writes that text into the RunStop document and into the exception a user
sees. ophyd-async's own is the representation of a coroutine.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

from ophyd_async.core import AsyncStatus, WatchableAsyncStatus

from srx_ophyd.endpoint import RemoteError
from srx_ophyd.watch import AcquisitionError

TELLING = (RemoteError, AcquisitionError, ValueError, RuntimeError)
"""Errors whose text says all; of others the class is told as well."""


class TellingStatus(AsyncStatus[Any]):
    """Without progress."""

    def __repr__(self) -> str:
        """Return the cause of a failure."""
        error = self.exception()
        return super().__repr__() if error is None else _words(self._name, error)

    __str__ = __repr__


class TellingProgress(WatchableAsyncStatus[int]):
    """With progress."""

    def __repr__(self) -> str:
        """Return the cause of a failure."""
        error = self.exception()
        return super().__repr__() if error is None else _words(self._name, error)

    __str__ = __repr__


def unwrapped(method: Callable[..., Any]) -> Callable[..., AsyncIterator[Any]]:
    """Return the generator within a method that returns a status of it."""
    return inspect.unwrap(method)


def _words(name: str | None, error: BaseException) -> str:
    text = str(error)
    if not isinstance(error, TELLING):
        text = f"{type(error).__name__}: {text}"
    return text if not name or text.startswith(f"{name}: ") else f"{name}: {text}"
