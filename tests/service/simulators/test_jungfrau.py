import json

import numpy as np
import pytest

from srx_service.codecs import decode
from srx_service.errors import Ignored
from srx_service.messages import End, Image, Start
from srx_service.protocols.jungfraujoch import JungfraujochDecoder
from srx_service.simulators.detector import DetectorSimulator
from srx_service.simulators.jungfrau import PreviewWire, WriterWire, spots
from srx_service.simulators.pictures import picture

SHAPE = (60, 50)


@pytest.fixture
def run(connect):
    """run(wire, **configuration): all that a series brings, decoded."""

    def _run(wire, count, **config):
        with DetectorSimulator(
            wire=wire, shape=SHAPE, rate=0, send_timeout_s=10
        ) as detector:
            kind = "sub" if wire.kind == "pub" else "pull"
            pull = connect(detector.endpoint, kind=kind)
            detector.configure({"frames": 6, **config})
            detector.arm()
            detector.trigger()
            return read(pull(count))

    return _run


def read(raw):
    decoder, found = JungfraujochDecoder(), []
    for parts in raw:
        try:
            found += decoder.decode(parts)
        except Ignored as ignored:
            found.append(ignored.kind)
    return found


@pytest.mark.parametrize("wire", [PreviewWire(), WriterWire()])
@pytest.mark.parametrize("dtype", ["int32", "int16", "uint32"])
@pytest.mark.parametrize("compression", ["bslz4", "none"])
def test_the_stream_decodes_to_the_pictures(run, wire, dtype, compression):
    start, calibration, *images, end = run(
        wire, 9, dtype=dtype, compression=compression
    )
    assert (start.series, start.announced, end) == (1, 6, End(series=1))
    assert calibration == "calibration"
    assert [image.frame for image in images] == list(range(6))
    for image in images:
        assert image.extras["spots"] == spots(image.frame)
        assert np.array_equal(decode(image), picture(image.frame, SHAPE, dtype))


def test_a_preview_of_every_third_leaves_out_the_others(run):
    found = run(PreviewWire(every=3), 5)
    assert [m.frame for m in found if isinstance(m, Image)] == [0, 3]
    assert isinstance(found[-1], End)


def test_the_start_says_where_and_what(run):
    start = run(WriterWire(), 1, filename="/data/a.h5", metadata={"energy": 12.4})[0]
    assert isinstance(start, Start)
    assert start.filename == "/data/a.h5"
    assert json.loads(start.appendix) == {"user": {"filename": "/data/a.h5"}}
    assert start.metadata == {
        "series_unique_id": "simulated",
        "number_of_images": 6,
        "image_size_x": 50,
        "image_size_y": 60,
        "image_dtype": "int32",
        "frame_time": 0.1,
        "error_value": -(2**31),
        "energy": 12.4,
    }
