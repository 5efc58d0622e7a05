import pytest

from srx_ophyd.client import ServiceClient
from srx_ophyd.ending import end, quietly
from srx_ophyd.endpoint import RemoteError
from tests.ophyd.test_client import REQUEST


@pytest.fixture
def client(service):
    client = ServiceClient(service.url, timeout_s=4.0)
    yield client
    client.close()


@pytest.fixture
def armed(client):
    return client.arm(**REQUEST)


@pytest.mark.parametrize(("complete", "state"), [(True, "done"), (False, "aborted")])
def test_an_acquisition_is_stopped_or_aborted(client, armed, service, complete, state):
    end(client, armed, complete=complete, keep=None)
    assert service.states == [state]


def test_rows_that_are_not_to_stay_are_rewound(client, armed, service):
    service.send(1, 2, 3)
    end(client, armed, complete=True, keep=2)
    assert (service.rows, service.states) == ([1, 2], ["done"])


@pytest.mark.parametrize("request_", ["get", "rewind"])
def test_it_ends_although_something_else_fails(client, armed, service, request_):
    service.refusals[request_] = (500, "Internal Server Error", "")
    service.send(1, 2, 3)
    end(client, armed, complete=True, keep=2)
    assert service.states == ["done"]


def test_what_is_over_is_left_alone(client, armed, service):
    service.fail("No space left on device")
    end(client, armed, complete=False, keep=0)
    assert service.states == ["failed"]


def test_what_came_beyond_is_told(client, armed, service, caplog):
    service.current["counts"]["surplus"] = 3
    end(client, armed, complete=True, keep=None)
    assert "3 frames came beyond those that were asked for" in caplog.text


def test_nobody_is_asked_twice_who_is_not_there(client, armed, service, caplog):
    service.die()
    end(client, armed, complete=True, keep=None)
    assert [one.message.count("unreachable") for one in caplog.records] == [1]


def test_what_fails_is_logged(caplog):
    def fail(error):
        raise error

    quietly(lambda: fail(RemoteError("detector http://dcu refused")))
    quietly(lambda: fail(ValueError("a mistake")))
    assert [one.levelname for one in caplog.records] == ["WARNING", "ERROR"]
