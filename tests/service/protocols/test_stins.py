import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.errors import ProtocolError
from srx_service.messages import NO_PIXELS, End, Image, extras_of
from srx_service.protocols.stins import StinsDecoder, encode
from srx_service.transforms.rotate import rotate
from tests.wire import stins
from tests.wire.damage import damaged
from tests.wire.dranspose import DRANSPOSE
from tests.wire.stins import CASES, PIXELS, text


def decoded(*parts):
    (message,) = StinsDecoder().decode(parts)
    return message


def image(*blobs, **changes):
    """Return the parts of an image with fields changed; None takes one away."""
    fields = {**json.loads(stins.PLAIN), **changes}
    kept = {key: value for key, value in fields.items() if value is not None}
    return [json.dumps(kept).encode(), *(blobs or (PIXELS,))]


def dectris_image(**changes):
    fields = {
        "series": 3,
        "number": 7,
        "frame": 7,
        "shape": (3, 4),
        "dtype": "uint16",
        "encoding": "none",
        "blobs": (PIXELS,),
        "extras": {"start_time": 17, "image_appendix": b"warm"},
    }
    return Image(**{**fields, **changes})


@pytest.mark.parametrize("name", CASES)
def test_wire_and_message_are_each_others_inverse(name):
    parts, message = CASES[name]
    assert StinsDecoder().decode(parts) == (message,)
    sent = encode(message, message.number)
    if "modules" in name:  # several blobs: part 0 is written anew, in our order
        assert msgspec.json.decode(sent[0]) == msgspec.json.decode(parts[0])
        sent, parts = sent[1:], parts[1:]
    assert sent == parts


@pytest.mark.parametrize("name", CASES)
def test_another_number_changes_nothing_else(name):
    parts, message = CASES[name]
    sent = encode(message, 9_000_000)
    assert json.loads(sent[0]) == {**json.loads(parts[0]), "msg_number": 9_000_000}
    assert sent[1:] == parts[1:]


def test_parts_may_be_views_and_pixels_are_not_copied():
    raw, pixels = memoryview(stins.PLAIN), memoryview(PIXELS)
    message = decoded(raw, pixels)
    assert message.blobs[0] is pixels
    assert message.extras == stins.PLAIN
    assert type(message.extras) is bytes


@pytest.mark.parametrize("missing", [{"msg_number": None}, {"msg_number": ...}])
def test_a_source_without_counter_has_images_without_number(missing):
    parts = image(msg_number=None)
    if missing["msg_number"] is ...:
        parts[0] = parts[0][:-1] + b',"msg_number":null}'
    assert decoded(*parts).number is None


def test_header_and_end_of_the_old_streamers_have_no_number():
    assert decoded(b'{"htype": "header", "filename": "/data/x"}').number is None
    assert decoded(b'{"htype": "series_end"}\n') == End(number=None)


@pytest.mark.parametrize("name", ["null", '""'])
def test_no_file_name_means_nowhere(name):
    assert decoded(b'{"htype":"header","filename":%b}' % name.encode()).filename == ""


@pytest.mark.parametrize(
    ("value", "saves"), [(False, False), (True, True), (None, False)]
)
def test_save_raw_decides_whether_the_file_is_written(value, saves):
    header = text(htype="header", filename="/data/a.h5")
    assert decoded(header, text(save_raw=value)).save is saves
    assert decoded(header).save is True


@pytest.mark.parametrize("value", [False, 1, "true", "yes", [True], {}])
def test_only_true_discards(value):
    assert decoded(*image(discard=value)).discard is False


def test_plain_pixels_need_no_name_of_a_compression():
    assert decoded(*image(compression="")).encoding == "none"
    assert decoded(*image(compression=None)).encoding == "none"
    assert (
        decoded(*image(bytes(18), compression=None, type="mono12p")).dtype == "mono12p"
    )


def test_a_blob_of_the_wrong_size_is_passed_on():
    assert decoded(*image(b"short")).blobs == (b"short",)


@pytest.mark.parametrize(
    ("wire", "dtype"),
    [("<u2", "uint16"), ("u2", "uint16"), (">u2", ">u2"), ("|u1", "uint8")],
)
def test_pixel_types_have_one_name(wire, dtype):
    assert decoded(*image(type=wire)).dtype == dtype


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_what_python_writes_instead_of_json_is_read(constant):
    raw = stins.PLAIN[:-1] + b',"temperature":%b}' % constant
    message = decoded(raw, PIXELS)
    assert (message.number, message.frame) == (26, 0)
    assert json.loads(encode(message, 1)[0])["temperature"] is None
    metadata = decoded(text(htype="header"), b'{"a":%b}' % constant).metadata
    assert not np.isfinite(metadata["a"])


def test_a_known_layout_does_not_open_the_door_for_a_broken_message():
    decoder = StinsDecoder()
    raw = stins.PLAIN[:-1] + b',"x":[1.5e-3,"a1"],"y1":1,"y2":2}'
    decoder.decode([raw, PIXELS])
    for old, new in ((b"1.5e-3", b"1.5e-"), (b":26", b":-26"), (b'"y2"', b'"y1"')):
        with pytest.raises(ProtocolError):
            decoder.decode([raw.replace(old, new), PIXELS])


def test_layouts_that_never_repeat_are_forgotten():
    decoder = StinsDecoder()
    for k in range(200):
        decoder.decode(image(hash="x" * k))
    assert len(decoder._layouts.known) <= 64


