import json

import msgspec
import numpy as np
import pytest
from hypothesis import given

from srx_service.codecs import decode, psi_frames
from srx_service.codecs.psi_modules import PIXELS, Layout
from srx_service.errors import ProtocolError
from srx_service.messages import NO_PIXELS, End, Image, Start
from srx_service.ordering import CounterOrdering, Limits
from srx_service.protocols import stins
from srx_service.protocols.psi_eiger import PsiEigerDecoder, encode
from tests.wire import psi_eiger as wire
from tests.wire.damage import damaged
from tests.wire.dranspose import DRANSPOSE
from tests.wire.psi_eiger import DUMMY, ENDS, frame, image, port

SMALL = Layout((2, 1), (4, 6))


def decoded(sent, decoder=None):
    """Return what messages, (module, parts) each, are decoded to."""
    decoder = decoder or PsiEigerDecoder()
    return [m for module, parts in sent for m in decoder.decode(parts, module)]


def outline(messages):
    """Return S, the index of each image ("-" before that of a hole), E."""
    names = {Start: "S", End: "E"}
    return [
        names.get(type(m)) or ("-" if m.encoding == NO_PIXELS else "") + str(m.frame)
        for m in messages
    ]


def of(module, *frames, **changes):
    return [(module, port(module, index, **changes)) for index in frames]


def end(module):
    return [(module, DUMMY)]


def refused(sent, decoder):
    """Return the kinds of errors, and what was decoded all the same."""
    kinds, messages = [], []
    for module, parts in sent:
        try:
            for message in decoder.decode(parts, module):
                messages.append(message)
        except ProtocolError as error:
            kinds.append(error.kind)
    return kinds, messages


@pytest.mark.parametrize("name", wire.CASES)
def test_ports_are_joined_to_messages(name):
    sent, messages = wire.CASES[name]
    assert decoded(sent) == messages


def test_messages_are_sent_as_they_came():
    sent, (start, *messages) = wire.CASES["a series"]
    found = [each for message in messages for each in encode(message, start, SMALL)]
    assert [module for module, _ in found] == [module for module, _ in sent]
    for (_, parts), (_, expected) in zip(found, sent, strict=True):
        assert parts[1:] == expected[1:]
        fields, told = json.loads(parts[0]), json.loads(expected[0])
        told |= {"progress": None, "modId": None}
        assert {key: told[key] for key in fields if key != "modId"} == {
            key: value for key, value in fields.items() if key != "modId"
        }


def test_a_start_is_not_sent():
    assert encode(wire.START, wire.START, SMALL) == []


@pytest.mark.parametrize(
    "changes", [{"encoding": "bslz4"}, {"dtype": "int16"}, {"shape": (6, 10)}]
)
def test_what_no_port_can_send_is_not_encoded(changes):
    with pytest.raises(ValueError, match=r"sent|due"):
        encode(image(**changes), wire.START, SMALL)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_a_quad_is_put_together_as_the_predecessor_did(dtype):
    rng = np.random.default_rng(3)
    lower, upper = rng.integers(0, 200, (2, 256, 512)).astype(dtype)
    bits = 8 * np.dtype(dtype).itemsize
    shape = {"shape": [512, 256], "bitmode": bits, "size": lower.nbytes}
    sent = [
        (module, [wire.header(module, **shape), pixels.tobytes()])
        for module, pixels in enumerate((lower, upper))
    ]
    expected = np.zeros((514, 514), dtype)
    expected[:256, :256] = lower[::-1, :256]
    expected[:256, 258:] = lower[::-1, 256:]
    expected[258:, :256] = upper[:, :256]
    expected[258:, 258:] = upper[:, 256:]
    _, joined = decoded(sent)
    assert (joined.shape, joined.dtype) == ((514, 514), dtype)
    assert np.array_equal(decode(joined), expected[::-1])
    start = Start(metadata={"quad": 1})
    assert [parts[1] for _, parts in encode(joined, start)] == [
        parts[1] for _, parts in sent
    ]


def test_without_flip_rows_nothing_is_flipped():
    upper = wire.UPPER
    _, joined = decoded([*of(0, 0), *of(1, 0, flipRows=0)])
    assert np.array_equal(decode(joined)[:4], upper)


@pytest.mark.parametrize(
    ("bitmode", "blob", "pixels"),
    [
        (4, bytes([0x12, 0xF0]), [1, 2, 15, 0]),
        (8, bytes([1, 2, 255, 0]), [1, 2, 255, 0]),
        (12, bytes([0x34, 0x62, 0x57, 0xFF, 0x0F, 0x00]), [0x234, 0x576, 0xFFF, 0]),
        (12, bytes([0x34, 0x02, 0x76, 0x05, 0xFF, 0x0F, 0, 0]), [564, 1398, 4095, 0]),
        (16, bytes([1, 2, 3, 4, 5, 6, 255, 255]), [513, 1027, 1541, 65535]),
        (32, bytes([1, 0, 0, 2] * 4), [2**25 + 1] * 4),
    ],
)
def test_pixels_of_every_bitmode_are_read(bitmode, blob, pixels):
    form = {"bitmode": bitmode, "size": len(blob), "shape": [2, 2], "detshape": [1, 1]}
    _, found = decoded([(0, [wire.header(0, **form), blob])])
    assert found.dtype == PIXELS[bitmode]
    assert decode(found).reshape(-1).tolist() == pixels


