"""Write anew what is generated from code: `python -m tests.generate`."""

import re
from collections.abc import Callable
from pathlib import Path

from srx_service import schema

ROOT = Path(__file__).parents[1]


def with_table(text: str) -> str:
    """Return docs/reference/configuration.md with the table of keys put in."""
    begin, end = "<!-- generated: keys -->\n", "<!-- /generated: keys -->"
    table = f"{begin}{schema.markdown()}{end}"
    return re.sub(f"{begin}.*?{end}", lambda _: table, text, flags=re.S)


GENERATED: dict[str, Callable[[str], str]] = {
    "docs/reference/detectors.schema.json": lambda _: schema.json_text(),
    "docs/reference/configuration.md": with_table,
}
"""Files, and what makes their text out of the text they have."""


def main() -> None:
    """Write all of them."""
    for name, make in GENERATED.items():
        path = ROOT / name
        path.write_text(make(path.read_text() if path.exists() else ""))


if __name__ == "__main__":
    main()