def test_the_number_is_found_wherever_the_source_puts_it():
    for raw in (
        b'{"msg_number" : 4 ,"htype":"image","frame":1,"shape":[3,4],"type":"uint16",'
        b'"compression":"none"}\n',
        stins.ORCA,
    ):
        fields = json.loads(encode(decoded(raw, PIXELS), 123)[0])
        assert fields == {**json.loads(raw), "msg_number": 123}


@pytest.mark.parametrize(
    "trap",
    [
        b'"nested":{"msg_number":4}',
        rb'"note":"\"msg_number\":4"',
        b'"note":"msg_number"',
        rb'"path":"C:\\data"',
        b'"name":"\xc3\xa4"',
    ],
)
def test_the_number_is_not_mistaken_for_another(trap):
    raw = stins.PLAIN[:-1] + b"," + trap + b"}"
    fields = json.loads(encode(decoded(raw, PIXELS), 123)[0])
    assert fields == {**json.loads(raw), "msg_number": 123}


def test_a_number_that_is_written_oddly_is_not_sent_twice():
    raw = stins.PLAIN.replace(b'"msg_number":26', b'"msg_number":-0')
    sent = bytes(encode(decoded(raw, PIXELS), 123)[0])
    assert sent.count(b"msg_number") == 1
    assert json.loads(sent) == {**json.loads(raw), "msg_number": 123}


def test_an_image_without_number_gets_one():
    parts = image(msg_number=None)
    sent = json.loads(encode(decoded(*parts), 0)[0])
    assert sent == {**json.loads(parts[0]), "msg_number": 0}


def test_an_image_without_compression_gets_its_name():
    for parts in (image(compression=None), image(compression="")):
        assert json.loads(encode(decoded(*parts), 0)[0])["compression"] == "none"


def test_exposure_is_added_where_there_is_none():
    raw = encode(decoded(stins.PLAIN, PIXELS), 3, 0.25)[0]
    assert json.loads(raw) == {
        **json.loads(stins.PLAIN),
        "msg_number": 3,
        "exposure_time": 0.25,
    }
    assert json.loads(encode(decoded(stins.COMPRESSED, b"x"), 3, 9.0)[0]) == {
        **json.loads(stins.COMPRESSED),
        "msg_number": 3,
    }


def test_a_transformed_image_is_sent_as_it_is_now():
    message = decoded(stins.ORCA, PIXELS)
    changed = msgspec.structs.replace(message, shape=(4, 3), dtype=">u2")
    fields = json.loads(encode(changed, 5)[0])
    assert (fields["shape"], fields["type"]) == ([4, 3], ">u2")
    assert fields["timestamps"] == {"dcu": "2024-10-28T14:02:38.534415+00:00"}
    assert json.loads(encode(rotate(message, 1), 5)[0])["shape"] == [4, 3]


def test_several_blobs_are_sent_with_their_chunks():
    message = dectris_image(shape=(2, 3, 4), blobs=(PIXELS, PIXELS), extras={})
    parts = encode(message, 5)
    assert decoded(*parts).blobs == message.blobs
    assert json.loads(parts[0])["chunks"] == [1, 3, 4]


def test_extras_of_other_protocols_are_sent_and_bytes_as_text():
    extras = {"a": np.float32(0.5), "b": b"warm", "c": b"\xff", "shape": "no"}
    fields = json.loads(encode(dectris_image(extras=extras, discard=True), 5)[0])
    assert list(fields)[:6] == [
        *("htype", "msg_number", "frame", "shape", "type", "compression")
    ]
    assert (fields["a"], fields["b"], fields["discard"]) == (0.5, "warm", True)
    assert "c" not in fields
    assert fields["shape"] == [3, 4]


def test_an_image_without_pixels_is_not_sent():
    with pytest.raises(ValueError, match="without pixels"):
        encode(dectris_image(encoding=NO_PIXELS, blobs=()), 5)


@given(damaged(parts for parts, _ in CASES.values()))
def test_damage_is_refused_or_read_but_never_fatal(parts):
    decoder = StinsDecoder()
    try:
        (message,) = decoder.decode(parts)
    except ProtocolError:
        pass
    else:
        if isinstance(message, Image):
            extras_of(message)
        DRANSPOSE.validate_json(encode(message, 5)[0])
    assert decoder.decode([stins.PLAIN, PIXELS]) == (CASES["image"][1],)


def outcome(decoder, parts):
    try:
        return decoder.decode(parts)
    except ProtocolError as error:
        return str(error)


@given(damaged(parts for parts, _ in CASES.values()))
def test_what_a_decoder_has_seen_before_changes_nothing(parts):
    trained = StinsDecoder()
    for seen, _ in CASES.values():
        trained.decode(seen)
    assert outcome(trained, parts) == outcome(StinsDecoder(), parts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4), st.integers(0, 2**53))
def test_whatever_a_source_adds_is_sent_on(extras, number):
    extras.pop("discard", None)  # anything but true is dropped
    raw = json.dumps({**extras, **json.loads(stins.PLAIN)}).encode()
    message = decoded(raw, PIXELS)
    sent = msgspec.json.decode(encode(message, number)[0])
    expected = msgspec.json.decode(msgspec.json.encode(json.loads(raw)))
    assert sent == {**expected, "msg_number": number}
