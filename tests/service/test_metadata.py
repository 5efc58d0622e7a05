import json

import h5py
import numpy as np
import pytest

from srx_service.metadata import MAX_ITEMS, as_json, free_name, save_metadata


@pytest.fixture
def group(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        yield file.create_group("detector")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("µm", b"\xc2\xb5m"),
        ("a\0b", b"ab"),
        ("", b""),
        (True, True),
        (1.5, 1.5),
        (2**63, 2**63),
        (-(2**63), -(2**63)),
        ([1, 2], [1, 2]),
        ([1, 2.5], [1.0, 2.5]),
        ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
        (["a", "µ"], [b"a", b"\xc2\xb5"]),
        ([True, False], [True, False]),
        ([], []),
    ],
)
def test_values_are_datasets(group, value, read):
    save_metadata(group, {"x": value})
    assert np.asarray(group["x"][()]).tolist() == read


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, None],
        [[1], [1, 2]],
        [1, "a"],
        [True, 2],
        [{"a": 1}],
        2**64,
        [2**64],
        [2**63, -1],
        "\ud800",
        ["\ud800"],
    ],
)
def test_what_hdf5_cannot_hold_is_left_to_the_json(group, value):
    save_metadata(group, {"x": value, "y": 1})
    assert group["y"][()] == 1
    assert isinstance(group.get("x"), None | h5py.Dataset)
    assert json.loads(as_json({"x": value})) == {"x": value}


def test_nested_metadata_is_in_groups(group):
    save_metadata(
        group, {"a": {"b": {"c": 1}, "data": 2}, "e": {}}, frozenset({"data"})
    )
    assert group["a/b/c"][()] == 1
    assert group["a/data"][()] == 2
    assert len(group["e"]) == 0


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("data", "data_"),
        ("there", "there_"),
        ("a/b", "a_b_"),
        ("/", "__"),
        ("a\0b", "a_b_"),
        ("", "__"),
        (".", "__"),
        ("a.b", "a.b"),
        ("µ", "µ"),
        ("\ud800", "?_"),
    ],
)
def test_keys_that_clash_or_are_no_name_get_an_underscore(group, key, name):
    group["there"] = 1
    assert free_name(group, key, frozenset({"data"})) == name
    save_metadata(group, {key: 5}, frozenset({"data"}))
    assert group[name][()] == 5


def test_keys_that_become_the_same_are_both_kept(group):
    save_metadata(group, {"a/b": 1, "a_b_": 2})
    assert {group["a_b_"][()], group["a_b__"][()]} == {1, 2}


def test_a_key_without_end_is_left_to_the_json(group):
    save_metadata(group, {"k" * 100_000: 1, "y": 2})
    assert list(group) == ["y"]


def test_the_number_of_datasets_is_bounded(group, caplog):
    save_metadata(group, {f"k{k}": k for k in range(MAX_ITEMS + 10)})
    assert len(group) == MAX_ITEMS
    assert "only in the JSON" in caplog.text


def test_nesting_without_end_does_no_harm(group):
    deep: dict = {"x": 1}
    for _ in range(100_000):
        deep = {"a": deep}
    save_metadata(group, deep)
    assert "a/a/a" in group
    assert "too deeply" in as_json(deep)


def test_json_tells_what_it_has_no_type_for_as_text():
    assert json.loads(as_json({"a": b"x", "b": np.float32(1.5)}))["a"] == "b'x'"
