import json
import pickle
import pickletools

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.codecs import decode
from srx_service.codecs.xspress3_counts import SCALARS, absent
from srx_service.errors import ProtocolError
from srx_service.messages import NO_PIXELS, End, Image, Start
from srx_service.protocols import stins
from srx_service.protocols.xspress3 import Xspress3Decoder, encode
from srx_service.recording.container import read
from tests.wire import xspress3 as wire
from tests.wire.damage import damaged

IN_ONE = {name: case for name, case in wire.CASES.items() if len(case[0]) == 1}


def plain(messages):
    """Return messages as what can be compared: arrays with their types."""
    return [_plain(message) for message in messages]


def _plain(message):
    if not isinstance(message, Image):
        return message
    extras = {
        key: repr((str(value.dtype), value.tolist()))
        if hasattr(value, "dtype")
        else value
        for key, value in message.extras.items()
    }
    return msgspec.structs.replace(message, extras=extras)


def received(decoder, *messages):
    """Return what the line gets of messages, and what is refused of them."""
    found, refused = [], []
    for parts in messages:
        try:
            found.extend(decoder.decode(parts))
        except ProtocolError as error:
            refused.append(error)
    return found, refused


def decoded(*messages):
    found, refused = received(Xspress3Decoder(), *messages)
    assert refused == []
    return found


def pieces(frame, counts=wire.COUNTS):
    """Return an image in three messages."""
    return [[part] for part in wire.image(frame, counts)]


@pytest.mark.parametrize("name", wire.CASES)
def test_wire_and_messages_are_each_others_inverse(name):
    messages, expected = wire.CASES[name]
    found = decoded(*messages)
    assert plain(found) == plain(expected)
    form = 3 if "three" in name else 1
    sent = [parts for message in found for parts in encode(message, messages=form)]
    for again, parts in zip(sent, messages, strict=True):
        assert [_parsed(part) for part in again] == [_parsed(part) for part in parts]


def _parsed(part):
    return json.loads(part) if part.startswith(b"{") else part


def test_spectra_are_not_copied_and_parts_may_be_views():
    views = [memoryview(part) for part in wire.image(3, wire.COUNTS)]
    for messages in ([views], [[view] for view in views]):
        (image,) = decoded(*messages)
        assert image.blobs[0] is views[1]
    assert np.array_equal(decode(image).ravel(), np.arange(24))


def test_counts_have_the_names_of_the_header_until_the_next_one():
    tags = [f"t{k}" for k in range(9)]
    decoder = Xspress3Decoder()
    header = [wire.text(htype="header", filename="", extra_tags=tags)]
    image = wire.image(0, wire.COUNTS | wire.WINDOWS)
    for first, names in ((header, tags), (wire.HEADER, SCALARS)):
        list(decoder.decode(first))
        (found,) = decoder.decode(image)
        assert tuple(found.extras) == ("exposure_time", *names)


def test_counts_that_have_no_name_are_kept_all_the_same():
    decoder = Xspress3Decoder()
    list(decoder.decode([wire.text(htype="header", extra_tags=["a"])]))
    (found,) = decoder.decode(wire.image(0, wire.WINDOWS | wire.COUNTS))
    assert list(found.extras)[:4] == ["exposure_time", "a", "untitled_0", "untitled_1"]


def test_fewer_counts_than_names_are_those_first_named():
    (found,) = decoded(wire.image(0, dict(list(wire.COUNTS.items())[:2])))
    assert list(found.extras) == ["exposure_time", "output_count_rate", "all_events"]


def test_an_image_needs_no_exposure_and_no_name_of_a_compression():
    for changes in ({"exptime": None}, {"compression": None}, {"compression": ""}):
        (found,) = decoded(wire.image(0, {}, **changes))
        assert found.encoding == "none"
    (found,) = decoded(wire.image(0, {}, exptime=None))
    assert found.extras == {}


def test_an_end_may_come_twice():
    assert decoded(wire.END, wire.END) == [End(), End()]


# --- parts that are lost: one of the three messages, or several