def test_the_order_of_the_sockets_says_nothing():
    assert decoded(frame()[::-1]) == decoded(frame())
    sent = [(1 - module, parts) for module, parts in frame()]
    assert decoded(sent) == decoded(frame())


def test_one_socket_may_be_two_series_ahead():
    first, second = {"fileIndex": 3}, {"fileIndex": 4}
    ahead = [*of(0, 0, 1, **first), *end(0), *of(0, 0, 1, **second), *end(0)]
    behind = [*of(1, 0, 1, **first), *end(1), *of(1, 0, 1, **second), *end(1)]
    expected = ["S", "0", "1", "E", "S", "0", "1", "E"]
    assert outline(decoded([*ENDS, *ahead, *behind])) == expected
    assert outline(decoded([*ENDS, *behind, *ahead])) == expected


def test_series_without_a_new_file_index_are_told_apart_by_their_frames():
    ahead = [*of(0, 0, 1), *end(0), *of(0, 0), *end(0)]
    behind = [*of(1, 0, 1), *end(1), *of(1, 0), *end(1)]
    assert outline(decoded([*ENDS, *ahead, *behind])) == [
        "S",
        "0",
        "1",
        "E",
        "S",
        "0",
        "E",
    ]


def test_a_new_series_ends_the_one_before_when_its_end_is_lost():
    for changes in ({"fileIndex": 4}, {"fname": "/data/visitors/next"}, {}):
        late = [*of(0, 0, timestamp=9, **changes), *of(1, 0, timestamp=9, **changes)]
        assert outline(decoded([*frame(0), *late])) == ["S", "0", "E", "S", "0"]


def test_one_lost_end_is_made_up_for_by_the_next_series():
    sent = [*frame(0), *end(0), *frame(0)]
    sent[-2] = (0, port(0, 0, timestamp=9))
    sent[-1] = (1, port(1, 0, timestamp=9))
    assert outline(decoded(sent)) == ["S", "0", "E", "S", "0"]


def test_ends_may_come_as_often_as_they_like():
    sent = [*ENDS, *ENDS, *frame(0), *end(0), *end(0), *end(1), *ENDS, *frame(0), *ENDS]
    assert outline(decoded(sent)) == ["S", "0", "E", "S", "0", "E"]


def test_a_frame_that_lacks_a_port_is_left_out():
    sent = [*frame(0), *of(0, 1), *frame(2), *of(1, 3), *frame(4), *ENDS]
    assert outline(decoded(sent)) == ["S", "0", "2", "4", "E"]


def test_frames_that_lack_a_port_before_any_is_whole_leave_holes():
    sent = [*of(0, 0), *of(1, 2), *frame(3), *ENDS]
    messages = decoded(sent)
    assert outline(messages) == ["S", "-0", "-1", "-2", "3", "E"]
    ordering = CounterOrdering(Limits(gap_timeout_s=0), connections=2)
    passed = ordering.push(messages, 0.0, True)
    assert [m.number for m in passed] == [0, 1, 2, 3, 4, 5]


def test_a_port_that_lost_its_first_frames_counts_from_a_later_one():
    sent = [*of(0, 0, 1), (1, port(1, 0, frameNumber=2))]
    messages = decoded(sent)
    assert outline(messages) == ["S", "-0", "1"]


def test_a_series_of_which_no_frame_is_whole_is_none():
    sent = [*of(0, 0), *of(1, 1), *ENDS, *frame(0), *ENDS]
    sent[-4] = (0, port(0, 0, fileIndex=4))
    sent[-3] = (1, port(1, 0, fileIndex=4))
    assert outline(decoded(sent)) == ["S", "0", "E"]


def test_lost_packets_are_told():
    _, joined = decoded([*of(0, 0), *of(1, 0, completeImage=0, packetNumber=63)])
    assert joined.extras["completeImage"] == 0
    assert joined.extras["packetNumber"] == [64, 63]


@pytest.mark.parametrize(
    ("fname", "filename"),
    [
        ("/data/a/run", "/data/a/run"),
        ("/data/run", "/data/run"),
        ("run", ""),
        ("/run", ""),
        ("//run", ""),
        ("/", ""),
        ("", ""),
    ],
)
def test_only_an_absolute_path_is_a_file_name(fname, filename):
    start, _ = decoded([*of(0, 0, fname=fname), *of(1, 0, fname=fname)])
    assert start.filename == filename
    assert start.metadata["fname"] == fname


def test_headers_of_older_receivers_are_read():
    missing = dict.fromkeys(("data", "fileIndex", "timestamp", "flipRows", "quad"), ...)
    _, joined = decoded([*of(0, 0, **missing), *of(1, 0, **missing)])
    assert "timestamp" not in joined.extras
    assert decoded([(0, [b'{"size":0}'])]) == []


