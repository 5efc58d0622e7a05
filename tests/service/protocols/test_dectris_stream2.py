import contextlib
import json

import bitshuffle
import cbor2
import msgspec
import numpy as np
import pytest
from hypothesis import given

from srx_service import columns, kinds
from srx_service.codecs import decode
from srx_service.errors import Ignored, ProtocolError
from srx_service.messages import NO_PIXELS, End, Image
from srx_service.protocols import stins
from srx_service.protocols.dectris_stream2 import (
    FORWARDED,
    DectrisStream2Decoder,
    encode,
)
from srx_service.protocols.stins import StinsDecoder
from srx_service.recording import container
from tests.wire import dectris_stream2 as wire
from tests.wire.damage import damaged
from tests.wire.dectris_stream2 import array, image, message, start, tagged
from tests.wire.same import assert_same

ALL = {**wire.STARTS, **wire.IMAGES, **wire.ENDS}


def decoded(*parts):
    (found,) = DectrisStream2Decoder().decode(parts)
    return found


def fields_of(part):
    """Return what an independent reader finds, without what only the source knows."""
    found = cbor2.loads(part[3:])
    return {key: v for key, v in found.items() if key != "series_unique_id"}


@pytest.mark.parametrize("name", ALL)
def test_wire_and_message_are_each_others_inverse(name):
    parts, expected = ALL[name]
    assert_same(decoded(*parts), expected)
    (sent,) = encode(expected)
    assert fields_of(sent) == fields_of(parts[0])
    assert sent[:8] == parts[0][:3] + sent[3:4] + b"\x64typ"


@pytest.mark.parametrize("name", wire.IMAGES)
def test_pixels_are_what_was_packed(name):
    pixels = decode(decoded(*wire.IMAGES[name][0]))
    assert np.array_equal(pixels, np.broadcast_to(wire.PIXELS, pixels.shape))


@pytest.mark.parametrize("name", wire.IMAGES)
def test_live_processing_gets_what_it_can_read_again(name):
    sent = stins.encode(ALL[name][1], 5)
    (found,) = StinsDecoder().decode(sent)
    assert np.array_equal(decode(found), decode(ALL[name][1]))
    assert len(sent) == 1 + len(ALL[name][1].blobs)


def test_pixels_are_not_copied():
    (part,) = ALL["uint32"][0]
    (blob,) = decoded(memoryview(part)).blobs
    assert np.shares_memory(
        np.frombuffer(blob, np.uint8), np.frombuffer(part, np.uint8)
    )


def test_plain_tables_show_the_message_itself():
    (part,) = ALL["all"][0]
    table = decoded(part).tables["flatfield"]
    assert np.shares_memory(table, np.frombuffer(part, np.uint8))


def test_a_table_may_be_compressed():
    mask = array(wire.PIXELS, 70, packed=wire.SHUFFLED)
    tables = decoded(*start(pixel_mask={"threshold_1": mask})).tables
    assert np.array_equal(tables["pixel_mask"], wire.PIXELS)


def test_a_lookup_table_may_be_compressed():
    table = tagged(70, tagged(56500, list(wire.SHUFFLED)))
    tables = decoded(*start(countrate_correction_lookup_table=table)).tables
    assert np.array_equal(tables["countrate_table"], wire.PIXELS.ravel())


@pytest.mark.parametrize(
    ("user_data", "appendix", "filename", "rotate"),
    [
        ('{"filename": "/data/a.h5", "rotate": 2}', None, "/data/a.h5", 2),
        (' {"filename": "/data/a.h5"}\n', None, "/data/a.h5", 0),
        (b'{"filename": "/data/a.h5"}', b'{"filename": "/data/a.h5"}', "/data/a.h5", 0),
        ({"filename": "/data/a.h5"}, b'{"filename":"/data/a.h5"}', "/data/a.h5", 0),
        ({"filename": 5, "rotate": True}, b'{"filename":5,"rotate":true}', "", 0),
        ({1: {2: b"x"}}, None, "", 0),
        ('{"filename": ', None, "", 0),
        ("scan 17", None, "", 0),
        ("", b"", "", 0),
        (None, b"", "", 0),
        (b"\xff\x00", b"\xff\x00", "", 0),
        (17, b'{"user_data":17}', "", 0),
        ([1, "a"], b'{"user_data":[1,"a"]}', "", 0),
        (b"x" * 100_000, b"x" * 100_000, "", 0),
    ],
)
def test_the_users_own_data_may_be_anything(user_data, appendix, filename, rotate):
    found = decoded(*start(user_data=user_data))
    assert (found.filename, found.rotate) == (filename, rotate)
    if appendix is None and isinstance(user_data, str):
        appendix = user_data.encode()
    assert appendix is None or found.appendix == appendix


@pytest.mark.parametrize("value", [None, -1, "10", True, 2**60, 1.5])
def test_nothing_is_announced_where_it_cannot_be_read(value):
    assert decoded(*start(number_of_images=value)).announced is None


def test_keys_that_are_not_known_are_kept_as_far_as_json_can_have_them():
    found = decoded(
        *start(
            new=[1, {"a": None}, float("inf")],
            small=tagged(69, np.arange(3, dtype=np.uint16).tobytes()),
            large=tagged(69, bytes(1 << 20)),
            blob=bytes(1 << 20),
            wrong=tagged(40, [1, 2, 3]),
            odd={"n": -(2**64), 5: tagged(1234, ["x"])},
        )
    ).metadata
    assert found["new"] == [1, {"a": None}, float("inf")]
    assert found["small"] == [0, 1, 2]
    assert found["odd"] == {"n": -float(2**64), "5": ["x"]}
    assert found.keys().isdisjoint({"large", "blob", "wrong"})


