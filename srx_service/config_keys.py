"""The keys of detectors.yaml, as types with units and examples.

Keys that the predecessor had keep their names in the file (`dcu_host_purple`) and have
a better one in code (`hosts`); all other keys are called the same in both.
"""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
)

from srx_service.config_types import (
    AbsolutePath,
    DatasetPath,
    Directions,
    FillValue,
    Hosts,
    ListenPort,
    Mask,
    Mode,
    Origins,
    Ports,
    Size,
    check_class,
)
from srx_service.protocols import DECODERS
from srx_service.transforms import TRANSFORMS

MIB = 1 << 20


def _check_decoder(name: str) -> str:
    return check_class(name, sorted(DECODERS), "protocol")


def _check_transform(name: str) -> str:
    return check_class(name, sorted(TRANSFORMS), "transform")


class Keys(BaseModel):
    """Every key of an entry, with its default."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        validate_by_name=True,
        validate_by_alias=True,
        use_attribute_docstrings=True,
    )

    # -- the source
    decoder: Annotated[str, AfterValidator(_check_decoder)] = Field(alias="class")
    """The protocol of the stream: a name such as "Eiger" (DECTRIS stream v1) or
    "Detector" (the generic stream), or `package.module:Class` for one of your own."""
    hosts: Hosts = Field(alias="dcu_host_purple")
    """Host or address of the detector control unit, or a list of them: "172.16.1.5"."""
    ports: Ports = Field(default=(), alias="dcu_port_purple")
    """TCP port to connect to, or a list, one for each host; null: the protocol's own
    (9999 for "Detector" and "Eiger")."""
    socket: Literal["pull", "sub"] | None = None
    """ZeroMQ socket to connect with; null: as the protocol needs it."""
    connections: int = Field(default=1, ge=1, le=64, alias="nworkers")
    """Parallel ZeroMQ connections to each endpoint, a thread for each up to the cores;
    8 for an Eiger2 at full rate. 1 with `socket: sub`, or for each of many modules."""

    curve_source: AbsolutePath | None = None
    """File with the public key of the source, which must speak CURVE then, to nobody
    but us; needs `curve_key`. null: it is believed as it is, like all detectors."""

    # -- what is done to the images
    pipeline: Annotated[str, AfterValidator(_check_transform)] | None = None
    """The transform that every image goes through: a name of the table of transforms or
    `package.module:Class`; null: none."""
    transform_workers: PositiveInt | None = None
    """Threads for transforms; null: as many as `nworkers`."""
    compress: bool = True
    """Compress with bitshuffle and LZ4 after the pipeline."""
    rotate: bool = False
    """The pipeline turns every image by 90 degrees, clockwise."""
    mask: Mask = None
    """A rectangle that the pipeline sets to -1, in pixels after the rotation, slowest
    axis first, ends excluded: [[0, 195], [487, 981]]."""
    tot: str | None = None
    """Path of an .npz file whose `tot_to_energy_tensor` (rows, columns, counts) turns
    time over threshold into energy."""
    assemble: bool = False
    """Put the modules of a Lambda where they are: one image (y, x) instead of (module,
    y, x), pixels between modules masked."""

    # -- order and loss
    gap_timeout: NonNegativeFloat | None = None
    """In seconds: a frame that others have overtaken is waited for so long, then it is
    missing; null: 2 for `pull`, 0 for `sub`, where one connection keeps the order."""
    end_grace: NonNegativeFloat = 0.2
    """In seconds: with several connections an end is final when nothing has come for so
    long."""
    idle_timeout: PositiveFloat | None = None
    """In seconds: a series that is silent for so long has failed; null: never. An
    acquisition may set its own."""
    drain_timeout: NonNegativeFloat = 1.0
    """In seconds: an arm request waits at most so long for the sockets to be empty, so
    that older frames cannot be taken for new ones."""
    max_gap: PositiveInt = 1_000_000
    """In frames: a jump ahead by more is a broken counter, not a loss."""
    missing: Literal["fill", "skip"] | None = None
    """With "fill" a missing frame leaves a row of `fill_value`, so that row k stays
    event k; with "skip" rows stand close together; null: "fill", or "skip" for a
    preview, which leaves frames out by design ("Jungfrau" over `sub`)."""
    fill_value: FillValue = None
    """Pixels of a missing frame; null: the largest unsigned number, -1 for signed types
    and NaN for floats."""

    # -- the file
    dataset: DatasetPath = Field(alias="dset_name")
    """HDF5 path of the images (frame, y, x): "/entry/instrument/eiger/data"."""
    frames_per_chunk: PositiveInt | Literal["auto"] = 1
    """Frames in an HDF5 chunk; "auto" joins small uncompressed frames."""
    flush_interval: PositiveFloat = 0.5
    """In seconds: what is written becomes visible to readers, and survives a kill of
    the service, after at most so long."""
    nexus: Literal["nxmx"] | None = None
    """"nxmx": files follow NeXus' definition for diffraction, NXmx, besides the plain
    layout; for DECTRIS detectors ("Eiger", "DectrisStream2") whose `dset_name` is
    "/entry/instrument/NAME/data". null: the plain layout alone."""
    instrument_name: str | None = None
    """With `nexus`: of the beamline, "MAX IV BioMAX", unless header_appendix, or who
    arms, tells another; null: then it is missing."""
    source_name: str | None = None
    """With `nexus`: of the facility, "MAX IV"; as `instrument_name`."""
    goniometer: Directions = {"omega": (-1.0, 0.0, 0.0)}
    """With `nexus`: the axes that turn the sample, from it outwards, each with its
    direction in NeXus' frame, z along the beam and y upwards: {"phi": [0, -1, 0]}. Also
    `two_theta`, which turns the detector. Angles are those of the header."""
    checksum: bool = False
    """Write a checksum of each chunk beside the images, on or off: `srx verify` finds
    out by it whether a byte of them has changed since."""
    fsync: Literal["never", "close", "flush"] = "close"
    """When the disk itself has to confirm: "never", once when a file is "close"d, or at
    every "flush". Only a loss of power makes a difference."""
    write_behind: Size | None = 16 * MIB
    """In bytes: the disk is told to write as soon as so much waits for it in memory,
    "64 MiB"; null: when the kernel thinks so, after up to 30 s and then all at once."""
    keep_free: Size | None = 256 * MIB
    """In bytes: so much of the disk stays free, "10 GiB": an acquisition for which
    there is no room is refused, and writing stops before the disk is full, while live
    view and forwarding go on; null: the disk may get full."""
    write_root: AbsolutePath | None = None
    """Directory under which files may be written, absolute: "/data/visitors". null: the
    stream's file names are taken as they are, and the HTTP API cannot name a file."""
    file_mode: Mode = 0o644
    """Permissions of new files: "0o640"."""
    dir_mode: Mode = 0o755
    """Permissions of new directories: "0o2770"."""
    state_dir: AbsolutePath | None = None
    """Directory, on a local disk, of the journal and the list of open files, by which
    files are repaired and acquisitions known after a crash; null:
    `$XDG_STATE_HOME/srx`, or ~/.local/state/srx."""
    rescue: bool = False
    """Write what still comes of a series after a crash: of "/data/a.h5" to
    "/data/a_rescued_1.h5". false: it is shown and counted as orphans."""

    # -- live processing
    forward_port: ListenPort = Field(alias="data_port")
    """TCP port of the secondary port, where live processing gets every image (PUSH);
    0: any free one."""
    data_host: str = "0.0.0.0"
    """Address or interface that the secondary port listens on; "127.0.0.1": this
    machine only."""
    curve_key: AbsolutePath | None = None
    """File with the service's own secret key, made by `srx keys`:
    "/etc/srx/keys/service.key_secret"."""
    curve_clients: AbsolutePath | None = None
    """Directory of public keys (*.key): nobody else may connect to the secondary port
    and `pub_port`, and what they send is encrypted; needs `curve_key`. null: everybody
    may, in plain."""
    announce: Literal["one", "all"] = "one"
    """Who gets headers and ends on the secondary port: "one" client, as every message;
    or "all", each of which then has a whole series with a share of the images. Without
    `curve_clients`, and with an address as `data_host`."""
    pub_port: ListenPort | None = None
    """TCP port where every subscriber gets everything (PUB), unless it is too slow; 0:
    any free one, null: none."""
    on_slow_client: Literal["drop", "wait"] = "drop"
    """When a client of the secondary port is too slow, or the file is behind: "drop"
    images for it, or "wait", which holds up writing and finally the detector."""
    forward_limit: Size = 256 * MIB
    """In bytes: what may wait for clients of the secondary port."""

    # -- HTTP
    api_host: str = "0.0.0.0"
    """Address that the HTTP interface listens on; "127.0.0.1": this machine only."""
    api_port: ListenPort = 5000
    """TCP port of the HTTP interface; 0: any free one."""
    protect_reads: bool = False
    """With an API token set: ask for it on requests that only read, too."""
    cors_origins: Origins = ()
    """Other web sites whose pages may use the HTTP interface, as a browser names them:
    "https://daq.example.org"; []: none."""
    pickle_route: bool = True
    """Offer the predecessor's GET /last_frame, a pickle: who reads one runs whatever
    its sender likes."""
    api_connections: PositiveInt = 256
    """HTTP connections open at once, live views included; one more is answered 503."""
    api_connections_per_client: PositiveInt = 64
    """Of these, from one address, so that nobody takes them all; as many as
    `api_connections` where all come through one proxy."""
    api_rate: PositiveFloat | None = 500.0
    """HTTP requests a second from one address: who asks more often waits; null: no
    limit."""
    api_body_limit: Size = 1 * MIB
    """In bytes: the largest body of an HTTP request."""
    api_timeout: PositiveFloat = 10.0
    """In seconds: the head of an HTTP request has to come within so long, then its
    body; and who takes nothing of an answer for so long is cut off."""

    # -- bounds
    buffer_limit: Size = 1024 * MIB
    """In bytes: all that waits between the sockets and the file. When it is full,
    reading stops and the detector buffers."""
    reorder_limit: Size = 128 * MIB
    """In bytes: what may wait for an overtaken frame; when it is full, the oldest gap
    is missing at once."""
    shutdown_timeout: NonNegativeFloat = 10.0
    """In seconds: what is queued is written for at most so long after SIGTERM."""
