"""Types of the HTTP interface against those of the line."""

import msgspec

from srx_service.acquisitions import Acquisition, ArmRequest
from srx_service.api import models
from srx_service.counts import COUNTS
from srx_service.errors import ProtocolError
from srx_service.status import Status


def defaults(request):
    return {field.name: field.default for field in msgspec.structs.fields(request)}


def test_the_body_of_arm_has_the_fields_and_defaults_of_the_request():
    body = models.ArmBody()
    assert list(models.ArmBody.model_fields) == list(defaults(ArmRequest))
    assert body.request() == ArmRequest()
    assert msgspec.convert(body.model_dump(), ArmRequest) == ArmRequest()


def test_an_acquisition_is_told_whole():
    acquisition = Acquisition(
        ArmRequest(), origin="api", dataset="/entry/data/data", skip_missing=False
    )
    told = acquisition.as_dict()
    assert models.Acquisition.model_validate(told).model_dump() == told


def test_the_status_is_told_whole():
    status = Status()
    status.count_error(ProtocolError("no JSON", "part 0 is no JSON"), [b"\xff"])
    told = {"state": "idle", **status.as_dict()}
    shown = models.Status.model_validate(told, extra="forbid")
    assert shown.model_dump(exclude_unset=True) == told


def test_every_count_has_its_key():
    assert set(models.Counts.model_fields) == set(COUNTS)


def test_every_key_of_the_body_says_what_it_is():
    schema = models.ArmBody.model_json_schema()
    assert all("description" in field for field in schema["properties"].values())
