import numpy as np
import pytest

from srx_service.codecs import mono12p
from srx_service.messages import extras_of
from srx_service.protocols.stins import StinsDecoder
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.orca import OrcaWire
from srx_service.simulators.pictures import picture

SHAPE = (61, 49)


@pytest.fixture
def images(connect):
    options = {"shape": SHAPE, "rate": 0, "send_timeout_s": 10}
    with DetectorSimulator(wire=OrcaWire(), **options) as simulator:
        pull = connect(simulator.endpoint)
        simulator.configure({"frames": 3, "exposure_s": 0.25})
        simulator.arm()
        simulator.trigger()
        decoder = StinsDecoder()
        yield [m for parts in pull(5) for m in decoder.decode(parts)][1:-1]


def test_pixels_have_12_bits_and_masked_ones_all_of_them(images):
    for k, image in enumerate(images):
        assert image.dtype == "mono12p"
        expected = np.minimum(picture(k, SHAPE, "uint16"), 4095)
        assert np.array_equal(mono12p.decode(image.blobs[0], SHAPE), expected)
        assert expected.max() == 4095


def test_frames_count_from_one_and_tell_their_time(images):
    assert [image.frame for image in images] == [1, 2, 3]
    times = [extras_of(image)["timestamps"]["dcu"] for image in images]
    assert times[1] == "2023-11-14T22:13:20.250000+00:00"
    assert len(set(times)) == 3
