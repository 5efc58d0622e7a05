"""HTTP client of the service; knows no Bluesky."""

import contextlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Self

from srx_ophyd.endpoint import Endpoint, Json, RemoteError

TERMINAL_STATES = frozenset({"done", "failed", "aborted"})
HOLES = ("missing", "rejected")
"""Counts of rows that hold no frame: it never came, or could not be read."""


class ServiceError(RemoteError):
    """The service refused a request or cannot be reached."""


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What the service said of one acquisition."""

    id: str
    state: str
    """armed, running, finishing, done, failed or aborted."""
    error: str | None
    """Why it failed."""
    origin: str
    """"api", or "stream" where the source itself named the file."""
    file: str | None
    """As the service sees it."""
    dataset: str
    shape: tuple[int, ...] | None
    """Of a frame in pixels, slowest axis first: (2162, 2068) for an Eiger2 4M."""
    dtype: str | None
    chunk: tuple[int, ...] | None
    """[frames, y, x]; None before the first frame."""
    series_id: int | None
    rows: int
    """Durable rows: what a reader of the file may read now."""
    counts: dict[str, int] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    """What the client that armed it said."""

    @classmethod
    def from_json(cls, answer: Json) -> Self:
        """Read it out of the service's answer.

        Raises:
            ServiceError: The answer lacks what every acquisition has.
        """
        try:
            return cls(
                id=answer["id"],
                state=answer["state"],
                error=answer.get("error"),
                origin=answer.get("origin", "api"),
                file=answer.get("file"),
                dataset=answer["dataset"],
                shape=_lengths(answer.get("shape")),
                dtype=answer.get("dtype"),
                chunk=_lengths(answer.get("chunk")),
                series_id=answer.get("series_id"),
                rows=answer["rows"],
                counts=answer.get("counts") or {},
                metadata=answer.get("metadata") or {},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ServiceError(f"not an acquisition: {answer!r:.200}") from error

    @property
    def is_over(self) -> bool:
        """True when nothing more will be written to its file."""
        return self.state in TERMINAL_STATES

    @property
    def holes(self) -> int:
        """Rows without a frame, because it never came or could not be read."""
        return sum(self.counts.get(name, 0) for name in HOLES)


class ServiceClient:
    """The service's interface, version 1.

    Args:
        url: Where it listens: "http://daq-eiger:5000".
        timeout_s: For connecting and for each answer.
        token: What `SRX_API_TOKEN` of the service says, where it is set.
    """

    def __init__(
        self, url: str, timeout_s: float = 3.0, token: str | None = None
    ) -> None:
        base = url.rstrip("/").removesuffix("/api/v1")
        self.url = base
        self.timeout_s = timeout_s
        self._root = self._endpoint(base, token)
        self._api = self._endpoint(f"{base}/api/v1", token)

    def _endpoint(self, url: str, token: str | None) -> Endpoint:
        return Endpoint(
            "srx service",
            url,
            timeout_s=self.timeout_s,
            token=token,
            error=ServiceError,
        )

    def status(self) -> dict[str, Any]:
        """Return state and counters of the line."""
        return self._root.request("GET", "/status")

    def check_ready(self) -> None:
        """Raise ServiceError unless it can take data."""
        self._root.request("GET", "/readyz")

    def detector(self) -> dict[str, Any]:
        """Return the detector's configuration."""
        return self._api.request("GET", "/detector")

    def acquisitions(self) -> list[Acquisition]:
        """Return those it remembers, newest first."""
        answer = self._api.request("GET", "/acquisitions")
        return [Acquisition.from_json(one) for one in answer["acquisitions"]]

    def acquisition(
        self, id: str, wait_frames: int | None = None, timeout_s: float = 0.0
    ) -> Acquisition:
        """Return one; with `wait_frames` when it has so many, or `timeout_s` later."""
        params = None
        if wait_frames is not None:
            params = {"wait_frames": wait_frames, "timeout": timeout_s}
        return self._one("GET", id, params=params, extra_s=timeout_s)

    def arm(self, **request: Json) -> Acquisition:
        """Arm an acquisition; `request` is the body of POST /acquisitions."""
        try:
            answer = self._api.request("POST", "/acquisitions", request)
        except ServiceError as error:
            # Sent but not answered: arming again would find our own one in the way.
            found = self._with_file(request.get("file")) if error.may_be_done else None
            if found is None:
                raise
            return found
        return Acquisition.from_json(answer)

    def patch(self, id: str, **changes: Json) -> Acquisition:
        """Change `expected` or `series_id`."""
        return self._one("PATCH", id, changes)

    def stop(self, id: str, timeout_s: float = 5.0) -> Acquisition:
        """Finish with what is there; the state is `finishing` if that takes longer."""
        params = {"timeout": timeout_s}
        return self._one("POST", f"{id}/stop", params=params, extra_s=timeout_s)

    def abort(self, id: str) -> Acquisition:
        """End it for good; the rows that are there stay."""
        return self._one("POST", f"{id}/abort")

    def rewind(self, id: str, rows: int) -> Acquisition:
        """Give up all rows from `rows` on; the next series continues there."""
        return self._one("POST", f"{id}/rewind", {"rows": rows})

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._root.close()
        self._api.close()

    def _one(
        self,
        method: str,
        path: str,
        body: Json = None,
        *,
        params: dict[str, Any] | None = None,
        extra_s: float = 0.0,
    ) -> Acquisition:
        return Acquisition.from_json(
            self._api.request(
                method,
                f"/acquisitions/{path}",
                body,
                params=params,
                timeout_s=self.timeout_s + extra_s,
            )
        )

    def _with_file(self, file: str | None) -> Acquisition | None:
        # By its name alone: the service may have resolved a link on the way to it.
        name = PurePosixPath(file).name if file else None
        with contextlib.suppress(ServiceError):
            for acquisition in self.acquisitions() if name else ():
                if acquisition.file and PurePosixPath(acquisition.file).name == name:
                    return acquisition
        return None


def _lengths(value: Json) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)
