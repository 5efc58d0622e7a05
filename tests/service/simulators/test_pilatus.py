import numpy as np
import pytest

from srx_service.codecs import cbf
from srx_service.messages import End, Start
from srx_service.protocols.stins import StinsDecoder
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.pictures import picture
from srx_service.simulators.pilatus import PilatusWire

SHAPE = (60, 50)


@pytest.fixture
def detector():
    options = {"shape": SHAPE, "rate": 0, "send_timeout_s": 10}
    with DetectorSimulator(wire=PilatusWire(), **options) as simulator:
        yield simulator


def messages(raw):
    decoder = StinsDecoder()
    return [message for parts in raw for message in decoder.decode(parts)]


def series(detector, **config):
    detector.configure({"frames": 3, **config})
    detector.arm()
    detector.trigger()


def test_images_are_cbf_files_of_the_pictures(detector, connect):
    pull = connect(detector.endpoint)
    series(detector)
    start, *images, end = messages(pull(5))
    assert (type(start), type(end)) == (Start, End)
    for image in images:
        assert (image.encoding, image.dtype) == ("cbf", "int32")
        expected = picture(image.frame, SHAPE, "int32")
        assert np.array_equal(cbf.decode(image.blobs[0], SHAPE), expected)


def test_the_masked_pixels_are_minus_one(detector, connect):
    pull = connect(detector.endpoint)
    series(detector)
    image = messages(pull(5))[1]
    assert cbf.decode(image.blobs[0], SHAPE).min() == -1


def test_an_old_streamer_numbers_nothing_and_may_send_no_end(detector, connect):
    pull = connect(detector.endpoint)
    series(detector, msg_number=False, end=False)
    series(detector, msg_number=False, end=False)
    found = messages(pull(8))
    assert [type(message) is Start for message in found] == 2 * [True, *3 * [False]]
    assert {message.number for message in found} == {None}
