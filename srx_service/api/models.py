"""What is sent and answered over HTTP, as types: the OpenAPI is made from them."""

import json
from typing import Annotated, Any, Literal

import msgspec
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from srx_service.acquisitions import ArmRequest

MAX_INT = 2**53 - 1
"""The largest integer that every JSON reader keeps."""
MAX_SECONDS = 1e6
"""Eleven days: no wait is longer, and every clock can add it."""

Count = Annotated[int, Field(strict=True, ge=0, le=MAX_INT)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
Shape = Annotated[list[Positive], Field(min_length=1, max_length=4)]
Series = Positive | Literal["open"]


class Model(BaseModel):
    """What all have in common: docstrings under fields become their descriptions."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Problem(Model):
    """Why a request was not met (RFC 9457)."""

    type: str
    """One URN for all problems of a sort: `urn:srx:problem:busy`; or `about:blank`."""
    title: str
    """The sort, in words."""
    status: int
    """The HTTP status once more."""
    detail: str
    """What is in the way this time, and what to do."""


class Value(Model):
    """One number."""

    value: int


class Status(Model):
    """What the line does now; more keys may come."""

    model_config = ConfigDict(extra="allow")

    state: Literal["idle", "running", "error"]
    """`running` from a header until all is durable; `error` until the next header."""
    error: str | None = None
    """The cause; there only while the state is `error`."""
    acquisition: str | None = None
    """The id of the one that is armed, running or finishing."""
    file: str | None = None
    """Where it is written."""
    note: str | None = None
    """What to know of that file: that it cannot be read while it is written, say."""
    held: bool = False
    """True while reading is held because buffers are full; `held_reason` says which."""
    held_reason: str | None = None
    held_s: float = 0.0
    """Seconds held since the service started."""
    messages: int = 0
    """ZeroMQ messages received since the service started."""
    undecodable: dict[str, int] = {}
    """Messages that could not be read, by kind."""
    examples: dict[str, dict[str, str]] = {}
    """The first of each kind: what is wrong, and the first part of the message, cut."""
    ignored: dict[str, int] = {}
    """Messages that are known and carry nothing for the line, by kind."""
    decoder_faults: int = 0
    """Messages that made the decoder itself fail; the log holds a traceback."""
    orphans: int = 0
    """Images that belong to no series."""
    lost: int = 0
    """Numbers of the stream for which no message came in time: images missing in their
    series, and headers, ends and images before a header that never came."""
    clients: int = 0
    """Connected to the secondary port."""
    journal: str | None = None
    """Why the journal is not written, or that it is a new one; null: all is well."""
    journal_waiting: int = 0
    """Changes of states that are not in it yet."""
    disk_free_bytes: int | None = None
    """Where files are written; null: nobody has looked yet."""
    disk_is_short: bool = False
    """True while a person should look; `disk_warning` says why."""
    disk_warning: str | None = None
    """That frames expected do not fit, when the disk is full at this rate, that it is
    full to `keep_free`, or that it does not answer."""


class Counts(Model):
    """Images of an acquisition by what became of them.

    received = written + discarded + rejected + late + duplicate + stale + surplus
    + rewound + unsaved; expected = written + discarded + rejected + missing + short.
    """

    model_config = ConfigDict(extra="allow")

    received: int
    written: int
    """Durable: they survive kill -9."""
    discarded: int
    """The source said not to write them."""
    rejected: int
    """They could not be read or did not fit the dataset; each leaves a hole."""
    missing: int
    """They never came; each leaves a hole."""
    short: int
    """Expected after the last that came."""
    late: int
    """They came after their place was given up."""
    duplicate: int
    stale: int
    """Of a series from before, or of one that is given up."""
    surplus: int
    """Beyond the number expected."""
    rewound: int
    """Taken back by a rewind."""
    unsaved: int
    """Lost to an error while writing, or to an abort."""


class Acquisition(Model):
    """One file (or none) and what goes into it."""

    model_config = ConfigDict(extra="allow")

    id: str
    origin: Literal["api", "stream"]
    """Who asked for it: a client, or a header of the stream that names a file."""
    state: Literal[
        "armed", "running", "finishing", "done", "failed", "aborted", "interrupted"
    ]
    """Interrupted: by the end of a service that was killed; `rows` are in the file."""
    error: str | None
    """The first cause of a failure."""
    note: str | None = None
    """What to know of the file: that it cannot be read while it is written, say."""
    file: str | None
    dataset: str
    """Where in the file: /entry/instrument/eiger/data."""
    shape: list[int] | None
    """Of one frame, in pixels, slowest axis first: [2162, 2068] for an Eiger2 4M."""
    dtype: str | None
    """numpy's name: uint32."""
    chunk: list[int] | None
    """Of the dataset, frames first: [1, 2162, 2068]."""
    encoding: str | None
    """How the chunks hold the pixels: none, bslz4, lz4."""
    columns: dict[str, str]
    """Where in the file each frame's `timestamp` (POSIX seconds at which it came) and
    `sequence_number` (the detector's) stand; one row a frame."""
    series: int | Literal["open"]
    """How many series it takes; open: until it is stopped."""
    series_seen: int
    series_id: int | None
    """The detector's id of the series that is bound."""
    expected: int | None
    """Frames, as a client said."""
    announced: int | None
    """Frames the detector may send, as its header said: an upper bound."""
    rows: int
    """Durable rows, filled holes included: what a reader may read now."""
    holes: list[int]
    """Rows that hold no frame, because it never came or was rejected: the last 100, in
    order."""
    is_idle: bool
    """True while no series is open and every row is durable."""
    counts: Counts
    created_s: float
    """POSIX time."""
    finished_s: float | None
    """POSIX time."""
    lease_s: float | None
    metadata: dict[str, Any]


class LastFrame(Model):
    """The last frame that came, and what it sums up to."""

    acquisition: str | None = None
    """Which it was written to; null: to none."""
    row: int | None = None
    """Of its file."""
    total_counts: float | None = None
    """Its pixels without masked ones; null where that is no finite number."""
    error: str | None = None
    """Why nothing is known of it."""


class AcquisitionAndFrame(Acquisition):
    """One acquisition, and the last frame if that was asked for."""

    last_frame: LastFrame | None = None


class Acquisitions(Model):
    """Those still known, newest first."""

    acquisitions: list[Acquisition]


class ArmBody(Model):
    """What to make; every key may be left out."""

    model_config = ConfigDict(extra="forbid")

    file: str | None = Field(default=None, max_length=4096, pattern=r"^[^\x00-\x1f]+$")
    """Absolute path under `write_root`; null: live view only."""
    shape: Shape | None = None
    """Of one frame, slowest axis first; a first frame that differs fails it."""
    dtype: str | None = Field(default=None, pattern=r"^[<>|=]?[a-z]{1,9}[0-9]{0,3}$")
    """numpy's name, checked like the shape."""
    series: Series = 1
    """How many series it takes; open: until it is stopped."""
    expected: Count | None = None
    """Frames; more are surplus and not written."""
    missing: Literal["fill", "skip"] | None = None
    """Leave holes for frames that never came, or close up; null: as configured."""
    idle_timeout_s: Seconds | None = None
    """A series silent for so long ends the acquisition as failed; null: never."""
    lease_s: Seconds | None = None
    """Aborted when no call names it for so long; null: never."""
    metadata: dict[str, JsonValue] = {}
    """Written beside the data."""
    await_series_id: bool = False
    """Every header binds anew until PATCH gives a series id."""

    @field_validator("metadata")
    @classmethod
    def _is_plain(cls, metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
        # NaN is no JSON, half a surrogate pair no UTF-8: no reader could be given them.
        json.dumps(metadata, allow_nan=False, ensure_ascii=False).encode()
        return metadata

    def request(self) -> ArmRequest:
        """Return it as the line takes it."""
        return msgspec.convert(self.model_dump(exclude_unset=True), ArmRequest)


class PatchBody(Model):
    """What to change; a key that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    expected: Count | None = None
    """Frames; null: unknown again."""
    series_id: Count | None = None
    """The detector's id of the series to take; one bound with another is given up."""

    def expected_or_unset(self) -> int | msgspec.UnsetType | None:
        """Return the frames to expect, UNSET where the body says nothing of them."""
        return self.expected if "expected" in self.model_fields_set else msgspec.UNSET


class RewindBody(Model):
    """Where to go back to."""

    model_config = ConfigDict(extra="forbid")

    rows: Count
    """Rows to keep."""


class Alive(Model):
    """The process answers."""

    alive: Literal[True] = True


class Ready(Model):
    """Whether data can be taken."""

    ready: bool
