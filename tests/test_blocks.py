"""Blocks of code are found, with their marks; commands are read as a shell does."""

import pytest

from tests.blocks import blocks, commands


def test_the_readmes_consumer_is_found_with_its_fixture():
    [consumer] = [b for b in blocks("python") if b.file == "README.md"]
    assert consumer.fixture == "secondary_port"
    assert consumer.text.startswith("import json")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("srx run a b", [["srx", "run", "a", "b"]]),
        ("srx run a b   # a comment", [["srx", "run", "a", "b"]]),
        ("A=1 srx x && srx y; srx z &", [["srx", "x"], ["srx", "y"], ["srx", "z"]]),
        ("srx a \\\n  --b 'c d'", [["srx", "a", "--b", "c d"]]),
        ("srx a tcp://h:1 >x --b", [["srx", "a", "tcp://h:1", "--b"]]),
        ("# nothing", []),
    ],
)
def test_commands_are_split_into_words(script, words):
    assert list(commands(script)) == words
