"""Many images read at once are what they are one by one, or are sent back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.codecs.templates import ImageRun
from srx_service.errors import ProtocolError
from srx_service.protocols import stins
from srx_service.protocols.stins import StinsDecoder

PIXELS = b"\x01\x00" * 12
EXTRAS = {
    "nothing": {},
    "numbers": {"temperature": -1.25, "count": -3, "roi": [0, 12, 3.5]},
    "nested": {"timestamps": {"frame": 7, "msg_number": 2.5}, "name": "x1"},
    "frame within": {"of": {"frame": 1}},
}


def message(index, *blobs, **changes):
    """Return one message of a stream, with fields changed; None takes one away."""
    fields = {
        "htype": "image",
        "frame": index,
        "shape": [3, 4],
        "type": "uint16",
        "compression": "none",
        "msg_number": index + 1,
        **changes,
    }
    kept = {key: value for key, value in fields.items() if value is not None}
    return [json.dumps(kept).encode(), *(blobs or (PIXELS,))], 0


def learned(*messages):
    """Return a decoder that has seen such messages."""
    decoder = StinsDecoder()
    assert decoder.decode_run(messages) is None
    return decoder


def one_by_one(messages):
    decoder = StinsDecoder()
    return [decoder.decode(parts)[0] for parts, _ in messages]


def changed(value, by):
    """Return the value with another number wherever it has one."""
    if isinstance(value, dict):
        return {key: changed(each, by) for key, each in value.items()}
    if isinstance(value, list):
        return [changed(each, by) for each in value]
    return value if isinstance(value, str) else value + by


@pytest.mark.parametrize("extra", EXTRAS)
@pytest.mark.parametrize("start", [0, 8, 99_999_990])
def test_images_that_differ_in_numbers_are_read_together(extra, start):
    messages = [message(start + k, **changed(EXTRAS[extra], k)) for k in range(20)]
    run = learned(message(5, **EXTRAS[extra])).decode_run(messages)
    assert run is not None
    assert run == one_by_one(messages)


ODD = {
    "another shape": message(3, PIXELS[:16], shape=[2, 4]),
    "another type": message(3, type="int16"),
    "to be discarded": message(3, discard=True),
    "no number": message(3, msg_number=None),
    "a negative frame": message(-1),
    "a frame in thousandths": message(3.5),
    "a frame beyond 32 bits": message(1 << 40),
    "an exponent": message(3, note=1e300),
    "no blob": ([message(3)[0][0]], 0),
    "two blobs": message(3, PIXELS, PIXELS),
    "the end": ([b'{"htype": "series_end", "msg_number": 9}'], 0),
    "a line break": ([message(3)[0][0] + b"\n", PIXELS], 0),
    "two texts": ([message(3)[0][0] + b"\n" + message(4)[0][0], PIXELS], 0),
    "zeros ahead": ([message(3)[0][0].replace(b"3", b"03", 1), PIXELS], 0),
    "a memoryview": ([memoryview(message(3)[0][0]), PIXELS], 0),
}


@pytest.mark.parametrize("odd", ODD)
def test_one_that_differs_otherwise_sends_all_back(odd):
    decoder = learned(message(5))
    assert decoder.decode_run([message(1), ODD[odd], message(2)]) is None


def test_two_texts_in_one_part_do_not_make_up_for_another():
    texts = message(3)[0][0] + b"\n" + message(4)[0][0]
    run = [([texts, PIXELS], 0), ([b"{}", PIXELS], 0)]
    assert learned(message(5)).decode_run(run) is None


@pytest.mark.parametrize(
    "odd",
    [
        message(5, compression=None),  # then the size of each blob decides
        message(5, name="line\nbreak"),
        message(5, note="x" * 5000),
    ],
    ids=["no compression", "an escape", "long"],
)
def test_some_are_always_read_one_by_one(odd):
    decoder = learned(odd)
    assert decoder.decode_run([odd, odd]) is None


def test_what_is_read_together_changes_with_the_stream():
    decoder = learned(message(5))
    other = [message(k, PIXELS[:16], shape=[2, 4]) for k in range(3)]
    assert decoder.decode_run(other) is None
    assert decoder.decode_run(other) == one_by_one(other)


def test_where_texts_change_too_learning_is_tried_ever_less_often(monkeypatch):
    learned_at: list[int] = []
    decoder = StinsDecoder()
    monkeypatch.setattr(
        stins, "ImageRun", lambda *args: learned_at.append(batch) or ImageRun(*args)
    )
    for batch in range(600):
        run = [message(batch, time=f"{batch}.5 s"), message(batch + 1, time="1 s")]
        assert decoder.decode_run(run) is None
    assert learned_at == [0, 1, 3, 7, 15, 31, 63, 127, 255, 511]
    same = [message(k) for k in range(4)]
    for _ in range(300):
        run = decoder.decode_run(same)
    assert run == one_by_one(same)


@given(
    place=st.integers(0, 200),
    byte=st.integers(0, 255),
    insert=st.booleans(),
    extra=st.sampled_from(sorted(EXTRAS)),
)
def test_damage_never_reads_otherwise_than_one_by_one(place, byte, insert, extra):
    (raw, pixels), _ = message(6, **EXTRAS[extra])
    at = place % len(raw)
    damaged = raw[:at] + bytes([byte]) + raw[at + (not insert) :]
    messages = [message(5, **EXTRAS[extra]), ([damaged, pixels], 0)]
    run = learned(messages[0]).decode_run(messages)
    if run is not None:
        assert run == one_by_one(messages)


def test_what_cannot_be_decoded_leaves_no_trace():
    decoder = StinsDecoder()
    broken = ([b"not JSON", PIXELS], 0)
    assert decoder.decode_run([broken]) is None
    with pytest.raises(ProtocolError):
        decoder.decode(broken[0])
