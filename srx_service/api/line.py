"""What the HTTP layer is given: the running line, its last frame, its settings."""

import dataclasses
from typing import Annotated, Any, Protocol

from fastapi import Depends
from fastapi.requests import HTTPConnection
from msgspec import UnsetType

from srx_service.acquisitions import ArmRequest
from srx_service.api.limits import Limits
from srx_service.api.tokens import Tokens
from srx_service.errors import ConfigError
from srx_service.latest import Latest


class Line(Protocol):
    """The running line, as far as HTTP may see and steer it.

    Nothing here blocks: what takes time is awaited. What cannot be met raises
    RequestError.
    """

    def status(self) -> dict[str, Any]:
        """Return the predecessor's `state` and `error`, and what is worth a look."""
        ...

    def received_frames(self) -> int:
        """Return the images received since the last header."""
        ...

    def is_receiving(self) -> bool:
        """True while the images of an acquisition come and until its file is closed."""
        ...

    async def wait_while_receiving(self, timeout_s: float) -> None:
        """Return once that is over, at the latest at timeout."""
        ...

    def detector(self) -> dict[str, Any]:
        """Return the configuration, without secrets."""
        ...

    def is_ready(self) -> bool:
        """True while data can be taken."""
        ...

    def about(self) -> dict[str, str]:
        """Return which detector this is, of which class, and the service's version."""
        ...

    def metrics(self) -> dict[str, float | dict[str, float]]:
        """Return what `srx_service.metrics` turns into text."""
        ...

    def acquisitions(self, limit: int) -> list[dict[str, Any]]:
        """Return so many of those still known, newest first."""
        ...

    async def acquisition(
        self,
        id: str,
        wait_frames: int | None = None,
        timeout_s: float = 0.0,
        *,
        renews: bool = True,
    ) -> dict[str, Any]:
        """Return one once it has so many rows or is over, at the latest at timeout.

        Its lease is renewed unless whoever asks may only look.
        """
        ...

    async def arm(self, request: ArmRequest) -> dict[str, Any]:
        """Make an acquisition that waits for its first series."""
        ...

    async def patch(
        self, id: str, *, expected: int | UnsetType | None, series_id: int | None
    ) -> dict[str, Any]:
        """Set the frames to expect, or pin the series; UNSET and None leave them."""
        ...

    async def stop(self, id: str, timeout_s: float) -> dict[str, Any]:
        """Finish with what is there; answer when the file is closed or at timeout."""
        ...

    async def abort(self, id: str) -> dict[str, Any]:
        """End it as aborted."""
        ...

    async def rewind(self, id: str, rows: int) -> dict[str, Any]:
        """Give up all rows from `rows` on; the next series continues there."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)
class ApiSettings:
    """Who may do what over HTTP, and how much of it."""

    token: str | None = dataclasses.field(default=None, repr=False)
    """One or several, as Tokens reads them: asked of whoever changes state, in an
    Authorization header; None: of nobody."""
    protect_reads: bool = False
    """True: asked of whoever reads, too, but for /healthz and /readyz."""
    pickle_route: bool = True
    """False: no GET /last_frame; who reads a pickle runs what its sender likes."""
    origins: frozenset[str] = frozenset()
    """Of other sites' pages that may use the service: "https://daq.example.org"."""
    limits: Limits = dataclasses.field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what would look like protection and be none."""
        is_open = not self.tokens()
        if self.protect_reads and is_open:
            raise ConfigError("protect_reads: needs a token, set SRX_API_TOKEN")

    def tokens(self) -> Tokens:
        """Return the tokens."""
        return Tokens(self.token)


async def _line(connection: HTTPConnection) -> Line:
    return connection.app.state.line


async def _latest(connection: HTTPConnection) -> Latest:
    return connection.app.state.latest


async def _may_control(connection: HTTPConnection) -> bool:
    return connection.app.state.tokens.may_control(connection.headers)


TheLine = Annotated[Line, Depends(_line)]
"""The running line, as an argument of a route."""
TheLatest = Annotated[Latest, Depends(_latest)]
"""The last frame, as an argument of a route."""
MayControl = Annotated[bool, Depends(_may_control)]
"""Whether the caller may change state, as an argument of a route that only reads."""
