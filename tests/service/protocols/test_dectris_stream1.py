import contextlib
import json
import struct

import bitshuffle
import msgspec
import numpy as np
import pytest
from hypothesis import given

from srx_service.codecs import decode, lz4
from srx_service.errors import ProtocolError
from srx_service.messages import NO_PIXELS, End, Image, Start
from srx_service.protocols import stins
from srx_service.protocols.dectris_stream1 import (
    FORWARDED,
    DectrisStream1Decoder,
    encode,
)
from tests.wire import dectris_stream1 as wire
from tests.wire import recorded
from tests.wire.damage import damaged
from tests.wire.same import assert_same

ALL = {**wire.STARTS, **wire.IMAGES, **wire.ENDS}


def decoded(*parts):
    (message,) = DectrisStream1Decoder().decode(parts)
    return message


def with_part(parts, index, **changes):
    fields = {**json.loads(parts[index]), **changes}
    kept = {key: value for key, value in fields.items() if value is not None}
    return [*parts[:index], wire.text(**kept), *parts[index + 1 :]]


@pytest.mark.parametrize("name", ALL)
def test_wire_and_message_are_each_others_inverse(name):
    parts, message = ALL[name]
    assert_same(decoded(*parts), message)
    detail = name.split()[0] if name in wire.STARTS else None
    sent = encode(message, header_detail=detail)
    assert [_parsed(part) for part in sent] == [_parsed(part) for part in parts]


def _parsed(part):
    try:
        return json.loads(part)
    except ValueError:
        return part


@pytest.mark.parametrize("name", [name for name in wire.IMAGES if name != "three axes"])
def test_pixels_are_what_was_packed(name):
    message = decoded(*wire.IMAGES[name][0])
    assert np.array_equal(decode(message), wire.PIXELS)


def test_raw_lz4_becomes_a_chunk_of_hdf5():
    raw = wire.LZ4[16:]
    (blob,) = decoded(*wire.image("lz4<", raw)).blobs
    nbytes = wire.PIXELS.nbytes
    assert blob == struct.pack(">QII", nbytes, nbytes, len(raw)) + raw


def test_lz4_that_is_framed_already_stays_as_it_is():
    (blob,) = decoded(*wire.image("lz4<", wire.LZ4)).blobs
    assert blob is wire.LZ4


def test_pixels_that_lz4_made_no_shorter_survive():
    pixels = np.random.default_rng(1).integers(0, 2**32, (10, 6), np.uint32)
    packed = lz4.compress(pixels)
    message = decoded(
        *encode(msgspec.structs.replace(ALL["<"][1], blobs=(packed,), encoding="lz4"))
    )
    assert np.array_equal(decode(message), pixels)


def test_pixels_are_not_copied():
    view = memoryview(wire.PLAIN)
    parts = wire.image("<", wire.PLAIN)
    assert decoded(*parts[:2], view, parts[3]).blobs[0] is view


def test_tables_show_the_blobs_themselves():
    parts, _ = wire.STARTS["all"]
    views = [memoryview(part) for part in parts]
    table = decoded(*views).tables["flatfield"]
    assert np.shares_memory(table, np.frombuffer(views[3], np.float32))


@pytest.mark.parametrize(
    ("appendix", "filename", "rotate"),
    [
        (b'{"filename": "/data/a.h5", "rotate": 2}', "/data/a.h5", 2),
        (b' {"filename": "/data/a.h5"}\n', "/data/a.h5", 0),
        (b'{"rotate": 5}', "", 1),
        (b'{"filename": null, "rotate": null}', "", 0),
        (b'{"filename": 5, "rotate": "1"}', "", 0),
        (b'{"filename": "/data/a.h5", "rotate": true}', "/data/a.h5", 0),
        (b'{"filename": ', "", 0),
        (b'"/data/a.h5"', "", 0),
        (b"scan 17", "", 0),
        (b"\xff\x00", "", 0),
        (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "", 0),
    ],
)
@pytest.mark.parametrize("detail", ["none", "basic", "all"])
def test_the_appendix_may_be_any_text(detail, appendix, filename, rotate):
    start = decoded(*wire.STARTS[detail][0], appendix)
    assert (start.appendix, start.filename) == (appendix, filename)
    assert start.rotate == rotate


@pytest.mark.parametrize(
    ("mode", "announced"),
    [("ints", 30), ("exts", 30), ("inte", 3), ("exte", 3), ("extg", 30), (None, 30)],
)
def test_as_many_images_are_announced_as_the_mode_makes(mode, announced):
    parts = with_part(wire.STARTS["basic"][0], 1, trigger_mode=mode)
    assert decoded(*parts).announced == announced


@pytest.mark.parametrize("value", [None, -1, "10", True, 2**60])
def test_nothing_is_announced_where_it_cannot_be_read(value):
    parts = with_part(wire.STARTS["basic"][0], 1, nimages=value)
    assert decoded(*parts).announced is None


def test_every_key_of_the_configuration_is_optional():
    start = decoded(wire.header("basic"), b"{}")
    assert (start.metadata, start.announced) == ({"rotate": 0}, None)


def test_the_old_firmwares_numbers_for_true_are_kept():
    parts = with_part(wire.STARTS["basic"][0], 1, pixel_mask_applied=1)
    assert decoded(*parts).metadata["pixel_mask_applied"] == 1


