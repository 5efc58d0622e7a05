import io
import json
import time

import numpy as np
import pytest
from PIL import Image as Pillow

from srx_service import latest as module
from srx_service.codecs import bslz4
from srx_service.errors import ProtocolError
from srx_service.latest import CACHED, Latest
from srx_service.messages import NO_PIXELS, Image, Start

PIXELS = np.arange(12, dtype="uint16").reshape(3, 4)


def image(pixels=PIXELS, encoding="none", **fields):
    blob = pixels.tobytes() if encoding == "none" else bslz4.compress(pixels)
    fields = {"number": 8, "frame": 7, "shape": pixels.shape, "blobs": (blob,)} | fields
    return Image(**{"dtype": pixels.dtype.name, "encoding": encoding} | fields)


def showing(*images, start=None, downsample=1):
    latest = Latest()
    latest.downsample = downsample
    for each in images:
        latest.put(start, each)
    return latest


def test_before_the_first_image_there_is_nothing():
    latest = Latest()
    assert (latest.serial, latest.header(), latest.parts()) == (0, {}, [{}, b""])
    for look in (latest.array, latest.npy, latest.png, latest.jpg):
        with pytest.raises(LookupError):
            look()


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_the_pixels_are_those_of_the_last_image(encoding):
    latest = showing(image(PIXELS + 1), image(encoding=encoding))
    np.testing.assert_array_equal(latest.array(), PIXELS)
    assert latest.serial == 2


def test_pixels_are_not_to_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        showing(image(encoding="bslz4")).array()[0] = 1


def test_a_rejected_image_does_not_hide_the_last_good_one():
    latest = showing(image(), image(encoding=NO_PIXELS, blobs=(), pixels=PIXELS))
    assert latest.serial == 1
    np.testing.assert_array_equal(latest.array(), PIXELS)


def test_several_blobs_are_one_image():
    halves = (PIXELS[:1].tobytes(), PIXELS[1:2].tobytes(), PIXELS[2:].tobytes())
    np.testing.assert_array_equal(showing(image(blobs=halves)).array(), PIXELS)


@pytest.mark.parametrize(
    "fields",
    [
        {"blobs": (b"short",)},
        {"blobs": ()},
        {"encoding": "cbf"},
        {"dtype": "mono12p"},
        {"shape": (10**9, 10**9)},
        {"encoding": "bslz4", "blobs": (b"\0" * 40,)},
    ],
)
def test_what_cannot_be_decoded_is_told_by_whose_fault_it_is(fields):
    latest = showing(image(**fields))
    for look in (latest.array, latest.npy, latest.png, latest.jpg):
        with pytest.raises(ProtocolError, match="undecodable pixels") as caught:
            look()
        assert caught.value.number == 8


def test_the_header_is_what_the_source_said():
    extras = {"timestamps": {"dcu": "now"}, "exposure_time": 2}
    header = showing(image(extras=extras, series=3)).header()
    assert header == {
        "series": 3,
        "htype": "image",
        "msg_number": 8,
        "frame": 7,
        "shape": [3, 4],
        "type": "uint16",
        "compression": "none",
        **extras,
    }
    json.dumps(header)


def test_the_header_tells_the_exposure_time_of_the_series():
    latest = showing(image(), start=Start(metadata={"count_time": 0.1}))
    assert latest.header()["exposure_time"] == 0.1


def test_an_image_without_a_number_is_told_by_its_frame():
    assert showing(image(number=None)).header()["msg_number"] == 7


def test_the_parts_are_header_and_bytes():
    latest = showing(image(encoding="bslz4"), downsample=4)
    header, blob = latest.parts()
    assert (header["compression"], type(blob)) == ("bslz4", bytes)
    assert "series" not in header


