"""The compressors that hdf5plugin brings along, as plain C functions.

Called by ctypes they run without the GIL. They trust the sizes they are given: every
caller checks them first.
"""

import ctypes
import functools
from collections.abc import Callable
from pathlib import Path

import hdf5plugin
import numpy as np

from srx_service.messages import Buffer


def function(
    plugin: str, name: str, result: type, arguments: tuple[type, ...]
) -> Callable[..., int]:
    """Return a C function, its types set.

    Args:
        plugin: The library that has it: "h5bshuf" or "h5lz4".
        name: As the library exports it.
        result: What it returns, a type of ctypes.
        arguments: What it takes, types of ctypes.

    Raises:
        ImportError: This hdf5plugin does not have it, or not for this machine.
    """
    found = getattr(_load(plugin), name, None)
    if found is None:
        text = f"lib{plugin} of hdf5plugin {hdf5plugin.version} has no {name}"
        raise ImportError(text)
    found.restype = result
    found.argtypes = list(arguments)
    return found


def as_bytes(blob: Buffer) -> np.ndarray:
    """Return a view of the buffer, whose `.ctypes.data` is where it begins."""
    return np.frombuffer(blob, np.uint8)


@functools.cache
def _load(plugin: str) -> ctypes.CDLL:
    folder = Path(hdf5plugin.PLUGIN_PATH)
    found = sorted(folder.glob(f"lib{plugin}.*"))
    if not found:
        text = f"hdf5plugin {hdf5plugin.version} has no lib{plugin} in {folder}"
        raise ImportError(text)
    try:
        return ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise ImportError(f"{found[0]} cannot be loaded: {error}") from error
