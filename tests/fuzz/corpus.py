"""The corpus: inputs by target and name, kept in git.

Seeds are made from what the tests send anyway; what fuzzing has found is kept beside
them, its name telling what it once did.
"""

import base64
import json
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent / "corpus"
SEED = "seed: "
"""Names of what is made from the tests' own messages begin with it."""


def path_of(target: str) -> Path:
    """Return the file of a target's inputs."""
    return FOLDER / f"{target.lower().replace(' ', '_')}.json"


def load(target: str) -> dict[str, bytes]:
    """Return a target's inputs by name."""
    path = path_of(target)
    kept = json.loads(path.read_text()) if path.exists() else {}
    return {name: zlib.decompress(base64.b64decode(t)) for name, t in kept.items()}


def save(target: str, inputs: dict[str, bytes]) -> None:
    """Write a target's inputs, one a line."""
    packed = {
        name: base64.b64encode(zlib.compress(text, 9)).decode()
        for name, text in sorted(inputs.items())
    }
    path_of(target).write_text(json.dumps(packed, indent=0) + "\n")


def renewed(kept: dict[str, bytes], seeds: dict[str, bytes]) -> dict[str, bytes]:
    """Return the inputs with new seeds in place of the old ones."""
    found = {name: text for name, text in kept.items() if not name.startswith(SEED)}
    return found | {f"{SEED}{name}": text for name, text in seeds.items()}
