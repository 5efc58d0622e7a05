"""Where files may be written: under `write_root`, whoever names them."""

import os
from pathlib import Path

from srx_service.errors import RequestError, WriteError


def stream_path(name: str, root: Path | None) -> Path:
    """Return where a file named by the stream goes, links resolved.

    Raises:
        WriteError: It is outside of `root`.
    """
    if "\0" in name:
        raise WriteError(f"file name {name!r} from the stream holds a NUL")
    if root is None:
        return Path(name)
    path = Path(os.path.realpath(root / name))
    if not path.is_relative_to(os.path.realpath(root)):
        text = f"file {name!r} from the stream is not under write_root {root}"
        raise WriteError(f"{text}; nothing is written")
    return path


def api_path(name: str, root: Path | None) -> Path:
    """Return where a file that a client asks for goes, links resolved.

    Raises:
        RequestError: 422 where it may not be, 409 when it exists.
    """
    if root is None:
        text = "files can be asked for only where `write_root` is set in the YAML"
        raise RequestError(422, "no write_root", text)
    is_path = "\0" not in name and Path(name).is_absolute()
    path, real_root = Path(os.path.realpath(name if is_path else "/")), _real(root)
    if not is_path or not path.is_relative_to(real_root):
        text = f"file {name!r} must be an absolute path under write_root {real_root}"
        raise RequestError(422, "file outside write_root", text)
    if _exists(path):
        text = f"{path} exists and is never overwritten; choose another name"
        raise RequestError(409, "file exists", text)
    return path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a name too long, a folder that may not be looked into
        text = f"{path} cannot be a file: {os.strerror(error.errno or 0)}"
        raise RequestError(422, "no such file can be", text) from None