def test_keys_in_any_order_and_a_line_end_are_read():
    first = b'{"series":14,"extra":[1],"htype":"dseries_end-1.0"}\n'
    assert decoded(first) == End(series=14)


def test_fields_that_simulators_leave_out_are_not_made_up():
    parts = wire.image("<", wire.PLAIN)
    parts = with_part(with_part(parts, 0, hash=None), 1, size=None)
    parts[3] = b'{"htype":"dconfig-1.0","real_time":1.5}'
    assert decoded(*parts).extras == {"real_time": 1.5}


def test_an_empty_appendix_of_an_image_is_none():
    assert "image_appendix" not in decoded(*wire.image("<", wire.PLAIN), b"").extras


def test_a_plain_blob_of_the_wrong_size_is_passed_on():
    assert decoded(*wire.image("<", b"short")).blobs == (b"short",)


def test_a_header_says_all_it_holds_unless_told_otherwise():
    for detail in ("none", "basic", "all"):
        first = json.loads(encode(wire.STARTS[detail][1])[0])
        assert first["header_detail"] == detail
    assert len(encode(wire.STARTS["all"][1], header_detail="basic")) == 2


def test_a_header_without_its_tables_is_not_sent_as_all():
    with pytest.raises(ValueError, match="flatfield"):
        encode(wire.STARTS["basic"][1], header_detail="all")


@pytest.mark.parametrize(
    "changes",
    [
        {"encoding": "bszstd"},
        {"encoding": "cbf"},
        {"encoding": NO_PIXELS, "blobs": ()},
        {"blobs": (b"", b"")},
        {"encoding": "bslz4", "dtype": "float64"},
    ],
)
def test_what_the_protocol_has_no_word_for_is_not_sent(changes):
    with pytest.raises(ValueError, match="stream v1"):
        encode(msgspec.structs.replace(ALL["<"][1], **changes))


@given(damaged(parts for parts, _ in ALL.values()))
def test_damage_is_refused_or_read_but_never_fatal(parts):
    decoder = DectrisStream1Decoder()
    try:
        (message,) = decoder.decode(parts)
    except ProtocolError:
        pass
    else:
        stins.encode(message, 5)
        if isinstance(message, Image):
            _decode_if_it_can_be(message)
    assert decoder.decode(ALL["<"][0]) == (ALL["<"][1],)


def _decode_if_it_can_be(message):
    with contextlib.suppress(ValueError):
        decode(message)


@pytest.fixture(scope="module")
def eiger1m(recordings):
    """A header, nine images, no end: an EIGER 1M at MAX IV, 2024."""
    return recorded.messages(recordings / "eiger_legacy_dump.zip")


def test_the_recorded_header_is_read_with_its_tables(eiger1m):
    start = decoded(*eiger1m[0])
    assert (start.series, start.filename, start.rotate) == (14, "", 0)
    assert start.announced == 100_000
    assert {key: table.shape for key, table in start.tables.items()} == {
        "flatfield": (1065, 1030),
        "pixel_mask": (1065, 1030),
        "countrate_table": (4000, 2),
    }
    assert tuple(start.metadata)[: len(FORWARDED) + 1] == (*FORWARDED, "rotate")


def test_the_recorded_mask_lies_where_the_recorded_pixels_are_masked(eiger1m):
    mask = decoded(*eiger1m[0]).tables["pixel_mask"]
    pixels = decode(decoded(*eiger1m[1]))
    assert np.count_nonzero(mask) == 38_129
    assert np.all(pixels[mask != 0] == 2**32 - 1)


def test_the_recorded_header_is_sent_again_as_it_was(eiger1m):
    sent = encode(decoded(*eiger1m[0]))
    assert [_parsed(part) for part in sent] == [_parsed(part) for part in eiger1m[0]]


def test_recorded_images_are_pixel_for_pixel_what_bitshuffle_reads(eiger1m):
    for k, parts in enumerate(eiger1m[1:]):
        message = decoded(*parts)
        assert (message.number, message.frame, message.series) == (k, k, 14)
        packed = np.frombuffer(parts[2], np.uint8, offset=12)
        shape, dtype = (1065, 1030), np.dtype(np.uint32)
        oracle = bitshuffle.decompress_lz4(packed, shape, dtype, 8192 // 4)
        assert np.array_equal(decode(message), oracle)
    assert k == 8


def test_recorded_images_are_sent_again_as_they_were(eiger1m):
    for parts in eiger1m[1:]:
        sent = encode(decoded(*parts))
        assert [_parsed(part) for part in sent] == [_parsed(part) for part in parts]


def test_live_processing_gets_the_predecessors_keys_first(eiger1m):
    header = stins.encode(decoded(*eiger1m[0]), 0)
    assert list(json.loads(header[0])) == ["htype", "msg_number", "filename"]
    assert list(json.loads(header[1]))[:12] == [*FORWARDED, "rotate"]
    first = json.loads(stins.encode(decoded(*eiger1m[1]), 1)[0])
    assert list(first.items())[:6] == [
        ("htype", "image"),
        ("msg_number", 1),
        ("frame", 0),
        ("shape", [1065, 1030]),
        ("type", "uint32"),
        ("compression", "bslz4"),
    ]


def test_a_start_without_configuration_is_sent_on_in_one_part():
    assert len(stins.encode(Start(series=1, number=-1), 0)) == 1
