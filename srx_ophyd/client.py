"""HTTP client of the service; knows no Bluesky."""

import contextlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Self

from srx_ophyd.endpoint import Endpoint, Json, RemoteError
from srx_ophyd.paths import another_path

TERMINAL_STATES = frozenset({"done", "failed", "aborted", "interrupted"})
HOLES = ("missing", "rejected")
"""Counts of rows that hold no frame: it never came, or could not be read."""
FILE_EXISTS = "exists and is never overwritten"
"""The service's words; 409 alone may mean that it is in use."""


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
    columns: dict[str, str] = field(default_factory=dict)
    """Where in the file each frame's `timestamp` and `sequence_number` stand; {} where
    the service does not tell."""
    hole_rows: tuple[int, ...] = ()
    """The last rows without a frame, a hundred at most; `holes` counts them all."""
    last_frame: dict[str, Any] = field(default_factory=dict)
    """`acquisition`, `row` and `total_counts` of the service's last frame, or `error`;
    {} unless asked for."""
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
                columns=answer.get("columns") or {},
                hole_rows=_lengths(answer.get("holes")) or (),
                last_frame=answer.get("last_frame") or {},
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


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What a service is."""

    version: str
    """Of srx."""
    detector_class: str
    """The `class` of its entry in detectors.yaml."""


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
        self._lost_file: str | None = None
        """Asked for without an answer: it may be armed all the same."""
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

    def facts(self) -> ServiceFacts:
        """Return what it is.

        Raises:
            ServiceError: It is out of reach, or no srx service.
        """
        try:
            status = self.status()
        except ServiceError as error:
            if error.status != 404:
                raise
            status = None
        if not isinstance(status, dict) or "version" not in status:
            raise ServiceError(
                f"{self.url} is no srx service, GET /status does not tell its version: "
                "is this the address of the detector's service, and is it an srx?"
            )
        detector = self._versioned("/detector")
        return ServiceFacts(
            version=str(status["version"]),
            detector_class=str(detector.get("class", "")),
        )

    def check_ready(self) -> None:
        """Raise ServiceError unless it can take data."""
        self._root.request("GET", "/readyz")

    def detector(self) -> dict[str, Any]:
        """Return the detector's configuration."""
        return self._api.request("GET", "/detector")

    def acquisitions(self) -> list[Acquisition]:
        """Return those it remembers, newest first."""
        answer = self._versioned("/acquisitions")
        return [Acquisition.from_json(one) for one in answer.get("acquisitions", ())]

    def acquisition(
        self,
        id: str,
        wait_frames: int | None = None,
        timeout_s: float = 0.0,
        *,
        total: bool = False,
    ) -> Acquisition:
        """Return one; with `wait_frames` when it has so many, or `timeout_s` later.

        With `total` the last of these frames is summed, too.
        """
        params: dict[str, Any] | None = None
        if wait_frames is not None:
            params = {"wait_frames": wait_frames, "timeout": timeout_s}
            params |= {"total": "true"} if total else {}
        return self._one("GET", id, params=params, extra_s=timeout_s)

    def arm(self, **request: Json) -> Acquisition:
        """Arm an acquisition; `request` is the body of POST /acquisitions."""
        self._lost_file = request.get("file")
        try:
            answer = self._api.request("POST", "/acquisitions", request)
        except ServiceError as error:
            # Sent but not answered: arming again would find our own one in the way.
            found = self._with_file(request.get("file")) if error.may_be_done else None
            if found is None:
                raise
            return found
        self._lost_file = None
        return Acquisition.from_json(answer)

    def arm_new(self, file: str, **request: Json) -> Acquisition:
        """Arm with this file, or with one of a name like it where that exists."""
        try:
            return self.arm(file=file, **request)
        except ServiceError as error:
            if error.status != 409 or FILE_EXISTS not in str(error):
                raise
            return self.arm(file=another_path(file), **request)

    def abort_lost(self, acquisitions: list[Acquisition]) -> bool:
        """Abort what `arm` asked for in vain, if it was armed after all."""
        lost = _find(acquisitions, self._lost_file)
        self._lost_file = None
        if lost is None or lost.is_over:
            return False
        self.abort(lost.id)
        return True

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

    def _versioned(self, path: str) -> dict[str, Any]:
        """Return what every service of version 1 answers on this path."""
        try:
            return _object(self._api.request("GET", path))
        except ServiceError as error:
            if error.status != 404:
                raise
            raise ServiceError(
                f"srx service {self.url} does not speak version 1 of the API, the only "
                f"one this device speaks: {error}",
                error.status,
            ) from error

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
        with contextlib.suppress(ServiceError):
            return _find(self.acquisitions() if file else [], file)
        return None


def _find(acquisitions: list[Acquisition], file: str | None) -> Acquisition | None:
    # By its name alone: the service may have resolved a link on the way to it.
    name = PurePosixPath(file).name if file else None
    for acquisition in acquisitions if name else ():
        if acquisition.file and PurePosixPath(acquisition.file).name == name:
            return acquisition
    return None


def _object(answer: Json) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ServiceError(f"an object of JSON was expected, not {answer!r:.200}")
    return answer


def _lengths(value: Json) -> tuple[int, ...] | None:
    return None if value is None else tuple(value)
