import numpy as np
import pytest

from srx_service.codecs import decode
from srx_service.codecs.xspress3_counts import SCALARS
from srx_service.errors import RequestError
from srx_service.messages import End, Image, Start
from srx_service.protocols.xspress3 import Xspress3Decoder
from srx_service.simulators import pictures, xspress3
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.xspress3 import Xspress3Wire, scalars


@pytest.fixture(params=[1, 3])
def form(request):
    """How many messages an image takes."""
    return request.param


@pytest.fixture
def simulator(form):
    wire = Xspress3Wire(form)
    options = {"shape": (4, 64), "rate": 0.0, "send_timeout_s": 30.0}
    with DetectorSimulator(wire=wire, **options) as simulator:
        yield simulator


def expose(simulator, pull, form, **config):
    """Return what is decoded of a series."""
    simulator.configure({"frames": 5, "exposure_s": 0.25, **config})
    simulator.arm()
    simulator.trigger()
    decoder, sent = Xspress3Decoder(), pull(2 + 5 * form)
    assert [len(parts) for parts in sent][1:-1] == [3 if form == 1 else 1] * 5 * form
    return [message for parts in sent for message in decoder.decode(parts)]


def test_a_series_is_what_the_detector_sends(simulator, connect, form):
    pull = connect(simulator.endpoint, kind="sub")
    start, *images, end = expose(simulator, pull, form, filename="/data/a.h5")
    assert (type(start), type(end), start.filename) == (Start, End, "/data/a.h5")
    assert start.metadata["extra_tags"] == list(SCALARS)
    assert np.shape(start.metadata["limits"]) == (2, 4, 2)
    assert [image.frame for image in images] == [0, 1, 2, 3, 4]


def test_spectra_and_counts_are_known_beforehand(simulator, connect, form):
    pull = connect(simulator.endpoint, kind="sub")
    _, *images, _ = expose(simulator, pull, form)
    for image in images:
        expected = pictures.picture(image.frame, (4, 64), "uint32")
        assert np.array_equal(decode(image), expected)
        counts = scalars(image.frame, 4, 0.25)
        assert image.extras.pop("exposure_time") == 0.25
        assert list(image.extras) == list(counts)
        assert all(np.array_equal(image.extras[k], counts[k]) for k in counts)
        assert all(image.extras[k].dtype == counts[k].dtype for k in counts)


def test_metadata_may_be_chosen(simulator, connect, form):
    pull = connect(simulator.endpoint, kind="sub")
    start, *_ = expose(simulator, pull, form, metadata={"overwritable": True})
    assert start.metadata["overwritable"] is True


@pytest.mark.parametrize("change", [{"dtype": "uint16"}, {"compression": "bslz4"}])
def test_pixels_are_never_anything_else(simulator, change):
    with pytest.raises(RequestError):
        simulator.configure(change)


def test_no_two_counts_are_alike():
    frames = [scalars(frame, 4, 0.1) for frame in range(3)]
    rates = np.concatenate([counts["output_count_rate"] for counts in frames])
    assert len(set(rates.tolist())) == 12
    assert [frames[0][name].dtype.str for name in SCALARS] == [
        *("<f8", "<u4", "<u4", "<u4", "<u4", "<u4", "<i4", "<f8", "<u4")
    ]
    assert frames[0]["window_counts"].shape == (2, 4)


def test_a_message_of_the_wire_is_for_its_only_module():
    simulator = Xspress3Wire()
    image = Image(
        number=0,
        frame=3,
        shape=(1, 4),
        dtype="uint32",
        encoding="none",
        blobs=(bytes(16),),
    )
    config = xspress3.DetectorConfig(shape=[1, 4], dtype="uint32")
    assert [module for module, _ in simulator.messages(image, config)] == [0]
