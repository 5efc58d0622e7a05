"""detectors.yaml, as people may damage it."""

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from srx_service import check, config
from srx_service.errors import ConfigError
from srx_service.protocols import DECODERS
from tests.fuzz.mutations import TOKENS, mutated

ROOT = Path(__file__).parents[2]
MAX_TEXT = 20_000
"""Characters of an error, which may name many problems of a file."""
VALUES = (
    b"null",
    b"[]",
    b"{}",
    b"-1",
    b".nan",
    b".inf",
    b"1e400",
    b"9" * 400,
    b"9" * 400 + b" GiB",
    b'"0o999"',
    b"!!python/name:os.system",
    b"!!binary YQ==",
    b"!!timestamp 2020-13-45",
    b"2020-13-45",
    b"0b2",
    b"1:99:99",
    b"&a [*a]",
    b"*a",
    b"{a: 1, a: 2}",
    b"<<: {b: 1}",
    b"? [a, b]\n: c",
    b"true",
    b"\xef\xbb\xbf",
    b"\xff",
    b"[[0, 1], [5, 2]]",
    b"/" * 5000,
    b"[" * 200,
)


class ConfigurationTarget:
    """A configuration is taken, or refused in words a person can use."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="srx-fuzz-")
        self._path = Path(self._folder.name) / "detectors.yaml"

    def seeds(self) -> Iterator[tuple[str, bytes]]:
        """Yield each entry of our own detectors.yaml, and what no entry says."""
        text = (ROOT / "detectors.yaml").read_text()
        blocks = text.split("\n\n")
        for k, block in enumerate(blocks):
            if "class:" in block:
                yield f"entry {k}", block.encode()
        entry = b"d: {class: Eiger, dcu_host_purple: h, dset_name: /d, data_port: 1}"
        yield "one line", entry
        for value in VALUES:
            if len(value) < 500:
                name = value.decode(errors="replace")[:20]
                yield f"value: {name}", entry[:-1] + b", mask: " + value + b"}"

    def mutate(self, rng: random.Random, text: bytes) -> bytes:
        """Exchange a value or a key, or damage the text."""
        for _ in range(rng.randint(1, 3)):
            lines = text.split(b"\n")
            index = rng.randrange(len(lines))
            match rng.randrange(5):
                case 0 if b":" in lines[index]:
                    key = lines[index].partition(b":")[0]
                    lines[index] = key + b": " + rng.choice(VALUES)
                case 1:
                    lines.insert(index, rng.choice(lines))
                case 2:
                    del lines[index]
                case _:
                    lines[index] = mutated(rng, lines[index], TOKENS + VALUES)
            text = b"\n".join(lines)
        return text

    def run(self, text: bytes) -> str:
        """Load it; use what is made of it as `srx check` and the service do."""
        self._path.write_bytes(text)
        try:
            entries = config.load(self._path)
        except ConfigError as error:
            return "refused" if 0 < len(str(error)) < MAX_TEXT else "refused at length"
        for entry in entries.values():
            entry.public()
            if entry.decoder in DECODERS:  # others would be imported
                assert entry.endpoints
        check.notes(entries)
        return "taken"

    def close(self) -> None:
        """Remove the file."""
        self._folder.cleanup()