def test_plain_uint16_parts_are_reduced_as_the_predecessor_did():
    pixels = np.array([[1, 2, 9], [2, 65535, 9], [5, 6, 7]], "uint16")
    header, reduced = showing(image(pixels), downsample=2).parts()
    assert reduced.tolist() == [[65540 // 4, 9], [5, 7]]
    assert (header["shape"], reduced.dtype) == ((2, 2), "uint16")


@pytest.mark.parametrize(
    "fields",
    [
        {"shape": (9, 9)},
        {"shape": (12,)},
        {"shape": (3, 2, 2)},
        {"dtype": "int16"},
        {"blobs": (b"",)},
        {"blobs": (b"1", b"2", b"3")},
    ],
)
def test_parts_that_cannot_be_reduced_are_sent_as_they_came(fields):
    header, *blobs = showing(image(**fields), downsample=2).parts()
    assert tuple(blobs) == image(**fields).blobs
    assert isinstance(header["shape"], list)


def test_an_array_is_reduced_for_everybody_or_as_asked():
    latest = showing(image(), downsample=2)
    assert latest.array().shape == (2, 2)
    assert latest.array(1).shape == (3, 4)
    assert latest.array(3).shape == (1, 2)


def test_masked_pixels_do_not_spoil_the_mean():
    pixels = np.array([[4, 65535], [6, 65534]], "uint16")
    assert showing(image(pixels)).array(2).tolist() == [[5]]


def test_npy_is_read_back():
    read = np.load(io.BytesIO(showing(image()).npy()), allow_pickle=False)
    np.testing.assert_array_equal(read, PIXELS)


@pytest.mark.parametrize("scale", ["linear", "log", "sqrt"])
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_pictures_have_the_size_of_the_array(kind, scale):
    content = getattr(showing(image()), kind)(scale, 2, low=0, high=9)
    with Pillow.open(io.BytesIO(content)) as read:
        assert read.size == (2, 2)


def test_the_row_it_takes_is_told():
    latest = Latest()
    latest.put(None, image(), ("a1", 7))
    assert (latest.header()["acquisition"], latest.header()["row"]) == ("a1", 7)
    latest.put(None, image())
    assert "row" not in latest.header()


@pytest.mark.parametrize(
    ("pixels", "total"),
    [
        (PIXELS, 66),
        (np.array([[1, 2**16 - 1], [2**16 - 2, 5]], "uint16"), 6),
        (np.array([[1, -1], [-2, 5]], "int32"), 6),
        (np.array([[1.5, np.nan], [np.inf, 5]], "float32"), 6.5),
        (np.full((3, 4, 5), 2**32 - 3, "uint32"), 60 * (2**32 - 3)),
        (np.full((2, 2), 1e308), None),
        (np.full((2, 2), 255, "uint8"), 0),
    ],
)
@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_the_total_is_of_the_pixels_that_count(pixels, total, encoding):
    told = showing(image(pixels, encoding)).total()
    assert (told["frame"], told["total_counts"]) == (7, total)
    json.dumps(told, allow_nan=False)


def test_an_image_that_cannot_be_decoded_has_no_total():
    with pytest.raises(ProtocolError, match="undecodable pixels"):
        showing(image(blobs=(b"short",))).total()


def test_a_total_is_made_once(monkeypatch):
    latest, decoded = showing(image()), []
    decode = module.codecs.decode
    monkeypatch.setattr(
        module.codecs, "decode", lambda i: decoded.append(i) or decode(i)
    )
    assert latest.total() == latest.total()
    assert len(decoded) == 1


def test_an_image_is_decoded_once_however_many_look(monkeypatch):
    latest, decoded = showing(image(), image()), []
    decode = module.codecs.decode
    monkeypatch.setattr(
        module.codecs, "decode", lambda i: decoded.append(i) or decode(i)
    )
    assert latest.array() is latest.array()
    assert latest.png() is latest.png()
    assert len(decoded) == 2


def test_a_picture_is_not_taken_for_another():
    latest = showing(image(PIXELS * 100))
    pictures = {latest.png(s) for s in ("linear", "log", "sqrt")}
    pictures |= {latest.jpg(), latest.png(downsample=2), latest.png(high=50)}
    assert len(pictures) == 6


def test_views_are_bounded_and_go_with_their_image():
    latest = showing(image())
    for high in range(3 * CACHED):
        latest.png(high=high + 1)
        assert len(latest._views) <= CACHED
    latest.put(None, image())
    assert not latest._views


def test_put_keeps_the_image_and_does_nothing_else(monkeypatch):
    monkeypatch.setattr(module.codecs, "decode", None)
    shown = image()
    latest = showing(shown)
    assert latest._shown.image is shown


@pytest.mark.parametrize(
    ("idle_cores", "share"),
    [(0.0, module.SHARE), (1.1, module.SHARE), (1.8, 0.2), (50, module.MOST_SHARE)],
)
def test_views_rest_for_less_where_cores_are_idle(idle_cores, share):
    latest = Latest(lambda: idle_cores)
    before_s = time.monotonic()
    latest.rest_after(1000.0)
    rests_s = latest.rests_until_s - before_s
    assert rests_s == pytest.approx(1000 / share - 1000, abs=100)
    latest.rest_after(1000.0)
    assert latest.rests_until_s - before_s == pytest.approx(2 * rests_s, abs=100)
