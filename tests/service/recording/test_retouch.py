import json

import cbor2
import pytest

from srx_service.recording.retouch import OpenSeries, renamed, role

MAGIC = b"\xd9\xd9\xf7"


def part(**fields):
    return json.dumps(fields).encode()


def cbor(**fields):
    return [MAGIC + cbor2.dumps(fields)]


HEADER = [part(htype="header", msg_number=7, filename="old", x=1), b'{"a": 1}']
IMAGE = [part(htype="image", msg_number=8, frame=0), b"\0" * 8]
D_HEADER = part(htype="dheader-1.0", series=14, header_detail="all")
D_IMAGE = [part(htype="dimage-1.0", series=14, frame=0), b"{}", b"\0", b"{}"]
START2 = cbor(type="start", series_id=3, series_unique_id="01H", flatfield=b"\0" * 9999)
IMAGE2 = cbor(
    type="image", series_id=3, series_unique_id="01H", data={"t": b"\1" * 9999}
)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (HEADER, "start"),
        (IMAGE, "image"),
        ([part(htype="series_end")], "end"),
        ([D_HEADER], "start"),
        (D_IMAGE, "image"),
        ([part(htype="dseries_end-1.0", series=1)], "end"),
        (START2, "start"),
        (IMAGE2, "image"),
        (cbor(type="end", series_id=3), "end"),
        (cbor(type="calibration"), "other"),
        ([b"emptyness"], "other"),
        ([b""], "other"),
        ([b"{no json"], "other"),
        ([part(x=1)], "other"),
        ([MAGIC + b"\xbf\xff"], "other"),
        ([MAGIC + b"\xa1\x64type"], "other"),
        ([MAGIC], "other"),
    ],
    ids=range(17),
)
def test_every_message_has_a_role(parts, expected):
    assert role(parts) == expected


def test_the_name_in_a_generic_header_is_replaced_and_all_else_kept():
    head, metadata = renamed(HEADER, "/new")
    assert metadata is HEADER[1]
    assert json.loads(head) == {**json.loads(HEADER[0]), "filename": "/new"}
    assert list(json.loads(head)) == ["htype", "msg_number", "filename", "x"]


@pytest.mark.parametrize("parts", [IMAGE, D_IMAGE, IMAGE2, [b"junk"]], ids=range(4))
def test_other_messages_are_left_alone(parts):
    assert renamed(parts, "/new") is parts


@pytest.mark.parametrize(("detail", "count"), [("none", 1), ("basic", 2), ("all", 8)])
@pytest.mark.parametrize(
    ("appendix", "others"),
    [
        ([], {}),
        ([b'{"filename": "old", "rotate": 1}'], {"rotate": 1}),
        ([b"plain text"], {}),
        ([b"[1]"], {}),
    ],
    ids=["none", "json", "text", "list"],
)
def test_the_name_in_a_dectris_header_is_in_its_appendix(
    detail, count, appendix, others
):
    head = part(htype="dheader-1.0", series=14, header_detail=detail)
    header = [head, *[b"p%d" % k for k in range(1, count)]]
    *kept, new = renamed([*header, *appendix], "/new")
    assert kept == header
    assert json.loads(new) == {**others, "filename": "/new"}


@pytest.mark.parametrize(
    ("user_data", "others"),
    [
        ({}, {}),
        ({"user_data": '{"filename": "old", "rotate": 1}'}, {"rotate": 1}),
        ({"user_data": "plain"}, {}),
        ({"user_data": b"bytes"}, {}),
        ({"user_data": None}, {}),
        ({"user_data": {"filename": "old", "n": 1}}, {"n": 1}),
    ],
    ids=["none", "json", "text", "bytes", "null", "map"],
)
def test_the_name_in_a_cbor_start_is_in_its_user_data(user_data, others):
    fields = {"type": "start", "series_id": 3, **user_data, "mask": b"\0" * 5000}
    (new,) = renamed(cbor(**fields), "/new")
    found = cbor2.loads(new[len(MAGIC) :])
    named = found.pop("user_data")
    named = named if isinstance(named, dict) else json.loads(named)
    assert named == {**others, "filename": "/new"}
    assert found == {k: v for k, v in fields.items() if k != "user_data"}


def missing_end(*messages):
    series = OpenSeries()
    for parts in messages:
        series.see(parts)
    return series.missing_end()


def test_the_missing_end_of_a_generic_stream_has_the_next_number():
    (end,) = missing_end(HEADER, IMAGE)
    assert json.loads(end) == {"htype": "series_end", "msg_number": 9}


def test_a_source_without_numbers_ends_without():
    (end,) = missing_end([part(htype="header", filename="")])
    assert json.loads(end) == {"htype": "series_end"}


def test_the_missing_end_of_a_dectris_series_names_it():
    (end,) = missing_end([D_HEADER], D_IMAGE)
    assert json.loads(end) == {"htype": "dseries_end-1.0", "series": 14}


def test_the_missing_end_of_a_cbor_series_has_its_ids():
    (end,) = missing_end(START2, IMAGE2)
    assert end.startswith(MAGIC)
    assert cbor2.loads(end[len(MAGIC) :]) == {
        "type": "end",
        "series_id": 3,
        "series_unique_id": "01H",
    }


@pytest.mark.parametrize(
    "messages",
    [
        (),
        ([b"junk"],),
        (HEADER, IMAGE, [part(htype="series_end", msg_number=9)]),
        ([D_HEADER], [part(htype="dseries_end-1.0", series=14)], [b"junk"]),
        (START2, cbor(type="end", series_id=3)),
    ],
    ids=range(5),
)
def test_a_stream_whose_series_are_all_closed_lacks_no_end(messages):
    assert missing_end(*messages) is None