@pytest.mark.parametrize("lost", range(3))
def test_a_lost_message_costs_its_frame_no_more(lost):
    messages = pieces(0) + pieces(1) + pieces(2)
    del messages[3 + lost]
    found, refused = received(Xspress3Decoder(), *messages)
    spectra_came = lost == 2
    assert [m.frame for m in found] == ([0, 1, 2] if spectra_came else [0, 2])
    assert plain([found[0], found[-1]]) == plain(decoded(*pieces(0), *pieces(2)))
    # without their first message the two others are junk, each
    assert len(refused) == (2 if lost == 0 else 1)
    assert lost == 0 or "frame 1" in str(refused[0])


def test_a_frame_without_its_pickle_keeps_its_spectra():
    found, (error,) = received(Xspress3Decoder(), *pieces(4)[:2], wire.END)
    assert plain(found) == plain([wire.decoded_image(4, absent(None, 4)), End()])
    assert error.kind == "incomplete image"
    assert "frame 4 is kept without counts" in str(error)


def test_only_the_first_of_a_series_says_which_counts_there_would_be():
    whole = wire.image(1, wire.COUNTS | wire.WINDOWS)
    messages = [wire.NEW_HEADER, *pieces(0)[:2], whole, *pieces(2)[:2], wire.END]
    found, errors = received(Xspress3Decoder(), *messages)
    first = wire.decoded_image(0, absent(wire.TAGS, 4))
    counted = wire.decoded_image(1, wire.COUNTS | wire.WINDOWS)
    assert plain(found[1:-1]) == plain([first, counted, wire.decoded_image(2, {})])
    assert len(errors) == 2


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("name", IN_ONE)
def test_nothing_but_the_broken_frame_is_lost(name, kept):
    (parts,), expected = IN_ONE[name]
    found, (error,) = received(Xspress3Decoder(), *pieces(77)[:kept], parts)
    assert plain(found[kept - 1 :]) == plain(expected)
    assert "frame 77" in str(error)


def test_a_broken_message_after_half_a_frame_tells_of_both():
    broken = wire.image(78, {}, shape=[4, 7])
    found, (error,) = received(Xspress3Decoder(), *pieces(77)[:2], broken)
    assert [image.frame for image in found] == [77]
    assert error.kind == "wrong size"
    assert "frame 78" in str(error)
    assert "frame 77" in str(error)


def test_junk_before_is_refused_message_by_message():
    junk = [[b"emptyness"]] * 3
    found, refused = received(Xspress3Decoder(), *junk, wire.HEADER, *pieces(0))
    assert len(found) == 2
    assert [error.kind for error in refused] == ["not JSON"] * 3


def test_joining_in_mid_image_costs_one_image():
    found, refused = received(Xspress3Decoder(), *pieces(0)[1:], *pieces(1))
    assert [image.frame for image in found] == [1]
    assert len(refused) == 2


def test_both_forms_may_be_mixed():
    messages = [wire.image(0, wire.COUNTS), *pieces(1), wire.image(2, wire.COUNTS)]
    assert [image.frame for image in decoded(*messages)] == [0, 1, 2]


@pytest.mark.parametrize("beginning", [b"{", b'{"htype"', b"{}", b'{"htype":"status"}'])
def test_spectra_may_look_like_json(beginning):
    spectra = beginning.ljust(len(wire.SPECTRA), b"\0")
    first, _, last = pieces(0)
    (image,) = decoded(first, [spectra], last)
    assert image.blobs == (spectra,)


def test_a_header_as_long_as_the_spectra_is_a_header():
    header = [wire.text(htype="header", filename="/data/a.h5")]
    header[0] = header[0][:-1] + b" " * (len(wire.SPECTRA) - len(header[0])) + b"}"
    assert len(header[0]) == len(wire.SPECTRA)
    found, (error,) = received(Xspress3Decoder(), pieces(7)[0], header)
    assert found == [Start(filename="/data/a.h5")]
    assert "frame 7 is lost" in str(error)


# --- pickles


@pytest.mark.parametrize("form", [1, 3])
def test_a_frame_whose_pickle_is_refused_keeps_its_spectra(form):
    parts = [*wire.image(5, {})[:2], pickle.dumps(print)]
    messages = [parts] if form == 1 else [[part] for part in parts]
    found, (error,) = received(Xspress3Decoder(), *messages)
    assert plain(found) == plain([wire.decoded_image(5, absent(None, 4))])
    assert (error.kind, error.number, error.series) == ("refused pickle", None, None)
    assert "frame 5 is kept without counts" in str(error)
    assert "'builtins.print' is not allowed" in str(error)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickle_is_read(protocol):
    parts = wire.image(0, {})[:2]
    (image,) = decoded([*parts, wire.pickled(*wire.COUNTS.values(), protocol=protocol)])
    assert plain([image]) == plain([wire.decoded_image(0, wire.COUNTS)])


