import pytest

from srx_service.messages import End, Image, Start
from srx_service.protocols import stins
from srx_service.protocols.dectris_stream1 import DectrisStream1Decoder
from tests.wire import dectris_stream1
from tests.wire.dranspose import DRANSPOSE, Stream1Data, Stream1End, Stream1Start
from tests.wire.stins import CASES

KINDS = {Start: Stream1Start, Image: Stream1Data, End: Stream1End}
DECTRIS = {**dectris_stream1.STARTS, **dectris_stream1.IMAGES, **dectris_stream1.ENDS}


@pytest.mark.parametrize("name", CASES)
def test_dranspose_takes_what_we_send_on(name):
    _, message = CASES[name]
    parsed = DRANSPOSE.validate_json(stins.encode(message, 5, 0.25)[0])
    assert type(parsed) is KINDS[type(message)]
    assert parsed.msg_number == 5


@pytest.mark.parametrize("name", DECTRIS)
def test_dranspose_takes_what_came_from_dectris(name):
    (message,) = DectrisStream1Decoder().decode(DECTRIS[name][0])
    parsed = DRANSPOSE.validate_json(stins.encode(message, 5, 0.25)[0])
    assert type(parsed) is KINDS[type(message)]
    if isinstance(message, Image):
        assert parsed.shape == list(message.shape)
        assert parsed.model_extra["exposure_time"] == 0.25
