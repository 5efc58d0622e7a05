import math
from collections.abc import Mapping

import cbor2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.codecs import cbor
from srx_service.codecs.cbor import CborError, Tag

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
)
ITEMS = st.recursive(
    SCALARS | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(max_size=8), inner)
        | inner.filter(lambda v: type(v) in (list, dict, bytes)).map(
            lambda v: cbor2.CBORTag(40_000, v)
        )
    ),
    max_leaves=30,
)


def as_read(found):
    """Return what another reader found as ours gives it."""
    match found:
        case list() | tuple():
            return [as_read(item) for item in found]
        case Mapping():  # within a tag cbor2 6 makes its own, frozen
            return {key: as_read(item) for key, item in found.items()}
        case cbor2.CBORTag():
            return Tag(found.tag, as_read(found.value))
        case float() if math.isnan(found):
            return "not a number"
    return found


def comparable(found):
    match found:
        case Tag():
            return Tag(found.number, comparable(found.value))
        case list():
            return [comparable(item) for item in found]
        case dict():
            return {key: comparable(item) for key, item in found.items()}
        case float() if math.isnan(found):
            return "not a number"
    return found


@given(ITEMS)
def test_we_read_what_another_reader_reads(item):
    raw = cbor2.dumps(item)
    assert comparable(cbor.loads(raw)) == as_read(cbor2.loads(raw))
    assert comparable(cbor.loads(cbor.MAGIC + raw)) == as_read(cbor2.loads(raw))


@pytest.mark.parametrize("code", ["e", "f", "d"])
@pytest.mark.parametrize("value", [0.0, -1.5, math.inf, 65504.0])
def test_floats_of_every_size_are_read(code, value):
    first = {"e": b"\xf9", "f": b"\xfa", "d": b"\xfb"}[code]
    raw = first + np.array(value, f">{code}").tobytes()
    assert cbor.loads(raw) == cbor2.loads(raw) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"\x17", 23),
        (b"\x18\x18", 24),
        (b"\x1b" + b"\xff" * 8, 2**64 - 1),
        (b"\x3b" + b"\xff" * 8, -(2**64)),
        (b"\x60", ""),
        (b"\x80", []),
        (b"\xa0", {}),
        (b"\xa1\x01\x02", {1: 2}),
        (b"\xf7", None),
        (b"\xc0\x61x", "x"),  # a tag before a scalar says nothing we need
        (b"\xc1\xfb" + bytes(8), 0.0),
        (b"\xd9\xd9\xf7\xd9\xd9\xf7\x05", 5),
    ],
)
def test_items_are_what_the_standard_says(raw, value):
    assert cbor.loads(raw) == value


def test_bytes_are_views_of_the_message():
    raw = cbor2.dumps([b"pixels", cbor2.CBORTag(64, b"more")])
    first, tag = cbor.loads(raw)
    assert first == b"pixels"
    for view in (first, tag.value):
        assert np.shares_memory(np.frombuffer(view, np.uint8), np.frombuffer(raw, "u1"))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_read(kind):
    assert cbor.loads(kind(b"\x82\x01\x61a")) == [1, "a"]


def test_texts_are_read_wherever_they_stand():
    raw = cbor2.dumps([bytes(cbor.HEAD_BYTES), "µ", {"key": "value"}])
    assert cbor.loads(raw)[1:] == ["µ", {"key": "value"}]


@pytest.mark.parametrize("size", range(cbor.HEAD_BYTES - 6, cbor.HEAD_BYTES + 2))
def test_a_text_may_stand_where_the_head_ends(size):
    assert cbor.loads(cbor2.dumps([bytes(size), "grüße"]))[1] == "grüße"


@pytest.mark.parametrize(
    ("raw", "text", "offset"),
    [
        (b"", "cut short: 1 bytes are due, 0 came", 0),
        (b"\x19\x01", "cut short: 2 bytes", 1),
        (b"\x43ab", "cut short: 3 bytes are due, 2 came", 1),
        (b"\x63ab", "cut short: 3 bytes", 1),
        (b"\xf9\x00", "cut short: 2 bytes", 1),
        (b"\x82\x01", "cut short", 1),
        (b"\x9b" + b"\xff" * 8, "cut short", 9),
        (b"\x5b" + b"\xff" * 8, "cut short", 9),
        (b"\xc0", "cut short", 1),
        (b"\x01\x02", "1 bytes more than the one item", 1),
        (b"\x9f\x01\xff", "indefinite length", 0),
        (b"\x5f\x41a\xff", "indefinite length", 0),
        (b"\xff", "simple value 31", 0),
        (b"\x1c", "reserved 28", 0),
        (b"\xdc\x01", "reserved 28", 0),
        (b"\xe0", "simple value 0", 0),
        (b"\xf8\x20", "simple value 24", 0),
        (b"\x62\xc3\x28", "no UTF-8", 1),
        (b"\xa2\x61a\x01\x61a\x02", "a key twice", 1),
        (b"\xa1\x80\x01", "a list as a key", 2),
        (b"\xa1\x40\x01", "a memoryview as a key", 2),
        (b"\xa1\xa0\x01", "a dict as a key", 2),
        (b"\xa1\xd8\x40\x40\x01", "a Tag as a key", 4),
    ],
)
def test_what_is_wrong_is_told_with_its_place(raw, text, offset):
    with pytest.raises(CborError, match=text) as refused:
        cbor.loads(raw)
    assert refused.value.offset == offset
    assert f"at byte {offset}" in str(refused.value)


@pytest.mark.parametrize("first", [b"\x81", b"\xa1\x61a", b"\xc6"])
def test_depth_is_bounded(first):
    deepest = cbor.MAX_DEPTH
    cbor.loads(first * deepest + b"\x40")
    with pytest.raises(CborError, match="deep"):
        cbor.loads(first * (deepest + 1) + b"\x40")


def test_items_are_bounded():
    fewer = [0] * (cbor.MAX_ITEMS // 2)
    assert cbor.loads(cbor2.dumps(fewer)) == fewer
    with pytest.raises(CborError, match="more than"):
        cbor.loads(cbor2.dumps([fewer, fewer]))


@pytest.mark.parametrize("cut", [30, 45, 60])
def test_what_was_read_of_the_outermost_map_is_told(cut):
    raw = cbor2.dumps({"type": "image", "series_id": 14, "data": {"a": bytes(100)}})
    with pytest.raises(CborError) as refused:
        cbor.loads(raw[:cut])
    assert refused.value.outermost == {"type": "image", "series_id": 14}


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(raw):
    assert_read_or_refused(raw)


@given(ITEMS.map(cbor2.dumps), st.data())
def test_no_damage_does_harm(raw, data):
    at = data.draw(st.integers(0, len(raw) - 1))
    broken = raw[:at] + data.draw(st.binary(max_size=10)) + raw[at + 1 :]
    assert_read_or_refused(broken)


def assert_read_or_refused(raw):
    offset = 0
    try:
        cbor.loads(raw)
    except CborError as error:
        offset = error.offset
    assert 0 <= offset <= len(raw)


def test_what_we_write_can_be_read():
    value = {"a": [1, -1.5, None, True], "b": cbor.tagged(40, [b"x"])}
    assert cbor.loads(cbor.dumps(value)) == {**value, "b": Tag(40, [b"x"])}


def test_what_cbor_has_no_word_for_is_refused():
    with pytest.raises(ValueError, match="no CBOR"):
        cbor.dumps({"a": object()})
