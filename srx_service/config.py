"""detectors.yaml as types: what follows from an entry's keys, and reading the file."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from srx_service import config_file, endpoints, nxmx
from srx_service.config_keys import Keys
from srx_service.errors import ConfigError
from srx_service.protocols import DECODERS, Decoder
from srx_service.transforms import TRANSFORMS, Transform

_T = TypeVar("_T")


class DetectorConfig(Keys):
    """One entry of detectors.yaml: a detector and the service that receives it."""

    @property
    def decoder_class(self) -> type[Decoder]:
        """The class that `class:` names.

        Raises:
            ConfigError: It is a site's own and cannot be imported.
        """
        return _plug_in("class", self.decoder, DECODERS)

    @property
    def transform_class(self) -> type[Transform] | None:
        """The class that `pipeline:` names; None without one.

        Raises:
            ConfigError: It is a site's own and cannot be imported.
        """
        if self.pipeline is None:
            return None
        return _plug_in("pipeline", self.pipeline, TRANSFORMS)

    @property
    def socket_type(self) -> Literal["pull", "sub"]:
        """The kind of ZeroMQ socket, the protocol's own where none is chosen."""
        return self.socket or self.decoder_class.socket

    @property
    def gap_timeout_s(self) -> float:
        """How long an overtaken frame is waited for, in seconds."""
        if self.gap_timeout is not None:
            return self.gap_timeout
        return 2.0 if self.socket_type == "pull" else 0.0

    @property
    def leaves_out(self) -> bool:
        """Whether the source leaves frames out by design, so that they are no loss."""
        may_leave_out = getattr(self.decoder_class, "leaves_out", False)
        return may_leave_out and self.socket_type == "sub"

    @property
    def missing_rule(self) -> Literal["fill", "skip"]:
        """What missing frames leave, unless an acquisition says otherwise."""
        return self.missing or ("skip" if self.leaves_out else "fill")

    @property
    def endpoints(self) -> tuple[str, ...]:
        """What to connect to, one for each detector module or control unit.

        Raises:
            ConfigError: As `decoder_class`.
        """
        return endpoints.pair(self.hosts, self.ports or self.decoder_class.ports)

    def public(self) -> dict[str, Any]:
        """Return all of it by the file's names, for people to see.

        Nothing here is secret: tokens come from the environment, see `Settings`.
        """
        return self.model_dump(mode="json", by_alias=True)

    @model_validator(mode="after")
    def _check_ports(self) -> Self:
        known = DECODERS.get(self.decoder)
        ports = self.ports or (known.ports if known else ())
        own = {"data_port": self.forward_port, "api_port": self.api_port}
        if self.pub_port is not None:
            own["pub_port"] = self.pub_port
        modules = getattr(known, "modules", None)
        if problems := endpoints.problems(self.hosts, ports, own, modules):
            raise PydanticCustomError("ports", "{text}", {"text": "; ".join(problems)})
        return self

    @model_validator(mode="after")
    def _check_nexus(self) -> Self:
        if self.nexus is None:
            return self
        if self.decoder not in nxmx.CLASSES:
            text = f"nexus: nxmx is for class {' and '.join(nxmx.CLASSES)}"
            raise PydanticCustomError("nexus", "{text}", {"text": text})
        if nxmx.DATASET.fullmatch(self.dataset) is None:
            text = "nexus: nxmx needs a dset_name such as /entry/instrument/eiger/data"
            raise PydanticCustomError("nexus", "{text}", {"text": text})
        return self

    @model_validator(mode="after")
    def _check_curve(self) -> Self:
        wanting = [
            name for name in ("curve_clients", "curve_source") if getattr(self, name)
        ]
        if self.curve_clients and self.announce == "all":
            text = "announce: all cannot be had with curve_clients: keep one of them"
            raise PydanticCustomError("curve", "{text}", {"text": text})
        if bool(wanting) == (self.curve_key is not None):
            return self
        text = "curve_key protects nothing without curve_clients or curve_source"
        if wanting:
            text = f"{wanting[0]} needs curve_key, a secret key of `srx keys`"
        raise PydanticCustomError("curve", "{text}", {"text": text})


def _plug_in(key: str, name: str, table: Mapping[str, _T | str]) -> _T:
    found = table.get(name, name)
    if not isinstance(found, str):
        return found
    module, _, attribute = found.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"{key}: {name}: {error}") from error


@dataclass(frozen=True, slots=True)
class Settings:
    """What a running service takes from its environment instead of from the file."""

    state_dir: Path
    """Where the list of open files is kept."""
    api_token: str | None = field(default=None, repr=False)
    """Bearer tokens, of which requests must carry one; None: none is asked for."""
    log_level: str = "INFO"
    """One of logging's names."""
    notify_socket: str | None = None
    """Where systemd wants to be told; None: it did not start this service."""
    watchdog_s: float | None = None
    """After so long a silence systemd ends the service; None: it does not watch."""


def load(path: Path) -> dict[str, DetectorConfig]:
    """Read and check all entries of a file.

    Raises:
        ConfigError: Names every problem of the file, one a line.
    """
    document = config_file.read(path)
    entries = {
        name: config_file.validate(document, name, DetectorConfig)
        for name in document.entries
    }
    document.raise_problems()
    return {name: entry for name, entry in entries.items() if entry is not None}


def load_one(path: Path, name: str) -> DetectorConfig:
    """Read one entry; what is wrong with the others does not matter.

    Raises:
        ConfigError: There is no such entry, or something is wrong with it.
    """
    document = config_file.read(path)
    if name not in document.entries:
        names = [str(known) for known in document.entries]
        raise ConfigError(
            f"{path}: no entry {name!r}{config_file.nearest(name, names)}; "
            f"there are: {', '.join(names)}"
        )
    entry = config_file.validate(document, name, DetectorConfig)
    document.raise_problems(name)
    assert entry is not None
    return entry
