"""What deserves a look in a configuration that is not wrong in itself."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from srx_service import curve
from srx_service.config import DetectorConfig
from srx_service.errors import ConfigError
from srx_service.mounts import look
from srx_service.steps import transforms

PIPELINE_KEYS = ("compress", "rotate", "mask", "tot")
NEXUS_KEYS = ("instrument_name", "source_name", "goniometer")
NO_SWMR = ("nfs", "cifs", "smb", "9p", "fuse.sshfs")
"""File systems whose writes do not become visible in the order they were made, which
HDF5's single-writer-multiple-reader mode needs."""
MOUNTS = Path("/proc/mounts")


def notes(entries: Mapping[str, DetectorConfig]) -> list[str]:
    """Return what a person should look at, one a line; nothing of it is an error."""
    found = [
        f"{name}: {note}"
        for name, config in entries.items()
        for looks in (_pipeline, _nexus, _connections, _write_root, _curve)
        for note in looks(config)
    ]
    return [*found, *_unconfined(entries), *_shared_ports(entries)]


def problems(entries: Mapping[str, DetectorConfig]) -> list[str]:
    """Return what stops an entry on this machine: a class or a table is missing."""
    found: list[str] = []
    for name, config in entries.items():
        try:
            _ = config.decoder_class, transforms(config)
            curve.client_keys(config.curve_key, config.curve_source)
            curve.server_keys(config.curve_key, config.curve_clients)
        except ConfigError as error:
            found.append(f"{name}: {error}")
    return found


def require_cache(folder: Path) -> None:
    """Make the folder that numba is to keep compiled pipelines in.

    Raises:
        ConfigError: It cannot be made, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"NUMBA_CACHE_DIR in the environment: user {os.getuid()} cannot write to "
            f"{folder} ({error.strerror}); name a folder that can be written, in a "
            "container a volume, or unset it: the pipeline is then compiled at each "
            "start"
        ) from error


def file_system(path: Path, mounts: str) -> str:
    """Return the type of the file system that a path lies on.

    Args:
        path: It need not exist; what matters is the mount point above it.
        mounts: The text of /proc/mounts.
    """
    best, kind = Path("/"), ""
    resolved = path.resolve()
    for line in mounts.splitlines():
        _, point, mounted, *_ = line.split(" ")
        # Blanks in mount points are written as octal escapes, see fstab(5).
        mount = Path(point.replace("\\040", " "))
        if resolved.is_relative_to(mount) and len(mount.parts) >= len(best.parts):
            best, kind = mount, mounted
    return kind


def _pipeline(config: DetectorConfig) -> Iterator[str]:
    if config.pipeline is None:
        for key in PIPELINE_KEYS:
            if key in config.model_fields_set:
                yield f"{key} has no effect without a pipeline"


def _nexus(config: DetectorConfig) -> Iterator[str]:
    if config.nexus is None:
        for key in NEXUS_KEYS:
            if key in config.model_fields_set:
                yield f"{key} has no effect without nexus"


def _connections(config: DetectorConfig) -> Iterator[str]:
    if config.socket == "sub" and config.connections > 1:
        yield "nworkers has no effect with `socket: sub`: every connection gets it all"


def _write_root(config: DetectorConfig) -> Iterator[str]:
    root = config.write_root
    if root is None:
        return
    if not root.is_dir():
        yield f"write_root {root} is no directory on this machine"
    elif not os.access(root, os.W_OK | os.X_OK):
        yield f"write_root {root} is not writable for this user"
    elif config.keep_free is not None and look(root).free_bytes <= config.keep_free:
        yield f"write_root {root} has less free than keep_free: no file can be made"
    kind = file_system(root, MOUNTS.read_text()) if MOUNTS.exists() else ""
    if kind.startswith(NO_SWMR):
        yield (
            f"write_root {root} is on {kind}: readers of a file that is still written "
            "may see broken data (HDF5 SWMR needs ordered writes: a local disk, GPFS, "
            "Lustre)"
        )


def _curve(config: DetectorConfig) -> Iterator[str]:
    key = config.curve_key
    if key is not None and key.exists() and not curve.is_secret(key):
        yield f"curve_key {key} can be read by others than its owner: chmod 600"


def _unconfined(entries: Mapping[str, DetectorConfig]) -> Iterator[str]:
    names = [name for name, config in entries.items() if config.write_root is None]
    if names:
        yield (
            f"no write_root in {', '.join(names)}: the stream may name any file there, "
            "and the HTTP API none"
        )


def _shared_ports(entries: Mapping[str, DetectorConfig]) -> Iterator[str]:
    """Yield ports of several entries: fine on different machines, and only there."""
    names_by_port: dict[int, list[str]] = {}
    for name, config in entries.items():
        for port in {config.forward_port, config.api_port} - {0}:
            names_by_port.setdefault(port, []).append(name)
    for port, names in sorted(names_by_port.items()):
        if len(names) > 1:
            yield (
                f"port {port} is used by {', '.join(names)}: they cannot run on the "
                "same machine"
            )
