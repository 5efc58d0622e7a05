"""`srx keys`: makes CURVE keys for the secondary port, its clients and sources."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import zmq

from srx_service.console import complain
from srx_service.curve import PUBLIC, SECRET

TEXT = "# A {} key for CURVE, of srx keys.\n{}\nmetadata\ncurve\n"
SECRET_MODE, PUBLIC_MODE = 0o600, 0o644


def main(argv: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = parser().parse_args(argv)
    try:
        for name in options.names:
            paths = make(options.folder, name)
            sys.stdout.write("".join(f"{path}\n" for path in paths))
    except OSError as error:
        return complain("srx keys", error)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="srx keys",
        description="Make a pair of CURVE keys for each name: "
        f"NAME{PUBLIC}, for whoever is to know NAME, and NAME{SECRET}, for NAME alone. "
        "No file is overwritten.",
    )
    made.add_argument("folder", metavar="FOLDER", type=Path, help="where they are put")
    made.add_argument("names", metavar="NAME", nargs="+", type=_name)
    return made


def make(folder: Path, name: str) -> tuple[Path, Path]:
    """Make one pair; return its files, the public one first.

    Raises:
        OSError: They cannot be made, or one is there already.
    """
    public, secret = (key.decode() for key in zmq.curve_keypair())
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    line = f'    public-key = "{public}"\n'
    own = folder / f"{name}{SECRET}"
    told = folder / f"{name}{PUBLIC}"
    note = "# Keep this file to yourself."
    text = TEXT.format("secret", note) + line + f'    secret-key = "{secret}"\n'
    _write(own, text, SECRET_MODE)
    note = "# Give it to whoever is to know its owner."
    _write(told, TEXT.format("public", note) + line, PUBLIC_MODE)
    return told, own


def _write(path: Path, text: str, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    with open(os.open(path, flags, mode), "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(text)


def _name(text: str) -> str:
    if not text or "/" in text or text.startswith("."):
        raise argparse.ArgumentTypeError(f"{text!r} cannot begin the name of a file")
    return text
