import contextlib
import json

import cbor2
import msgspec
import numpy as np
import pytest
from hypothesis import given

from srx_service import columns, kinds
from srx_service.codecs import bslz4, bszstd, decode
from srx_service.errors import Ignored, ProtocolError
from srx_service.messages import NO_PIXELS, End, Image, Start, extras_of
from srx_service.protocols import stins
from srx_service.protocols.jungfraujoch import JungfraujochDecoder, encode
from tests.wire import jungfraujoch as wire
from tests.wire.damage import damaged
from tests.wire.dectris_stream2 import array, message, tagged
from tests.wire.same import assert_same

ALL = {**wire.STARTS, **wire.IMAGES, **wire.ENDS}


def decoded(*parts):
    (found,) = JungfraujochDecoder().decode(parts)
    return found


def decoded_in_turn(*messages):
    decoder = JungfraujochDecoder()
    return [found for parts in messages for found in decoder.decode(parts)]


@pytest.mark.parametrize("name", ALL)
def test_wire_and_message_are_each_others_inverse(name):
    parts, expected = ALL[name]
    assert_same(decoded(*parts), expected)
    (sent,) = encode(expected)
    assert cbor2.loads(sent[3:]) == cbor2.loads(parts[0][3:])
    assert sent[:3] == parts[0][:3]


@pytest.mark.parametrize("name", wire.IMAGES)
def test_pixels_are_what_was_packed(name):
    found = decoded(*wire.IMAGES[name][0])
    expected = wire.PIXELS.astype(found.dtype)
    assert np.array_equal(decode(found), expected)


def test_pixels_below_the_pedestal_stay_negative():
    found = decode(decoded(*wire.IMAGES["bslz4 of int16"][0]))
    assert (found.dtype, found.min()) == (np.int16, -2)


def test_pixels_are_not_copied():
    (part,) = ALL["int32"][0]
    (blob,) = decoded(memoryview(part)).blobs
    assert np.shares_memory(
        np.frombuffer(blob, np.uint8), np.frombuffer(part, np.uint8)
    )


@pytest.mark.parametrize("kind", wire.IGNORED)
def test_what_is_nothing_for_the_line_is_said_to_be(kind):
    with pytest.raises(Ignored) as ignored:
        decoded(*wire.IGNORED[kind])
    assert ignored.value.kind == kind


def test_a_type_of_tomorrow_is_none_of_ours():
    with pytest.raises(Ignored, match="type 'heartbeat'"):
        decoded(*message(type="heartbeat", series_id=14))


@pytest.mark.parametrize(
    ("user_data", "filename"),
    [
        ('{"user": {"filename": "/data/a.h5"}}', "/data/a.h5"),
        ('{"user": "{\\"filename\\": \\"/data/a.h5\\"}"}', "/data/a.h5"),
        ('{"filename": "/data/a.h5"}', "/data/a.h5"),
        ({"user": {"filename": "/data/a.h5"}}, "/data/a.h5"),
        ({"filename": "/data/a.h5", "user": {"filename": "b"}}, "/data/a.h5"),
        ('{"user": {"filename": 5}}', ""),
        ('{"user": "scan 17"}', ""),
        ('{"user": 17}', ""),
        ('{"filename": 5}', ""),
        ("scan 17", ""),
        (b"\xff", ""),
        (None, ""),
    ],
)
def test_a_file_is_named_by_the_user_alone(user_data, filename):
    assert decoded(*wire.start(user_data=user_data)).filename == filename


def test_the_prefix_of_the_writers_files_names_no_file():
    start = decoded(*wire.STARTS["start"][0])
    assert (start.filename, start.metadata["file_prefix"]) == ("", "lyso/run17")


@pytest.mark.parametrize("value", [None, -1, "10", True, 2**60])
def test_nothing_is_announced_where_it_cannot_be_read(value):
    assert decoded(*wire.start(number_of_images=value)).announced is None


def test_a_mask_may_come_without_channel_and_of_several():
    start = wire.start(
        pixel_mask=array(wire.MASK, 70),
        flatfield={name: array(wire.MASK, 70) for name in "ab"},
    )
    tables = decoded(*start).tables
    assert list(tables) == ["pixel_mask", "flatfield_a", "flatfield_b"]
    assert np.array_equal(tables["pixel_mask"], wire.MASK)


def test_an_end_may_tell_more():
    sent = message(type="end", series_id=14, max_image_number=29, efficiency=1.0)
    assert decoded(*sent) == End(series=14)