# --- others that read what is decoded


def test_live_processing_gets_counts_as_lists():
    (image,) = decoded(wire.image(3, wire.COUNTS | wire.WINDOWS))
    fields = json.loads(stins.encode(image, 5, 9.0)[0])
    assert fields == {
        "htype": "image",
        "msg_number": 5,
        "frame": 3,
        "shape": [4, 6],
        "type": "uint32",
        "compression": "none",
        "exposure_time": 0.25,
        **{k: v.tolist() for k, v in (wire.COUNTS | wire.WINDOWS).items()},
    }


def test_an_image_that_has_no_place_on_the_wire_is_not_encoded():
    image = wire.decoded_image(0, {})
    for changes in ({"encoding": NO_PIXELS}, {"blobs": ()}, {"encoding": "bslz4"}):
        with pytest.raises(ValueError, match="one blob"):
            encode(msgspec.structs.replace(image, **changes))


MESSAGES = [parts for messages, _ in wire.CASES.values() for parts in messages]


@given(st.lists(damaged(MESSAGES), max_size=8))
def test_damage_is_refused_or_read_but_never_fatal(messages):
    decoder = Xspress3Decoder()
    found, refused = received(decoder, *messages)
    for message in found:
        stins.encode(message, 5)
    assert all(20 < len(str(error)) < 1200 for error in refused)
    received(decoder, wire.HEADER)
    found = list(decoder.decode(wire.image(26, wire.COUNTS)))
    assert plain(found) == plain([wire.decoded_image(26, wire.COUNTS)])


# --- recordings


@pytest.fixture(params=["xspress3-multipart.cbors", "xspress3-dump.cbors"])
def recorded(request, recordings):
    return list(read(recordings / request.param))


def as_images(messages):
    """Return the parts of each image, whichever form they come in."""
    parts = [part for message in messages for part in message]
    firsts = [k for k, part in enumerate(parts) if b'"image"' in part[:20]]
    return [parts[k : k + 3] for k in firsts]


def test_recorded_images_are_read_to_the_last_count(recorded):
    start, *images, end = decoded(*recorded)
    assert start.filename.endswith("_xspress3.hdf5")
    assert end == End()
    assert len(images) == len(as_images(recorded)) >= 5
    for k, (image, parts) in enumerate(zip(images, as_images(recorded), strict=True)):
        assert image.frame == k
        expected = np.frombuffer(parts[1], np.uint32).reshape(4, 4096)
        assert np.array_equal(decode(image), expected)
        counts = dict(plain([image])[0].extras)
        assert counts.pop("exposure_time") == json.loads(parts[0])["exptime"]
        assert list(counts.items()) == as_numpy_reads(parts[2])


def as_numpy_reads(raw):
    """Return names and arrays of a recorded pickle; only what is harmless is read."""
    found = [(opcode.name, arg) for opcode, arg, _ in pickletools.genops(raw)]
    texts = {word for _, arg in found if isinstance(arg, str) for word in arg.split()}
    allowed = {"numpy.core.multiarray", "numpy", "_reconstruct", "ndarray", "dtype"}
    assert texts <= allowed | {"f8", "u4", "i4", "<"}
    arrays = pickle.loads(raw)
    names = SCALARS[: len(arrays)]
    return [
        (k, repr((str(a.dtype), a.tolist())))
        for k, a in zip(names, arrays, strict=True)
    ]


def test_a_recording_is_sent_again_as_it_was(recorded):
    form = 3 if len(recorded) > 50 else 1
    found = decoded(*recorded)
    sent = [parts for message in found for parts in encode(message, messages=form)]
    assert [len(parts) for parts in sent] == [len(parts) for parts in recorded]
    for again, parts in zip(sent, recorded, strict=True):
        if not parts[0].startswith(b"\x80"):
            assert [_parsed(p) for p in again[:2]] == [_parsed(p) for p in parts[:2]]
    assert plain(decoded(*sent)) == plain(found)
