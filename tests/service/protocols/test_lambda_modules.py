import itertools
import json
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from srx_service.codecs import decode
from srx_service.errors import ProtocolError
from srx_service.messages import End, Image, Start, extras_of
from srx_service.ordering import CounterOrdering, Limits
from srx_service.protocols import lambda_modules, stins
from srx_service.protocols.lambda_modules import LambdaDecoder, encode
from tests.wire import lambda_modules as wire
from tests.wire.damage import damaged
from tests.wire.lambda_modules import CASES, GEOMETRY, MODULES, STACK


def fed(decoder, sent, complaints=None):
    """Return what messages, each with its module, are decoded to."""
    found = []
    for module, parts in sent:
        try:
            found.extend(decoder.decode(parts, module))
        except ProtocolError as error:
            if complaints is None:
                raise
            complaints.append(error)
    return found


def headers(number, modules=range(MODULES), **more):
    return [(module, wire.header(module, number, **more)) for module in modules]


def ends(number, modules=range(MODULES)):
    return [(module, wire.end(number)) for module in modules]


def numbers(messages):
    return [message.number for message in messages]


def without(sent, module):
    return [(k, parts) for k, parts in sent if k != module]


@pytest.mark.parametrize("name", CASES)
def test_wire_and_message_are_each_others_inverse(name):
    parts, message = CASES[name]
    assert fed(LambdaDecoder(), enumerate(parts)) == [message]
    assert [_parsed(sent) for sent in encode(message)] == [_parsed(p) for p in parts]


def _parsed(parts):
    return [_json(part) for part in parts]


def _json(part):
    try:
        return json.loads(part)
    except ValueError:
        return part


@pytest.mark.parametrize("order", [*itertools.permutations(range(MODULES))])
def test_modules_come_in_any_order(order):
    sent = wire.sent(26)
    assert fed(LambdaDecoder(), [sent[k] for k in order]) == [CASES["image"][1]]


def test_nothing_comes_before_the_last_module():
    assert fed(LambdaDecoder(), wire.sent(26)[:3]) == []


@pytest.mark.parametrize("name", ["image", "image in bslz4"])
def test_pixels_are_those_of_the_modules_one_after_another(name):
    (image,) = fed(LambdaDecoder(), enumerate(CASES[name][0]))
    assert np.array_equal(decode(image), STACK)


def test_a_module_may_tell_its_own_shape_only():
    sent = wire.sent(26, shape=[3, 4], chunks=None)
    assert fed(LambdaDecoder(), sent) == [CASES["image"][1]]


def test_every_image_has_the_geometry_of_its_series():
    decoder = LambdaDecoder()
    start, image = fed(decoder, [*headers(25), *wire.sent(26, exposure_time=0.1)])
    assert start.metadata == GEOMETRY
    assert extras_of(image) == {"exposure_time": 0.1, **GEOMETRY}
    moved = [(k, [parts[0], wire.text(**wire.place(0))]) for k, parts in headers(28)]
    _, image = fed(decoder, [*moved, *wire.sent(29)])
    assert extras_of(image)["x"] == [0, 0, 0, 0]


def test_the_secondary_port_gets_four_blobs_and_the_geometry():
    *_, image = fed(LambdaDecoder(), [*headers(25), *wire.sent(26)])
    first, *blobs = stins.encode(image, 7)
    assert blobs == [module.tobytes() for module in STACK]
    assert json.loads(first) == {
        "htype": "image",
        "msg_number": 7,
        "frame": 0,
        "shape": [4, 3, 4],
        "type": "uint16",
        "compression": "none",
        "chunks": [1, 3, 4],
        **GEOMETRY,
    }


def test_a_frame_that_one_module_discards_is_discarded():
    sent = [*wire.sent(26)[:3], (3, wire.image(3, discard=True))]
    (image,) = fed(LambdaDecoder(), sent)
    assert image.discard


# -- what is lost ---------------------------------------------------------------------


def test_a_frame_without_one_module_is_left_out():
    decoder = LambdaDecoder()
    sent = [*headers(25), *without(wire.sent(26), 2), *wire.sent(27), *ends(28)]
    complaints = []
    found = fed(decoder, sent, complaints)
    assert numbers(found) == [25, 27, 28]
    assert [error.kind for error in complaints] == ["incomplete frame"]
    assert "26" in str(complaints[0])
    assert "[2]" in str(complaints[0])
    assert complaints[0].number is None


def test_the_line_finds_the_frame_missing_and_goes_on():
    sent = [*headers(0), *wire.sent(1), *without(wire.sent(2), 0), *wire.sent(3)]
    messages = fed(LambdaDecoder(), sent)
    ordering = CounterOrdering(Limits(gap_timeout_s=1.0), connections=MODULES)
    out = ordering.push(messages, 0.0, True)
    for now_s in (2.0, 4.0):
        out += ordering.push([], now_s, True)
    assert numbers(out) == [0, 1, 3]


