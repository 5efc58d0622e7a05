import pytest

from srx_ophyd.client import Acquisition, ServiceClient, ServiceError

REQUEST = {
    "file": "/data/a_1234.h5",
    "shape": [4, 6],
    "dtype": "uint16",
    "series": "open",
    "lease_s": 60.0,
    "metadata": {},
}


@pytest.fixture
def client(service):
    client = ServiceClient(service.url, timeout_s=1.0)
    yield client
    client.close()


@pytest.fixture
def armed(client):
    return client.arm(**REQUEST)


def test_the_version_in_the_url_may_be_left_out_or_not():
    assert ServiceClient("http://a:5000/api/v1/").url == "http://a:5000"
    assert ServiceClient("http://a:5000/").url == "http://a:5000"


def test_arms(armed, service):
    assert (armed.state, armed.rows, armed.is_over) == ("armed", 0, False)
    assert (armed.shape, armed.dtype, armed.chunk) == ((4, 6), "uint16", None)
    assert service.requests == [("arm", REQUEST)]


def test_lists_the_newest_first(client, armed):
    client.stop(armed.id)
    newer = client.arm(**REQUEST)
    assert [one.id for one in client.acquisitions()] == [newer.id, armed.id]


def test_a_long_poll_answers_when_the_rows_are_there(client, armed, service):
    service.send(1, 2)
    assert client.acquisition(armed.id, wait_frames=2, timeout_s=30).rows == 2


def test_a_long_poll_answers_at_its_timeout(client, armed):
    assert client.acquisition(armed.id, wait_frames=1, timeout_s=0.05).rows == 0


def test_ends_and_rewinds(client, armed, service):
    service.send(1, 2, 3)
    assert client.rewind(armed.id, 1).rows == 1
    assert client.abort(armed.id).state == "aborted"
    assert client.acquisition(armed.id).is_over


def test_pins_a_series(client, armed, service):
    client.patch(armed.id, series_id=7)
    assert service.requests[-1] == ("patch", {"series_id": 7})


def test_reads_the_state_of_the_line(client):
    client.check_ready()
    assert client.status()["state"] == "idle"


def test_says_what_the_service_is(client):
    facts = client.facts()
    assert (facts.version, facts.detector_class) == ("1.2.3", "Eiger")


def test_what_tells_no_version_is_no_srx(client, service):
    service.version = None
    with pytest.raises(ServiceError, match=f"{service.url} is no srx service, GET /st"):
        client.facts()


def test_a_server_without_status_is_no_srx(client, service):
    service.has_status = False
    with pytest.raises(ServiceError, match="is no srx service"):
        client.facts()


@pytest.mark.parametrize("ask", [ServiceClient.facts, ServiceClient.acquisitions])
def test_another_version_of_the_api_is_told(client, service, ask):
    service.has_v1 = False
    with pytest.raises(ServiceError, match="does not speak version 1 of the API, the"):
        ask(client)


def test_sums_the_last_frame_when_asked(client, armed, service):
    service.send(1, 2)
    assert client.acquisition(armed.id, 2).last_frame == {}
    assert client.acquisition(armed.id, 3, total=True).last_frame == {}
    told = client.acquisition(armed.id, 2, total=True).last_frame
    assert told == {"acquisition": armed.id, "row": 1, "total_counts": 1001}


def test_an_arm_without_an_answer_is_looked_for_not_repeated(client, service):
    service.loses.add("arm")
    assert client.arm(**REQUEST).file == REQUEST["file"]
    assert [name for name, _ in service.requests] == ["arm", "list"]


def test_an_arm_that_cannot_even_be_looked_for_is_an_error(service, client):
    service.silent.set()
    with pytest.raises(ServiceError, match="did not answer within 1 s on POST /acq"):
        client.arm(**REQUEST)


def test_an_unknown_acquisition_is_told(client):
    with pytest.raises(
        ServiceError, match="404 unknown acquisition: no acquisition 'nine'"
    ):
        client.acquisition("nine")


@pytest.mark.parametrize("answer", [None, [], {}, {"id": "1"}, "text"])
def test_what_is_no_acquisition_is_an_error(answer):
    with pytest.raises(ServiceError, match="not an acquisition"):
        Acquisition.from_json(answer)


def test_where_columns_and_holes_are_is_told():
    base = {"id": "1", "state": "running", "dataset": "/e/d", "rows": 9}
    told = base | {"columns": {"timestamp": "/e/timestamp"}, "holes": [3, 5]}
    acquisition = Acquisition.from_json(told)
    assert acquisition.columns == {"timestamp": "/e/timestamp"}
    assert acquisition.hole_rows == (3, 5)


def test_an_older_service_tells_no_columns_and_no_holes():
    base = {"id": "1", "state": "running", "dataset": "/e/d", "rows": 9}
    acquisition = Acquisition.from_json(base)
    assert (acquisition.columns, acquisition.hole_rows) == ({}, ())


def test_holes_are_rows_without_a_frame():
    counts = {"missing": 2, "rejected": 3, "late": 4, "duplicate": 5}
    base = {"id": "1", "state": "running", "dataset": "/d", "rows": 9}
    assert Acquisition.from_json(base | {"counts": counts}).holes == 5
    assert Acquisition.from_json(base).holes == 0
