"""An image read by comparison is what it is read item by item, or is sent back."""

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srx_service.codecs.cbor_templates import ImageTemplate
from srx_service.errors import Ignored, ProtocolError
from srx_service.messages import Image, extras_of
from srx_service.protocols.dectris_stream2 import DectrisStream2Decoder
from srx_service.recording import container
from tests.wire import dectris_stream2 as wire
from tests.wire.damage import damaged
from tests.wire.dectris_stream2 import PIXELS, TWO, array, image, tagged

NUMBERS = st.sampled_from([0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1])
LARGE = NUMBERS | st.sampled_from([2**32, 2**53 + 1, 2**64 - 1])


def read(parts):
    """Return what a decoder says that has seen nothing before, or how it refuses."""
    try:
        return DectrisStream2Decoder().decode(parts)
    except (ProtocolError, Ignored) as error:
        return type(error), str(error)


def read_image(parts):
    (found,) = DectrisStream2Decoder().decode(parts)
    assert isinstance(found, Image)
    return found


def template_of(parts):
    return ImageTemplate(parts[0], read_image(parts), "image_id")


def by_comparison(known, parts):
    found = known.read(memoryview(parts[0]))
    assert found is not None
    return found


def one(size=60, tag=70, **fields):
    data = array(PIXELS, tag, packed=("bslz4", 4, bytes(range(size))))
    ids = {key: fields.pop(key) for key in wire.IDS if key in fields}
    (sent,) = image({"threshold_1": data}, **fields)
    return [sent] if not ids else wire.message(**{**cbor2.loads(sent[3:]), **ids})


@given(NUMBERS, LARGE, LARGE, st.integers(0, 300))
def test_numbers_and_pixels_may_be_others(place, begin, end, size):
    known = template_of(one())
    times = {"start_time": [begin, 50_000_000], "stop_time": [end, 7], "bits": begin}
    sent = image(
        {"threshold_1": array(PIXELS, 70, packed=("bslz4", 4, bytes(size)))},
        image_id=place,
        **{key: value for key, value in times.items() if key != "bits"},
    )
    assert (known.read(sent[0]),) == read(sent)


@given(NUMBERS, LARGE)
def test_a_number_beside_the_lists_may_be_another(place, bits):
    known = template_of(one(bits=1))
    sent = one(bits=bits, image_id=place)
    found = by_comparison(known, sent)
    assert found == read_image(sent)
    assert extras_of(found)["bits"] == bits


def test_several_channels_are_followed():
    def sent(place, *sizes):
        packed = [("bslz4", 4, bytes([place]) * size) for size in sizes]
        data = {
            name: array(PIXELS, 70, packed=blob)
            for name, blob in zip(TWO, packed, strict=True)
        }
        return image(data, image_id=place)

    known = template_of(sent(1, 30, 40))
    found = by_comparison(known, sent(2, 300, 5))
    assert found == read_image(sent(2, 300, 5))
    assert [len(blob) for blob in found.blobs] == [300, 5]


OTHERS = {
    "another series": one(series_id=15),
    "another type": one(tag=69),
    "another algorithm": image(
        {"threshold_1": array(PIXELS, 70, packed=("bszstd", 4, b"12"))}
    ),
    "another shape": image({"threshold_1": array(PIXELS, 70, shape=(6, 10))}),
    "another date": one(series_date=tagged(0, "2025-01-01T00:00:00Z")),
    "one key more": one(more=1),
    "a fraction": one(start_time=[0.5, 50_000_000]),
    "a negative number": one(start_time=[-1, 50_000_000]),
    "a longer list": one(start_time=[0, 50_000_000, 1]),
    "a place beyond 32 bits": one(image_id=1 << 32),
    "two channels": image({name: array(PIXELS, 70) for name in TWO}),
    "an end": wire.message(type="end", **wire.IDS),
    "cut short": [one()[0][:-1]],
    "cut in its head": [one()[0][:40]],
    "bytes behind its end": [one()[0] + b"\x00"],
    "nothing": [b""],
    "pixels said to be longer": [one()[0].replace(b"\x58\x3c", b"\x58\xff")],
    "pixels said to be shorter": [one()[0].replace(b"\x58\x3c", b"\x58\x01")],
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_differs_in_more_is_sent_back(name):
    assert template_of(one()).read(OTHERS[name][0]) is None


UNFIT = {
    "a number in a map": one(temperatures={"head": 21}),
    "a number in a list of lists": one(regions=[[1, 2], [3, 4]]),
    "a list that lost an item": one(odd=[bytes(20_000), 5]),
    "a key that is no text": wire.message(
        type="image",
        **wire.IDS,
        image_id=7,
        data={"threshold_1": array(PIXELS, 70)},
        more={1: 2},
    ),
    "much beside its pixels": one(note="x" * 5000),
}


@pytest.mark.parametrize("name", UNFIT)
def test_what_cannot_be_followed_is_told(name):
    with pytest.raises(ValueError, match=r"\w"):
        template_of(UNFIT[name])


def test_numbers_under_a_tag_are_the_same_in_all():
    known = template_of(one(odd=tagged(4, [-2, 27315])))
    assert known.read(one(odd=tagged(4, [-2, 27315]))[0]) is not None
    assert known.read(one(odd=tagged(4, [-2, 27316]))[0]) is None


def test_what_is_read_shares_nothing_that_could_be_changed():
    learned = read_image(one())
    known = ImageTemplate(one()[0], learned, "image_id")
    extras_of(learned)["start_time"][0] = -1
    first, second = (by_comparison(known, one(image_id=k)) for k in (1, 2))
    extras_of(first)["start_time"][0] = -1
    assert second.extras == read_image(one()).extras


@given(damaged([one(), one(size=30, image_id=300), wire.IMAGES["two channels"][0]]))
@example(one(image_id=8))
def test_a_decoder_that_has_learned_says_the_same_of_damaged_messages(parts):
    decoder = DectrisStream2Decoder()
    decoder.decode(one())
    try:
        found = decoder.decode(parts)
    except (ProtocolError, Ignored) as error:
        found = type(error), str(error)
    assert found == read(parts)


def test_a_decoder_reads_on_by_comparison_and_learns_anew():
    decoder = DectrisStream2Decoder()
    series = [
        one(image_id=k, start_time=[k, 1], series_id=s) for s in (1, 2) for k in (0, 99)
    ]
    for sent in [*series, wire.IMAGES["uint16"][0], *series]:
        assert decoder.decode(sent) == read(sent)


def test_a_stream_that_says_something_else_of_each_is_read_all_the_same():
    decoder = DectrisStream2Decoder()
    for k in range(600):
        (found,) = decoder.decode(one(image_id=k, note=f"{k:03}"))
        assert isinstance(found, Image)
        assert extras_of(found)["note"] == f"{k:03}"


def test_a_recorded_stream_is_read_by_comparison(recordings):
    path = recordings / "stream2.zip"
    if not path.exists():
        pytest.skip(f"no recording {path}")
    images = list(container.read(path))[1:-1]
    known = template_of(images[0])
    for sent in images:
        assert by_comparison(known, sent) == read_image(sent)


def test_an_image_without_fields_of_extras_is_none_to_learn_from():
    found = Image(number=7, frame=7, shape=(), dtype="", encoding="none", blobs=())
    with pytest.raises(ValueError, match="extras"):
        ImageTemplate(one()[0], found, "image_id")
