import numpy as np
import pytest

from srx_service.codecs import decode
from srx_service.errors import RequestError
from srx_service.messages import End, Start
from srx_service.protocols.psi_eiger import PsiEigerDecoder
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.faults import Faults
from srx_service.simulators.pictures import picture
from srx_service.simulators.psi_eiger import PsiEigerWire, sent

SHAPE = (62, 50)


@pytest.fixture
def simulate():
    """simulate(...): a small detector that has been started."""
    started = []

    def start(shape=SHAPE, **options):
        options = {"rate": 0.0, "send_timeout_s": 30.0, **options}
        simulator = DetectorSimulator(wire=PsiEigerWire(), shape=shape, **options)
        started.append(simulator.start())
        return simulator

    yield start
    for simulator in started:
        simulator.stop()


@pytest.fixture
def subscribe(connect):
    """subscribe(simulator): two sockets, one a port."""
    return lambda simulator: [connect(e, kind="sub") for e in simulator.endpoints]


def expose(simulator, **config):
    simulator.configure({"frames": 3, **config})
    simulator.arm()
    simulator.trigger()


def received(pulls, count=None):
    """Return what is decoded, all of the first socket first."""
    decoder = PsiEigerDecoder()
    sent = [
        (module, parts) for module, pull in enumerate(pulls) for parts in pull(count)
    ]
    return [m for module, parts in sent for m in decoder.decode(parts, module)]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
def test_the_ports_make_the_pictures(simulate, subscribe, dtype):
    simulator = simulate(dtype=dtype)
    pulls = subscribe(simulator)
    expose(simulator, filename="/data/a/run", metadata={"sample": "rust"})
    start, *images, end = received(pulls, 4)
    assert (type(start), type(end)) == (Start, End)
    assert start.filename == "/data/a/run"
    assert start.metadata["addJsonHeader"] == {"sample": "rust"}
    assert [image.frame for image in images] == [0, 1, 2]
    for image in images:
        assert np.array_equal(decode(image), sent(picture(image.frame, SHAPE, dtype)))


def test_every_frame_has_its_time(simulate, subscribe):
    simulator = simulate()
    pulls = subscribe(simulator)
    expose(simulator, exposure_s=0.5)
    *_, last, _ = received(pulls, 4)
    assert last.extras["timestamp"] == [10_000_000] * 2
    assert last.extras["expLength"] == [5_000_000] * 2


def test_series_are_told_apart(simulate, subscribe):
    simulator = simulate()
    pulls = subscribe(simulator)
    expose(simulator)
    expose(simulator, end=False)
    expose(simulator, end=True)
    starts = [m for m in received(pulls, 11) if isinstance(m, Start)]
    assert [start.metadata["fileIndex"] for start in starts] == [1, 2, 3]


def test_a_lost_module_costs_its_frame_only(simulate, subscribe):
    simulator = simulate(faults=Faults.parse("lose_module=0.3"))
    pulls = subscribe(simulator)
    expose(simulator, frames=40)
    _, *images, _ = received(pulls)
    frames = [image.frame for image in images if image.blobs]
    assert 5 < len(frames) < 40
    assert frames == sorted(set(frames))


def test_only_the_gaps_between_chips_are_lost():
    given = np.ones((514, 514), np.uint16)
    assert np.count_nonzero(sent(given) == 0) == 2 * 514 + 2 * 512
    assert not sent(given)[256:258].any()
    assert not sent(given)[:, 256:258].any()


@pytest.mark.parametrize("shape", [[61, 50], [513, 514], [514, 512]])
def test_a_shape_that_two_ports_cannot_make_is_refused(simulate, shape):
    simulator = simulate(send_timeout_s=0.0)
    simulator.configure({"shape": shape})
    with pytest.raises(RequestError, match="ports"):
        simulator.arm()
