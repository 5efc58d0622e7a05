"""What an inspection finds: what is wrong, and what is odd but no damage."""

import msgspec

TOLD = 20
"""Of what is found in one place, so many are told one by one."""

UNREADABLE = (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError)
"""What h5py raises at a damaged file, by the part that is damaged."""


class Findings(msgspec.Struct):
    """Filled by each inspection of a file."""

    problems: list[str] = []
    """What is wrong."""
    remarks: list[str] = []
    """What a person may want to know, in a file that may be whole all the same."""
    rows: int | None = None
    """Of the frames; None where there are none."""
    chunks: int = 0
    size_bytes: int = 0
    """Of the chunks, as they are stored."""
    compared: int = 0
    """Chunks whose checksum was compared."""
    decoded: int = 0
    """Chunks that were decoded."""
    counts: list[dict[str, int]] = []
    """Of each acquisition in it."""

    def damage(self, texts: list[str]) -> None:
        """Note problems of one kind, the first of them one by one."""
        self.problems += texts[:TOLD]
        if len(texts) > TOLD:
            self.problems.append(f"and {len(texts) - TOLD} more like the last one")


def cause_of(error: BaseException) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
