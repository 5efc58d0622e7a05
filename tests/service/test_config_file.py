"""A YAML file of entries: read safely, each key with its line."""

import pytest

from srx_service.config_file import nearest, read
from srx_service.errors import ConfigError


@pytest.fixture
def document(tmp_path):
    """Read a text as a file of entries."""

    def _document(text):
        path = tmp_path / "file"
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return read(path)

    return _document


def test_every_key_is_known_by_its_line(document):
    found = document("a:\n  x: 1\n\n  y: {z: 2}\nb:\n")
    assert found.lines == {("a",): 1, ("a", "x"): 2, ("a", "y"): 4, ("b",): 5}


def test_keys_given_twice_are_noted(document):
    found = document("a:\n  x: 1\n  x: 1\na: 2\n")
    assert found.problems == [
        (("a", "x"), "given twice, in line 3 again"),
        (("a",), "given twice, in line 4 again"),
    ]


def test_anchors_share_keys_between_entries(document):
    found = document("a: &all\n  x: 1\n  y: 2\nb:\n  <<: *all\n  y: 3\n")
    assert found.entries["b"] == {"x": 1, "y": 3}
    assert found.problems == []


def test_problems_are_told_in_the_order_of_the_file(document):
    found = document("a: 1\nb:\n  x: 1\n")
    found.add("second", "b", "x")
    found.add("first", "a")
    with pytest.raises(ConfigError) as told:
        found.raise_problems()
    assert str(told.value) == f"{found.path}:1: a: first\n{found.path}:3: b: x: second"


def test_problems_of_one_entry_can_be_told_alone(document):
    found = document("a: 1\nb: 1\n")
    found.add("bad", "b")
    found.raise_problems("a")
    with pytest.raises(ConfigError, match="2: b: bad"):
        found.raise_problems("b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "should hold entries"),
        ("- eiger", "should hold entries"),
        ("{}", "should hold entries"),
        ("eiger: [", "is not YAML: "),
        (
            "eiger: !!python/object/apply:os.getcwd []",
            "could not determine a construct",
        ),
        ("? [a]\n: 1", "is not YAML: "),
        ("a: 1\n---\nb: 2", "is not YAML: "),
        ("a: 2001-13-13", "is not YAML: "),
        ("a: !!timestamp x", "is not YAML: "),
        ("[" * 5000, "is not YAML: "),
        (b"\xff\xfe\x00", "is not UTF-8 text: "),
    ],
)
def test_what_is_no_file_of_entries_is_refused(document, text, why):
    with pytest.raises(ConfigError, match=why):
        document(text)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: No such file or directory"):
        read(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("word", "hint"), [("nworker", " (did you mean 'nworkers'?)"), ("colour", "")]
)
def test_only_a_near_word_is_suggested(word, hint):
    assert nearest(word, ["nworkers", "rotate"]) == hint
