import numpy as np
import pytest
from msgspec.structs import replace

from srx_service.codecs import decode, mono12p
from srx_service.errors import ProtocolError
from srx_service.messages import Image, Start
from srx_service.transforms.orca import OrcaPipeline

PIXELS = np.random.default_rng(2).integers(0, 4096, (5, 7)).astype(np.uint16)
PACKED = Image(
    number=9,
    frame=1,
    shape=(5, 7),
    dtype="mono12p",
    encoding="none",
    blobs=(mono12p.encode(PIXELS),),
    extras=b'{"htype":"image","type":"mono12p","timestamps":{"dcu":"now"}}',
)


def test_12_bits_become_16():
    image = OrcaPipeline().apply(PACKED, Start())
    assert (image.dtype, image.encoding, image.shape) == ("uint16", "none", (5, 7))
    assert np.array_equal(decode(image), PIXELS)
    assert image.extras == {"timestamps": {"dcu": "now"}}


def test_what_is_not_packed_passes_as_it_came():
    image = replace(PACKED, dtype="uint16", blobs=(PIXELS.tobytes(),))
    assert OrcaPipeline().apply(image, None) is image


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"blobs": (bytes(52),)}, "52 bytes came"),
        ({"blobs": (bytes(54),)}, "54 bytes came"),
        ({"blobs": ()}, "0 blobs"),
        ({"blobs": (bytes(53), bytes(53))}, "2 blobs"),
        ({"shape": (7, 8)}, "makes 84"),
        ({"encoding": "bslz4"}, "encoding 'bslz4'"),
    ],
)
def test_what_cannot_be_read_is_refused_and_told(fields, text):
    with pytest.raises(ProtocolError, match=text) as refused:
        OrcaPipeline().apply(replace(PACKED, **fields), None)
    assert refused.value.number == 9
