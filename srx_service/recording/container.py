"""Files of recorded multipart messages, read and written one message at a time.

What is written, and read, is a sequence of CBOR items, the format of dranspose's dumps
(`.cbors`):

    55799(42877([event number, {name: 55799(42878([type, [part, …]]))}, 1(time)]))

The tag numbers mean "event" and "data of the stream of that name"; the time (POSIX,
seconds) may be missing, and so may the tags 55799. Read as well: items that are just
lists of parts, the same in a zip file, and `.pkls`, pickled lists of parts.
"""

import io
import pickle
import zipfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NoReturn

import cbor2

from srx_service.errors import ConfigError

Parts = list[bytes]

SELF_DESCRIBED = 55799
EVENT = 42877
STREAM_DATA = 42878
EPOCH_TIME = 1
BUFFER_BYTES = 2**20
CBOR_MAGIC = b"\xd9\xd9\xf7"


def event(
    number: int, stream: str, parts: Sequence[bytes], time_s: float | None = None
) -> bytes:
    """Return the CBOR item of one message."""
    kind = _kind(parts[0] if parts else b"")
    data = cbor2.CBORTag(STREAM_DATA, [kind, list(parts)])
    fields: list[object] = [number, {stream: cbor2.CBORTag(SELF_DESCRIBED, data)}]
    if time_s is not None:
        fields.append(cbor2.CBORTag(EPOCH_TIME, time_s))
    item = cbor2.CBORTag(SELF_DESCRIBED, cbor2.CBORTag(EVENT, fields))
    return cbor2.dumps(item)


def read(path: Path, stream: str | None = None) -> Generator[Parts]:
    """Yield the messages of a recording, each as its parts.

    A message that is cut off at the end of the file is left out.

    Args:
        path: A `.cbors` or `.pkls` file, or a zip file that holds one.
        stream: Which one, of a recording of several.

    Raises:
        ConfigError: The file does not hold messages.
        OSError: It cannot be read.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            yield from _read(file, path.name, stream)
        return
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.endswith((".cbors", ".pkls"))]
        if len(names) != 1:
            text = f"holds {len(names)} files .cbors or .pkls, exactly one is read"
            raise ConfigError(f"{path}: {text}")
        # Unbuffered it would be read in small pieces, which takes ten times as long.
        with io.BufferedReader(archive.open(names[0]), BUFFER_BYTES) as file:  # pyright: ignore[reportArgumentType]
            yield from _read(file, names[0], stream)


def _read(file: IO[bytes], name: str, stream: str | None) -> Iterator[Parts]:
    is_pickle = name.endswith(".pkls")
    items = _pickles(file) if is_pickle else _cbor_items(file)
    number = -1
    try:
        for number, item in enumerate(items):
            yield _parts(item, f"{name}: item {number}", stream)
    except (cbor2.CBORDecodeError, pickle.UnpicklingError) as error:
        raise ConfigError(f"{name}: no recording of messages: {error}") from error
    if number < 0:
        raise ConfigError(f"{name}: no recording of messages: not one whole message")


def _cbor_items(file: IO[bytes]) -> Iterator[object]:
    # One decoder for all: newer ones read ahead, what they hold is lost with them.
    decoder = cbor2.CBORDecoder(file)
    while True:
        try:
            yield decoder.decode()
        except (EOFError, cbor2.CBORDecodeEOF):  # the same only up to version 5
            return


class _OnlyPlain(pickle.Unpickler):
    """Refuses all that is not built in: a pickle may name any function to be called."""

    def find_class(self, module_name: str, global_name: str) -> NoReturn:
        text = f"{module_name}.{global_name} in it; only lists of bytes are read"
        raise pickle.UnpicklingError(text)


def _pickles(file: IO[bytes]) -> Iterator[object]:
    while True:
        try:
            yield _OnlyPlain(file).load()
        except EOFError:
            return
        except (ValueError, KeyError, IndexError, AttributeError, TypeError) as error:
            raise pickle.UnpicklingError(str(error)) from error


def _parts(item: object, where: str, stream: str | None) -> Parts:
    match item:
        case cbor2.CBORTag(tag=42877, value=[_, streams, *_]):
            return _parts(_choose(streams, where, stream), where, stream)
        case cbor2.CBORTag(tag=42878, value=[_, parts]):
            return _parts(parts, where, stream)
        case list() | tuple() if item and all(type(p) is bytes for p in item):
            return list(item)
    raise ConfigError(f"{where}: no message: {str(item)[:100]}")


def _choose(streams: object, where: str, stream: str | None) -> object:
    try:
        found: dict[object, object] = dict(streams)  # pyright: ignore
        return found[stream] if stream is not None else _only(found.values())
    except (TypeError, ValueError, KeyError):
        text = f"holds the streams {streams!s:.100}; name one of them"
        raise ConfigError(f"{where}: {text}") from None


def _only(values: Iterable[object]) -> object:
    (value,) = values
    return value


def _kind(first: bytes) -> str:
    """Return dranspose's name for the type of a stream."""
    if first.startswith(CBOR_MAGIC):
        return "DECTRIS_STREAM2"
    return "EIGER_LEGACY" if b'"dheader' in first or b'"dimage' in first else "STINS"