@pytest.mark.parametrize("lost", range(MODULES))
def test_a_series_begins_though_a_module_lost_its_header(lost):
    sent = [*without(headers(25), lost), *wire.sent(26)]
    start, image = fed(LambdaDecoder(), sent, complaints := [])
    assert (start.number, start.filename) == (25, "/data/a.h5")
    assert image.number == 26
    assert [error.kind for error in complaints] == ["modules disagree"]


def test_a_module_that_lost_its_header_is_where_it_was():
    decoder = LambdaDecoder()
    fed(decoder, [*headers(25), *ends(26)])
    start, image = fed(decoder, [*without(headers(27), 1), *wire.sent(28)])
    assert start.metadata == GEOMETRY
    assert extras_of(image) == GEOMETRY


def test_a_series_ends_though_a_module_lost_its_end():
    sent = [*headers(25), *without(ends(26), 3), *headers(27)]
    found = fed(LambdaDecoder(), sent)
    assert [(type(m), m.number) for m in found] == [
        (Start, 25),
        (End, 26),
        (Start, 27),
    ]


def test_a_broken_header_of_one_module_does_not_take_the_place_of_the_series():
    broken = (1, [wire.header(1)[0], b"{"])
    sent = [*without(headers(25), 1), broken, *wire.sent(26)]
    found = fed(LambdaDecoder(), sent, complaints := [])
    assert numbers(found) == [25, 26]
    assert [error.number for error in complaints] == [None, None]


def test_a_start_that_one_module_repeats_begins_nothing():
    decoder = LambdaDecoder()
    fed(decoder, [*headers(25), *wire.sent(26)])
    found = fed(decoder, [*headers(25, [2]), *wire.sent(27)], complaints := [])
    assert numbers(found) == [27]
    assert [error.kind for error in complaints] == ["incomplete frame"]


def test_frames_that_changed_places_are_not_given_up():
    sent = [*headers(0)]
    for module in range(MODULES):
        sent += [(module, wire.image(module, number)) for number in (2, 1, 3)]
    assert sorted(numbers(fed(LambdaDecoder(), sent))) == [0, 1, 2, 3]


@given(st.randoms(), st.sets(st.tuples(st.integers(0, 9), st.integers(0, 3))))
def test_whatever_is_lost_costs_its_frames_and_no_others(rng: random.Random, lost):
    """Each module keeps its own order; between modules any is possible."""
    streams = [
        [(k, wire.image(k, number)) for number in range(10) if (number, k) not in lost]
        for k in range(MODULES)
    ]
    found = []
    decoder = LambdaDecoder()
    while any(streams):
        stream = rng.choice([stream for stream in streams if stream])
        found += fed(decoder, [stream.pop(0)])
    whole = set(range(10)) - {number for number, _ in lost}
    assert sorted(numbers(found)) == sorted(whole)


# -- what does not fit ----------------------------------------------------------------


def test_a_broken_image_is_rejected_once_and_its_place_told():
    sent = [(k, wire.image(k, 26, type="nonsense")) for k in range(MODULES)]
    found = fed(LambdaDecoder(), [*sent, *wire.sent(27)], complaints := [])
    assert [error.number for error in complaints] == [26, None, None, None]
    assert numbers(found) == [27]


def test_a_broken_image_does_not_wait_for_others():
    decoder = LambdaDecoder()
    sent = [(0, wire.image(0, 26, type="nonsense")), *without(wire.sent(26), 0)]
    assert fed(decoder, sent, []) == []
    assert decoder._waiting == {}
    assert decoder._waiting_bytes == 0


@pytest.mark.parametrize(
    "changes", [{"shape": [4, 4, 3]}, {"type": "int16"}, {"frame": 9}]
)
def test_modules_that_do_not_fit_cost_that_frame_only(changes):
    decoder = LambdaDecoder()
    sent = [*wire.sent(26)[:3], (3, wire.image(3, 26, **changes)), *wire.sent(27)]
    assert numbers(fed(decoder, sent, complaints := [])) == [27]
    assert [error.number for error in complaints] == [26]


def test_of_a_message_sent_twice_the_first_is_kept():
    again = (0, wire.image(0, 26, frame=5))
    sent = [wire.sent(26)[0], again, *wire.sent(26)[1:]]
    found = fed(LambdaDecoder(), sent, complaints := [])
    assert found == [CASES["image"][1]]
    assert [(e.kind, e.number) for e in complaints] == [("duplicate message", None)]


def test_where_headers_differ_module_0_is_believed():
    other = [wire.text(htype="header", msg_number=25, filename="/data/b.h5")]
    sent = [*headers(25)[:3], (3, [*other, wire.header(3)[1]])]
    (start,) = fed(LambdaDecoder(), sent, complaints := [])
    assert (start.filename, start.metadata) == ("/data/a.h5", GEOMETRY)
    assert "/data/b.h5" in str(complaints[0])


