"""A real service with tokens and keys: who may do what, and what it never tells."""

import contextlib
import socket

import httpx
import pytest
import zmq.auth
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from srx_ophyd.client import ServiceClient, ServiceError
from srx_service.keys import make
from tests.conftest import pick_port
from tests.system.conftest import Programs
from tests.system.sources import sender_on, series

CONTROL, READ, TYPO = "c0ntrol-SECRET", "r3ad-SECRET", "typo-SECRET"
OPEN_PATHS = (
    "/status",
    "/metrics",
    "/api/v1/detector",
    "/api/v1/acquisitions",
    "/docs",
)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """Keys, tokens, and how the service learns of them."""
    folder = tmp_path_factory.mktemp("secrets")
    make(folder, "service")
    make(folder / "clients", "live")
    (folder / "tokens").write_text(f"{CONTROL}\nread:{READ}\n")
    return folder


@pytest.fixture(scope="module")
def source_port():
    return pick_port()


@pytest.fixture(scope="module")
def service(secrets, source_port, tmp_path_factory):
    programs = Programs(tmp_path_factory.mktemp("service"))
    entry = {
        "dcu_port_purple": source_port,
        "protect_reads": True,
        "pickle_route": False,
        "curve_key": str(secrets / "service.key_secret"),
        "curve_clients": str(secrets / "clients"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SRX_API_TOKEN", raising=False)
        patch.setenv("SRX_API_TOKEN_FILE", str(secrets / "tokens"))
        patch.setenv("LOG_LEVEL", "DEBUG")
        service = programs.service(entry)
    yield service
    programs.close()


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def ask(service):
    """Ask with a token; return the answer."""

    def send(method, path, token=None, **request):
        headers = bearer(token) if token else {}
        url = service.url + path
        return httpx.request(method, url, headers=headers, timeout=30.0, **request)

    return send


@pytest.mark.parametrize("path", OPEN_PATHS)
def test_who_may_read_reads(ask, path):
    statuses = [ask("GET", path, token).status_code for token in (None, TYPO, READ)]
    assert statuses == [401, 401, 200]


def test_who_may_read_changes_nothing(ask):
    for token, status in ((None, 401), (TYPO, 401), (READ, 403)):
        assert ask("POST", "/api/v1/acquisitions", token).status_code == status
    assert ask("GET", "/api/v1/acquisitions", READ).json() == {"acquisitions": []}
    armed = ask("POST", "/api/v1/acquisitions", CONTROL)
    assert armed.status_code == 201
    path = f"/api/v1/acquisitions/{armed.json()['id']}"
    assert ask("POST", f"{path}/abort", READ).status_code == 403
    assert ask("GET", path, READ).json()["state"] == "armed"
    assert ask("POST", f"{path}/abort", CONTROL).json()["state"] == "aborted"


def test_the_devices_client_does_all_it_needs_with_a_token(service):
    with contextlib.closing(ServiceClient(service.url, 30.0, CONTROL)) as client:
        client.check_ready()
        assert client.facts().detector_class == "Detector"
        armed = client.arm(lease_s=60.0)
        assert client.acquisition(armed.id, wait_frames=0).state == "armed"
        assert client.abort(armed.id).state == "aborted"


@pytest.mark.parametrize(
    ("token", "told"), [(READ, "403 token for reading"), (TYPO, "401 Unauthorized")]
)
def test_the_devices_user_reads_which_token_is_missing(service, token, told):
    with (
        contextlib.closing(ServiceClient(service.url, 30.0, token)) as client,
        pytest.raises(ServiceError, match=told) as refusal,
    ):
        client.arm()
    assert token not in str(refusal.value)


def test_probes_need_no_token(ask):
    assert [ask("GET", path).status_code for path in ("/healthz", "/readyz")] == [
        200
    ] * 2


def test_no_pickle_is_offered_where_it_is_switched_off(ask):
    assert ask("GET", "/last_frame", CONTROL).status_code == 404


def test_no_secret_is_told_anywhere(ask, service, secrets, source_port):
    """Last of all: after what could bring one into a log."""
    told = []
    for token in (CONTROL, READ, TYPO):
        query = {"token": token, "access_token": token}
        for path in (*OPEN_PATHS, "/healthz", "/nowhere", f"/{token[:3]}"):
            told.append(ask("GET", path, token, params=query))
        told.append(ask("POST", "/downsample?value=x", token))
        told.append(ask("POST", "/api/v1/acquisitions", token, content=b"{"))
        watch(service, token)
        shout(service, f"GET /status HTTP/1.1\r\nAuthorization {token}\r\n\r\n")
        shout(service, f"{token}\r\n\r\n")
    with sender_on(source_port) as sender:
        sender.send_parts(b"no message")
        sender.send(*series("", 2))
        service.wait_until(lambda: status(ask)["undecodable"])
    told.append(ask("GET", "/status", READ))
    own = zmq.auth.load_certificate(secrets / "service.key_secret")[1].decode()
    assert service.terminate() == 0
    seen = [answer.text + str(answer.headers) for answer in told]
    seen += [path.read_text(errors="replace") for path in written(service)]
    for secret in (CONTROL, READ, TYPO, own):
        assert [text for text in seen if secret in text] == []


def status(ask):
    return ask("GET", "/status", READ).json()


def watch(service, token):
    url = service.url.replace("http", "ws") + f"/api/v1/live?token={token}"
    try:
        with connect(url, additional_headers=bearer(token)):
            pass
    except InvalidStatus:
        assert token == TYPO


def shout(service, text):
    with socket.create_connection(("127.0.0.1", service.ports["api_port"])) as peer:
        peer.sendall(text.encode())
        peer.recv(1000)


def written(service):
    """The log, and all else that the service leaves in its folder."""
    return [path for path in service.log.parent.rglob("*") if path.is_file()]