def test_threshold_energy_may_be_anything():
    assert decoded(*start(threshold_energy=None)).metadata["threshold_energy"] is None


def test_a_message_without_the_tag_is_read():
    (part,) = ALL["end"][0]
    assert decoded(part[3:]) == End(series=14)


def test_keys_in_any_order_are_read():
    (part,) = message(extra=[1], series_id=14, type="end")
    assert decoded(part) == End(series=14)


def test_another_type_of_message_is_left_alone():
    with pytest.raises(Ignored) as ignored:
        decoded(*message(type="calibration", data=b"12"))
    assert ignored.value.kind == "type 'calibration'"


def test_a_plain_blob_of_the_wrong_size_is_passed_on():
    short = image({"threshold_1": tagged(40, [[10, 6], tagged(70, b"short")])})
    assert decoded(*short).blobs == (b"short",)


def test_an_image_needs_nothing_but_its_ids_and_data():
    data = {"threshold_1": array(wire.PIXELS, 70)}
    found = decoded(*message(type="image", series_id=1, image_id=2, data=data))
    assert (found.series, found.frame, found.extras) == (1, 2, {})


def test_what_an_image_says_can_be_kept_in_columns():
    for path, value in columns.flatten(ALL["bslz4"][1].extras).items():
        assert kinds.kinds_of(value), path


def test_a_header_may_leave_its_tables_out():
    sent = encode(wire.STARTS["all"][1], with_tables=False)
    assert fields_of(sent[0]) == fields_of(wire.STARTS["basic"][0][0])


@pytest.mark.parametrize(
    "changes",
    [
        {"encoding": "cbf"},
        {"encoding": NO_PIXELS, "blobs": ()},
        {"dtype": "bool"},
        {"dtype": "mono12p"},
        {"extras": {"odd": object()}},
    ],
)
def test_what_the_protocol_has_no_word_for_is_not_sent(changes):
    with pytest.raises(ValueError, match=r"stream v2|no CBOR"):
        encode(msgspec.structs.replace(ALL["uint32"][1], **changes))


def test_an_unknown_compression_is_told_with_those_that_are_known():
    sent = image({"threshold_1": array(wire.PIXELS, 70, packed=("trpx", 0, b"12"))})
    with pytest.raises(ProtocolError, match="'trpx', bslz4, bszstd, lz4") as refused:
        decoded(*sent)
    assert (refused.value.series, refused.value.number) == (14, 7)


@given(damaged(parts for parts, _ in ALL.values()))
def test_damage_is_refused_or_read_but_never_fatal(parts):
    decoder = DectrisStream2Decoder()
    with contextlib.suppress(ProtocolError, Ignored):
        (found,) = decoder.decode(parts)
        stins.encode(found, 5)
        if isinstance(found, Image):
            with contextlib.suppress(ValueError):
                decode(found)
    assert decoder.decode(ALL["uint32"][0]) == (ALL["uint32"][1],)


@pytest.fixture(scope="module")
def eiger1m(recordings):
    """A header with tables, ten images, an end: an EIGER 1M, 2024."""
    path = recordings / "stream2.zip"
    if not path.exists():
        pytest.skip(f"no recording {path}")
    return list(container.read(path))


def test_the_recorded_header_is_read_with_its_tables(eiger1m):
    found = decoded(*eiger1m[0])
    assert (found.series, found.filename, found.announced) == (16, "", 10)
    assert json.loads(found.appendix)["sample_name"] == "lyso"
    assert {key: table.shape for key, table in found.tables.items()} == {
        "flatfield": (1065, 1030),
        "pixel_mask": (1065, 1030),
        "countrate_table": (65536,),
    }
    assert tuple(found.metadata)[:6] == FORWARDED


def test_the_recorded_mask_lies_where_the_recorded_pixels_are_masked(eiger1m):
    mask = decoded(*eiger1m[0]).tables["pixel_mask"]
    pixels = decode(decoded(*eiger1m[1]))
    assert np.count_nonzero(mask) > 10_000
    assert np.all(pixels[mask != 0] >= 2**32 - 2)


def test_recorded_images_are_pixel_for_pixel_what_others_read(eiger1m):
    for k, (part,) in enumerate(eiger1m[1:-1]):
        found = decoded(part)
        assert (found.number, found.frame, found.series) == (k, k, 16)
        shape, typed = cbor2.loads(part[3:])["data"]["threshold_1"].value
        algorithm, size, blob = typed.value.value
        assert (typed.tag, algorithm, size) == (70, "bslz4", 4)
        packed = np.frombuffer(blob, np.uint8, offset=12)
        oracle = bitshuffle.decompress_lz4(
            packed, tuple(shape), np.dtype(np.uint32), 8192 // 4
        )
        assert np.array_equal(decode(found), oracle)
    assert k == 9


def test_the_recorded_series_ends(eiger1m):
    assert decoded(*eiger1m[-1]) == End(series=16)


def test_recorded_messages_are_sent_again_as_they_were(eiger1m):
    for (part,) in eiger1m:
        (sent,) = encode(decoded(part))
        assert fields_of(sent) == fields_of(part)
