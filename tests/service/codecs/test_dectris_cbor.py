import msgspec
import numpy as np
import pytest

from srx_service.codecs import bslz4, bszstd, cbor, dectris_cbor, lz4
from srx_service.codecs.cbor import Tag
from srx_service.codecs.dectris_cbor import Packed
from srx_service.errors import ProtocolError

PIXELS = np.arange(60, dtype=np.uint32).reshape(10, 6)


def sent(value):
    """Return a value after its way over the wire."""
    return cbor.loads(cbor.dumps(value))


@pytest.mark.parametrize("name", sorted(set(dectris_cbor.TYPES.values())))
def test_every_type_survives(name):
    table = PIXELS.astype(name)
    for array in (table, table[0]):
        found = dectris_cbor.read_table(sent(dectris_cbor.write_table(array)), "it")
        assert found.dtype == np.dtype(name)
        assert np.array_equal(found, array)


@pytest.mark.parametrize("tag", dectris_cbor.TYPES)
def test_the_tag_tells_the_size_as_rfc_8746_has_it(tag):
    expected = 1 << ((tag >> 4 & 1) + (tag & 3))
    assert np.dtype(dectris_cbor.TYPES[tag]).itemsize == expected


@pytest.mark.parametrize(
    ("algorithm", "codec"), [("bslz4", bslz4), ("bszstd", bszstd), ("lz4", lz4)]
)
def test_compressed_arrays_survive(algorithm, codec):
    packed = Packed((10, 6), "uint32", algorithm, codec.compress(PIXELS))
    found = sent(dectris_cbor.write_array(packed))
    assert dectris_cbor.read_array(found, "it") == packed
    assert np.array_equal(dectris_cbor.read_table(found, "it"), PIXELS)


def test_a_view_is_written_as_bytes():
    packed = Packed((2,), "uint8", "none", memoryview(b"ab"))
    assert sent(dectris_cbor.write_array(packed)) == Tag(40, [[2], Tag(64, b"ab")])


@pytest.mark.parametrize(
    ("dtype", "encoding"), [("bool", "none"), ("mono12p", "none"), ("uint8", "cbf")]
)
def test_what_has_no_tag_is_refused(dtype, encoding):
    with pytest.raises(ValueError, match="no word"):
        dectris_cbor.write_array(Packed((2,), dtype, encoding, b"ab"))


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (b"abc", "bad array"),
        (Tag(1040, [[1, 1], Tag(64, b"a")]), "bad array"),
        (Tag(40, [[1]]), "bad array"),
        (Tag(40, [[], Tag(64, memoryview(b""))]), "bad array"),
        (Tag(40, [[0], Tag(64, memoryview(b""))]), "bad array"),
        (Tag(40, [[1], Tag(64, "a")]), "bad array"),
        (Tag(40, [[1], Tag(83, memoryview(b"a"))]), "unknown type"),
        (Tag(40, [[2**20, 2**20], Tag(64, memoryview(b""))]), "too many pixels"),
    ],
)
def test_what_is_no_array_is_told_by_its_name_and_place(found, kind):
    with pytest.raises(ProtocolError, match="the mask") as refused:
        dectris_cbor.read_array(found, "the mask", series=3)
    assert (refused.value.kind, refused.value.series) == (kind, 3)


def test_tables_share_a_limit():
    table = sent(dectris_cbor.write_table(PIXELS))
    dectris_cbor.read_table(table, "it", PIXELS.nbytes)
    with pytest.raises(ProtocolError, match="at most 239 bytes"):
        dectris_cbor.read_table(table, "it", PIXELS.nbytes - 1)


def test_a_large_table_is_refused_before_it_is_unpacked():
    size = (1 << 50).to_bytes(8)
    blob = Tag(56500, ["bszstd", 4, memoryview(size + bytes(100))])
    with pytest.raises(ProtocolError, match="too large"):
        dectris_cbor.read_table(Tag(70, blob), "it")


@pytest.mark.parametrize(
    ("found", "plain"),
    [
        ({1: "a", "b": [None, True]}, {"1": "a", "b": [None, True]}),
        (memoryview(b"abc"), b"abc"),
        (Tag(99, {"a": Tag(98, [1])}), {"a": [1]}),
        (Tag(69, memoryview(b"\x01\x00\x02\x00")), [1, 2]),
        (Tag(40, [[2, 1], Tag(64, memoryview(b"\x03\x04"))]), [[3], [4]]),
        (Tag(40, "nonsense"), msgspec.UNSET),
        ([Tag(64, memoryview(bytes(1 << 20))), 5], [5]),
        ({"a": memoryview(bytes(1 << 20)), "b": 5}, {"b": 5}),
        (-(2**64), -(2.0**64)),
    ],
)
def test_anything_becomes_plain(found, plain):
    assert dectris_cbor.as_plain(found) == plain


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"type": "image", "series_id": 1, "image_id": 2}, {"series": 1, "number": 2}),
        ({"type": "start", "series_id": 1, "image_id": 2}, {"series": 1}),
        ({"type": "image", "series_id": "1", "image_id": -2}, {}),
        ({}, {}),
    ],
)
def test_the_place_is_told_as_far_as_it_can_be_read(fields, place):
    found = dectris_cbor.place_of(fields)
    assert {key: value for key, value in found.items() if value is not None} == place


@pytest.mark.parametrize(
    ("found", "raw", "fields"),
    [
        ('{"a":1}', b'{"a":1}', {"a": 1}),
        (memoryview(b'{"a":1}'), b'{"a":1}', {"a": 1}),
        ({"a": memoryview(b"x")}, b'{"a":"x"}', {"a": b"x"}),
        ("[1]", b"[1]", {}),
        ("{", b"{", {}),
        (None, b"", {}),
        (5, b'{"user_data":5}', {}),
    ],
)
def test_user_data_is_kept_and_read_where_it_can_be(found, raw, fields):
    assert dectris_cbor.read_user_data(found) == (raw, fields)