def test_a_module_without_a_place_leaves_images_without_geometry():
    sent = [*headers(25)[:3], (3, wire.header(3)[:1]), *wire.sent(26)]
    start, image = fed(LambdaDecoder(), sent, complaints := [])
    assert start.metadata is None
    assert extras_of(image) == {}
    assert [error.kind for error in complaints] == ["modules disagree"]


# -- a source that is restarted -------------------------------------------------------


def test_a_restarted_source_begins_anew():
    decoder = LambdaDecoder()
    fed(decoder, [*headers(0), *without(wire.sent(1), 2), *without(wire.sent(2), 1)])
    assert len(decoder._waiting) == 2
    sent = [*headers(0), *wire.sent(1), *wire.sent(2), *ends(3)]
    assert numbers(fed(decoder, sent)) == [0, 1, 2, 3]
    assert decoder._waiting == {}


def test_modules_may_be_restarted_one_after_another():
    decoder = LambdaDecoder()
    fed(decoder, [*headers(0), *wire.sent(1), *without(wire.sent(50), 2)])
    streams = [[wire.header(k, 0), wire.image(k, 1), wire.image(k, 50)] for k in (0, 1)]
    sent = [(k, parts) for k, stream in enumerate(streams) for parts in stream]
    assert fed(decoder, sent) == []
    for k in (2, 3):
        sent = [wire.header(k, 0), wire.image(k, 1), wire.image(k, 50)]
        found = fed(decoder, [(k, parts) for parts in sent])
    assert numbers(found) == [0, 1, 50]


def test_a_number_that_cannot_be_does_no_harm():
    decoder = LambdaDecoder()
    fed(decoder, [*headers(0), (1, wire.image(1, 2**53))])
    assert numbers(fed(decoder, [*wire.sent(1), *ends(2), *headers(3)])) == [1, 2, 3]
    assert list(decoder._waiting) == [2**53]  # until the window is full


# -- bounds ---------------------------------------------------------------------------


def test_what_waits_is_bounded_in_numbers(monkeypatch):
    monkeypatch.setattr(lambda_modules, "WINDOW_NUMBERS", 20)
    decoder = LambdaDecoder()
    sent = [(0, wire.image(0, number)) for number in range(100)]
    complaints = []
    assert fed(decoder, sent, complaints) == []
    assert list(decoder._waiting) == list(range(80, 100))
    assert len(complaints) == 80


def test_what_waits_is_bounded_in_bytes(monkeypatch):
    size = sum(map(len, wire.image(0, 10)))
    monkeypatch.setattr(lambda_modules, "WINDOW_BYTES", 5 * size)
    decoder = LambdaDecoder()
    fed(decoder, [(0, wire.image(0, number)) for number in range(10, 40)], [])
    assert list(decoder._waiting) == list(range(35, 40))
    assert decoder._waiting_bytes == 5 * size


def test_a_series_begins_when_the_window_gives_up_waiting_for_a_module(monkeypatch):
    monkeypatch.setattr(lambda_modules, "WINDOW_NUMBERS", 20)
    sent = [*headers(0, range(3)), *(s for n in range(1, 30) for s in wire.sent(n)[:3])]
    found = fed(LambdaDecoder(), sent, [])
    assert [(type(m), m.number) for m in found] == [(Start, 0)]


def test_the_newest_always_may_wait(monkeypatch):
    monkeypatch.setattr(lambda_modules, "WINDOW_BYTES", 1)
    assert numbers(fed(LambdaDecoder(), wire.sent(26))) == [26]


def test_what_is_complete_leaves_nothing_behind():
    decoder = LambdaDecoder()
    for number in range(0, 300, 3):
        sent = [*headers(number), *wire.sent(number + 1), *ends(number + 2)]
        fed(decoder, sent)
    assert (decoder._waiting, decoder._waiting_bytes) == ({}, 0)
    assert decoder._starts == set()


# -- damage ---------------------------------------------------------------------------

ALL = [parts for by_module, _ in CASES.values() for parts in by_module]


@given(st.lists(st.tuples(st.integers(0, 3), damaged(ALL)), max_size=12))
def test_damage_is_refused_or_read_but_never_fatal(sent):
    decoder = LambdaDecoder()
    for message in fed(decoder, sent, []):
        if isinstance(message, Image):
            extras_of(message)
        else:
            stins.encode(message, 5)
    assert fed(decoder, wire.sent(7777), [])[-1].number == 7777
    assert decoder._waiting_bytes == sum(
        w.size_bytes for w in decoder._waiting.values()
    )


@pytest.mark.parametrize(
    "changes", [{"blobs": (b"",)}, {"shape": (8, 3, 4)}, {"blobs": ()}]
)
def test_an_image_of_another_detector_is_not_sent(changes):
    (image,) = fed(LambdaDecoder(), wire.sent(26))
    fields = {name: getattr(image, name) for name in image.__struct_fields__}
    with pytest.raises(ValueError, match="4 modules"):
        encode(Image(**{**fields, **changes}))