def test_an_array_may_come_without_channel():
    found = decoded(*wire.image(array(wire.PIXELS, 78)))
    assert np.array_equal(decode(found), wire.PIXELS)


@pytest.mark.parametrize("encoding", ["none", "bslz4", "bszstd"])
def test_the_messages_of_2023_are_read_with_shape_and_type_from_the_start(encoding):
    codecs = {"bslz4": bslz4, "bszstd": bszstd}
    pixels = wire.PIXELS
    blob = wire.PLAIN if encoding == "none" else codecs[encoding].compress(pixels)
    start, image, end = decoded_in_turn(
        wire.OLD_START, wire.old_image(blob), wire.OLD_END
    )
    assert (type(start), start.series, end) == (Start, None, End())
    assert (image.series, image.number, image.frame) == (None, 7, 7)
    assert (image.shape, image.dtype, image.encoding) == ((10, 6), "int32", encoding)
    assert np.array_equal(decode(image), pixels)


def test_spots_that_were_numbers_become_what_they_are_today():
    image = decoded_in_turn(wire.OLD_START, wire.old_image(wire.PLAIN))[1]
    assert image.extras == {
        "file_number": 0,
        "spots": [{"x": 1.5, "y": 2.5, "intensity": 100.0}],
        "spot_count": 1,
    }


@pytest.mark.parametrize("spots", [[1.0, 2.0], [{"x": 1}, 2, 3], "none", {"x": 1}, 5])
def test_spots_of_another_form_cost_no_image(spots):
    image = decoded(*wire.image({"default": array(wire.PIXELS, 78)}, spots=spots))
    assert image.extras["spots"] == spots


def test_spots_are_counted_where_the_source_does_not():
    assert decoded(*ALL["bslz4"][0]).extras["spot_count"] == 2
    data = {"default": array(wire.PIXELS, 78)}
    assert decoded(*wire.image(data, spot_count=5)).extras["spot_count"] == 5


def test_spots_are_no_column_their_number_is():
    flat = columns.flatten(decoded(*ALL["bslz4"][0]).extras)
    kept = [".".join(path) for path, value in flat.items() if kinds.kinds_of(value)]
    assert kept == ["bkg_estimate", "spot_count"]


def test_a_profile_of_numbers_is_kept_with_each_image():
    profile = np.linspace(0, 1, 30, dtype=np.float32)
    data = {"default": array(wire.PIXELS, 78)}
    image = decoded(*wire.image(data, az_int_profile=tagged(85, profile.tobytes())))
    assert image.extras["az_int_profile"] == profile.tolist()


def test_live_processing_gets_the_spots():
    sent = stins.encode(decoded(*ALL["bslz4"][0]), 5)
    assert json.loads(sent[0])["spots"] == wire.SPOTS
    (found,) = stins.StinsDecoder().decode(sent)
    assert np.array_equal(decode(found), wire.PIXELS)
    assert extras_of(found)["bkg_estimate"] == 1.25


@pytest.mark.parametrize(
    "changes",
    [
        {"encoding": "cbf"},
        {"encoding": NO_PIXELS, "blobs": ()},
        {"blobs": (b"", b"")},
        {"dtype": "bool"},
    ],
)
def test_what_the_protocol_has_no_word_for_is_not_sent(changes):
    with pytest.raises(ValueError, match=r"Jungfraujoch|stream v2"):
        encode(msgspec.structs.replace(ALL["int32"][1], **changes))


@given(damaged(parts for parts, _ in ALL.values()))
def test_damage_is_refused_or_read_but_never_fatal(parts):
    decoder = JungfraujochDecoder()
    with contextlib.suppress(ProtocolError, Ignored):
        (found,) = decoder.decode(parts)
        stins.encode(found, 5)
        if isinstance(found, Image):
            _decode_if_it_can_be(found)
    assert list(decoder.decode(ALL["bslz4"][0])) == [ALL["bslz4"][1]]


@given(damaged([wire.OLD_START, wire.old_image(wire.PLAIN), wire.OLD_END]))
def test_damage_to_messages_of_2023_is_never_fatal(parts):
    decoder = JungfraujochDecoder()
    decoder.decode(wire.OLD_START)
    with contextlib.suppress(ProtocolError, Ignored):
        (found,) = decoder.decode(parts)
        stins.encode(found, 5)
        if isinstance(found, Image):
            _decode_if_it_can_be(found)


def _decode_if_it_can_be(found):
    with contextlib.suppress(ValueError):
        decode(found)