def test_four_ports_make_a_module():
    layout = Layout((2, 2), (256, 512))
    picture = np.arange(514 * 1030, dtype=np.uint32).reshape(514, 1030)
    given = image(shape=layout.shape, dtype="uint32", blobs=(picture.tobytes(),))
    fields = {"fname": "", "fileIndex": 0}
    sent = encode(
        msgspec.structs.replace(given, extras={}), Start(metadata=fields), layout
    )
    assert [module for module, _ in sent] == [0, 1, 2, 3]
    start, joined = decoded(sent[::-1])
    found = decode(joined)
    gaps = found == 0
    assert np.array_equal(found[~gaps], picture[~gaps])
    assert np.flatnonzero(gaps.all(axis=0)).tolist() == [256, 257, 514, 515, 772, 773]
    assert np.flatnonzero(gaps.all(axis=1)).tolist() == [256, 257]
    assert start.metadata["row"] == [0, 0, 1, 1]
    assert start.metadata["column"] == [0, 1, 0, 1]


def test_a_port_without_entry_is_told_of_at_the_fourth_series():
    decoder = PsiEigerDecoder()
    sent = [*of(0, 0), *end(0), *of(0, 0, fileIndex=4), *of(0, 0, fileIndex=5)]
    assert refused(sent, decoder) == ([], [])
    sent = [*of(0, 0, fileIndex=6), *of(0, 1, fileIndex=6)]
    kinds, messages = refused(sent, decoder)
    assert (kinds, messages) == (["ports missing"], [])


def test_what_waits_is_bounded_and_dropped_frames_are_told(monkeypatch):
    monkeypatch.setattr(psi_frames, "WINDOW_FRAMES", 3)
    decoder = PsiEigerDecoder()
    kinds, messages = refused(of(0, *range(5)), decoder)
    assert (kinds, messages) == (["ports missing"] * 2, [])
    kinds, messages = refused(of(1, *range(5)), decoder)
    assert (kinds, outline(messages)) == (["ports missing"] * 2, ["S", "2", "3", "4"])


def test_what_waits_is_bounded_in_bytes(monkeypatch):
    size = len(b"".join(port()))
    monkeypatch.setattr(psi_frames, "WINDOW_BYTES", 3 * size + size // 2)
    kinds, _ = refused(of(0, *range(5)), PsiEigerDecoder())
    assert kinds == ["ports missing"] * 2


def test_a_dead_port_keeps_no_series_open_for_ever(monkeypatch):
    monkeypatch.setattr(psi_frames, "WINDOW_FRAMES", 3)
    decoder = PsiEigerDecoder()
    decoded(frame(0), decoder)
    ahead = [each for k in range(4, 9) for each in (*of(0, 0, fileIndex=k), *end(0))]
    _, messages = refused([*end(0), *ahead], decoder)
    assert outline(messages) == ["E"]
    kinds, messages = refused(of(1, 1), decoder)
    assert (kinds, messages) == (["late frame"], [])
    later = {"fileIndex": 9}
    _, messages = refused([*of(0, 0, **later), *of(1, 0, **later)], decoder)
    assert outline(messages) == ["S", "0"]


def test_a_window_holds_nothing_that_was_taken():
    decoder = PsiEigerDecoder()
    for k in range(5):
        changes = {"fileIndex": k}
        sent = [*of(0, 0, 1, 2, **changes), *of(1, 0, 2, **changes), *ENDS]
        decoded(sent, decoder)
    assert decoder._frames._acquisitions == []


def test_messages_without_numbers_are_ordered_by_arrival_on_two_sockets():
    ordering = CounterOrdering(Limits(gap_timeout_s=0), connections=2)
    sent = [*frame(0), *frame(1), *of(0, 2), *frame(3), *ENDS, *frame(0), *ENDS]
    passed = ordering.push(decoded(sent), 0.0, False)
    assert outline(passed) == ["S", "0", "1", "3", "E", "S", "0", "E"]
    assert [m.number for m in passed] == [0, 1, 2, 4, 5, 6, 7, 8]
    assert (ordering.take_strays(), ordering.is_waiting) == ([], False)


def test_live_processing_understands_what_is_sent_on():
    for message in wire.CASES["a series"][1]:
        DRANSPOSE.validate_json(stins.encode(message, 5)[0])


def test_pixels_may_be_views():
    sent = [(module, [memoryview(part) for part in parts]) for module, parts in frame()]
    assert decoded(sent) == decoded(frame())


@given(damaged(parts for _, parts in [*frame(), *ENDS]))
def test_damage_is_refused_or_read_but_never_fatal(parts):
    decoder = PsiEigerDecoder()
    _, messages = refused([(0, parts), *of(1, 0)], decoder)
    for message in messages:
        if not isinstance(message, Image) or message.encoding != NO_PIXELS:
            stins.encode(message, 5)
    assert decoded([*ENDS, *frame()], decoder)[-1] == image()
