import json

import numpy as np
import pytest

from srx_service.codecs import decode
from srx_service.messages import End, Image, Start, extras_of
from srx_service.protocols.lambda_modules import LambdaDecoder
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.faults import Faults
from srx_service.simulators.lambda_modules import GAP, LambdaWire, geometry
from srx_service.simulators.pictures import picture
from srx_service.transforms.assemble import Assemble

SHAPE = (4, 6, 10)


@pytest.fixture
def simulate():
    """simulate(**options) -> a running simulator."""
    started = []

    def start(**options):
        options = {"shape": SHAPE, "rate": 0, "send_timeout_s": 10.0, **options}
        started.append(DetectorSimulator(wire=LambdaWire(), **options).start())
        return started[-1]

    yield start
    for simulator in started:
        simulator.stop()


def series(simulator, connect, frames, **config):
    """Return the messages by module that a series is sent as."""
    pulls = [connect(endpoint) for endpoint in simulator.endpoints]
    simulator.configure({"frames": frames, **config})
    simulator.arm()
    simulator.trigger()
    return [pull() for pull in pulls]


def decoded(by_module):
    decoder = LambdaDecoder()
    return [
        message
        for module, sent in enumerate(by_module)
        for parts in sent
        for message in decoder.decode(parts, module)
    ]


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_a_series_is_decoded_to_its_pictures(simulate, connect, compression):
    sent = series(simulate(), connect, 3, compression=compression, filename="/data/a")
    start, *images, end = decoded(sent)
    assert (start.number, start.filename, end) == (0, "/data/a", End(number=4))
    assert isinstance(start, Start)
    for frame, image in enumerate(images):
        assert isinstance(image, Image)
        assert (image.frame, image.encoding) == (frame, compression)
        expected = picture(frame, (24, 10), "uint16").reshape(SHAPE)
        assert np.array_equal(decode(image), expected)


def test_each_module_sends_its_own_part_on_its_own_socket(simulate, connect):
    sent = series(simulate(), connect, 1)
    assert [len(messages) for messages in sent] == [3] * 4
    for module, (header, image, end) in enumerate(sent):
        told = geometry(list(SHAPE))
        assert json.loads(header[1])["x"] == told["x"][module]
        assert json.loads(header[1])["full_shape"] == told["full_shape"]
        assert json.loads(image[0])["shape"] == [4, 6, 10]
        assert json.loads(image[0])["chunks"] == [1, 6, 10]
        assert [len(image), len(end)] == [2, 1]
    assert len({image[1] for _, image, _ in sent}) == 4


def test_the_modules_have_room_in_the_whole_image(simulate, connect):
    start, image, _ = decoded(series(simulate(), connect, 1))
    assert start.metadata == geometry(list(SHAPE))
    assert extras_of(image).items() >= start.metadata.items()
    whole = decode(Assemble().apply(image, start))
    assert whole.shape == (12 + GAP, 20 + GAP)
    stack = decode(image)
    assert np.array_equal(whole[:6, :10], stack[0])
    assert np.array_equal(whole[-6:, -10:], np.rot90(stack[3], 2))
    assert (whole[6:-6] == 65535).all()


def test_a_module_that_loses_a_frame_has_a_gap_in_its_numbers(simulate, connect):
    simulator = simulate(faults=Faults.parse("lose_module=0.5"), seed=1)
    sent = series(simulator, connect, 20)
    lengths = [len(messages) for messages in sent]
    assert 0 < 4 * 22 - sum(lengths) < 20
    assert {json.loads(messages[-1][0])["msg_number"] for messages in sent} == {21}
