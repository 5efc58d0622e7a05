"""The code blocks of Markdown files, for the tests that run them."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n"
    r"(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)
_OPERATORS = set("();|&")


class Block(NamedTuple):
    """A fenced piece of code and where it stands."""

    file: str
    """Relative to the checkout: "docs/glossary.md"."""
    line: int
    language: str
    """As the fence says; empty for pictures."""
    text: str
    mark: str
    """The text of an HTML comment right above, which says how to run it."""

    @property
    def fixture(self) -> str | None:
        """The fixture that `<!-- run with: NAME -->` asks for."""
        return self.mark.partition("run with: ")[2] or None


def blocks(*languages: str) -> list[Block]:
    """Return all blocks in these languages, in all Markdown files of the checkout."""
    return [block for block in all_blocks() if block.language in languages]


def all_blocks() -> Iterator[Block]:
    """Yield every code block, pictures too."""
    for path in markdown_files():
        text = path.read_text()
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            name = str(path.relative_to(ROOT))
            content = match["text"]
            yield Block(name, line, match["language"], content, match["mark"] or "")


def markdown_files() -> list[Path]:
    """Return every Markdown file of the checkout."""
    folders = ("docs", "benchmarks", "deploy", "examples", "tests")
    below = [path for folder in folders for path in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *below])


def run_python(file: str, places: Mapping[str, str]) -> dict[str, Any]:
    """Run a document's Python, block by block in one session; return the session.

    Args:
        file: As in `Block`.
        places: What stands in the document, and what there is here.
    """
    session: dict[str, Any] = {}
    found = [block for block in blocks("python") if block.file == file]
    assert found, f"{file} holds no Python"
    for block in found:
        code = block.text
        for there, here in places.items():
            code = code.replace(there, here)
        exec(compile(code, f"{file}:{block.line}", "exec"), session)
    return session


def commands(script: str) -> Iterator[list[str]]:
    """Yield each command of a shell script as its words, without what is around it."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in lexer:
            if set(word) <= set("<>"):
                next(lexer, None)  # the file that is read or written
            elif set(word) <= _OPERATORS:
                yield from _command(words)
                words = []
            else:
                words.append(word)
        yield from _command(words)


def _command(words: list[str]) -> Iterator[list[str]]:
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    if words:
        yield words
