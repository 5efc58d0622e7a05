import numpy as np
import pytest
from pydantic import ValidationError

from srx_service import codecs
from srx_service.errors import RequestError
from srx_service.messages import End, Image, Start
from srx_service.protocols import stins
from srx_service.simulators.pictures import picture
from srx_service.simulators.wire import StinsWire, blobs, checked, first_config


class ModulesWire(StinsWire):
    modules = 2
    chunks = 2
    shape = (2, 30, 50)
    dtypes = ("int16", "int32")
    compressions = ("bslz4",)


def image(config, wire, number=7):
    return Image(
        series=1,
        number=number,
        frame=3,
        shape=tuple(config.shape),
        dtype=config.dtype,
        encoding=config.compression,
        blobs=blobs(3, config, 0, wire),
    )


def test_a_configuration_begins_with_what_the_wire_has():
    config = first_config(ModulesWire(), {"dtype": None, "frame_rate": 5.0})
    assert (config.shape, config.dtype) == ([2, 30, 50], "int16")
    assert (config.compression, config.frame_rate) == ("bslz4", 5.0)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shape": [30, 50]}, "shape: 3 axes"),
        ({"shape": [3, 30, 50]}, "a multiple of 2"),
        ({"dtype": "uint16"}, "dtype: int16, int32"),
        ({"compression": "none"}, "compression: bslz4"),
    ],
)
def test_what_the_protocol_has_not_is_refused(change, complaint):
    values = first_config(ModulesWire(), {}).model_dump() | change
    with pytest.raises(RequestError, match=complaint) as refused:
        checked(ModulesWire(), values)
    assert refused.value.status == 422


def test_what_no_detector_has_is_refused():
    with pytest.raises(ValidationError, match="frames"):
        first_config(StinsWire(), {"frames": 0})


@pytest.mark.parametrize("compression", ["none", "bslz4", "lz4"])
def test_one_blob_or_several_hold_the_same_pixels(compression):
    class Wire(ModulesWire):
        compressions = (compression,)

    config = first_config(Wire(), {})
    whole = image(config, Wire())
    assert len(whole.blobs) == 2
    expected = picture(3, (60, 50), "int16").reshape(2, 30, 50)
    assert np.array_equal(codecs.decode(whole), expected)


@pytest.mark.parametrize(
    "message",
    [
        Start(series=1, number=0, filename="/data/a.h5", metadata={"a": 1}),
        image(first_config(StinsWire(), {}), StinsWire()),
        End(series=1, number=9),
    ],
)
def test_the_generic_stream_is_one_message_on_one_socket(message):
    wire = StinsWire()
    config = first_config(wire, {})
    expected = stins.encode(message, message.number, exposure_s=config.exposure_s)
    assert wire.messages(message, config) == [(0, expected)]


def test_a_message_without_number_says_none():
    wire = StinsWire()
    ((module, parts),) = wire.messages(End(series=1), first_config(wire, {}))
    assert (module, parts) == (0, [b'{"htype":"series_end"}'])
