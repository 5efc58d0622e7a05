import base64
import threading

import numpy as np
import pytest

from srx_service.simulators.eiger import EigerSimulator
from srx_service.simulators.pictures import gaps

CONFIG = "/detector/api/1.8.0/config"
COMMAND = "/detector/api/1.8.0/command"
STATUS = "/detector/api/1.8.0/status"
STREAM = "/stream/api/1.8.0"


def test_a_parameter_is_shown_with_type_access_and_limits(client):
    shown = client.get(f"{CONFIG}/nimages").json()
    assert shown == {
        "value": 1,
        "value_type": "uint",
        "access_mode": "rw",
        "min": 1,
        "max": 2_000_000_000,
    }
    allowed = client.get(f"{CONFIG}/trigger_mode").json()["allowed_values"]
    assert allowed == ["ints", "inte", "exts", "exte"]


def test_a_put_answers_with_the_keys_that_changed(client):
    changed = client.put(f"{CONFIG}/count_time", json={"value": 0.5}).json()
    assert changed == ["bit_depth_image", "count_time", "frame_time"]
    assert client.get(f"{CONFIG}/bit_depth_image").json()["value"] == 32


def test_every_key_that_is_listed_can_be_read(client):
    for where in (CONFIG, f"{STREAM}/config"):
        for key in client.get(f"{where}/keys").json()["value"]:
            assert "value" in client.get(f"{where}/{key}").json()


def test_mask_and_flatfield_are_arrays(client):
    shown = client.get(f"{CONFIG}/pixel_mask").json()["value"]
    raw = np.frombuffer(base64.b64decode(shown["data"]), shown["type"])
    assert np.array_equal(raw.reshape(shown["shape"]), gaps((60, 50)))
    assert client.get(f"{CONFIG}/flatfield").json()["value"]["type"] == "<f4"


def test_a_series_over_http(client):
    client.put(f"{CONFIG}/ntrigger", json={"value": 2})
    assert client.put(f"{COMMAND}/arm").json() == {"sequence id": 1}
    assert client.get(f"{STATUS}/state").json()["value"] == "ready"
    assert client.get(f"{STREAM}/status/state").json()["value"] == "acquire"
    for _ in range(2):
        assert client.put(f"{COMMAND}/trigger").status_code == 200
    assert client.get(f"{STATUS}/state").json()["value"] == "idle"
    assert client.get(f"{STREAM}/status/dropped").json()["value"] == 2
    assert client.put(f"{COMMAND}/disarm").json() == {"sequence id": 1}


def test_the_state_can_be_read_while_a_trigger_blocks(http):
    with EigerSimulator(shape=(60, 50), rate=1, send_timeout_s=0) as eiger:
        client, other = http(eiger.url), http(eiger.url)
        client.put(f"{CONFIG}/nimages", json={"value": 1000})
        client.put(f"{COMMAND}/arm")
        trigger = threading.Thread(target=client.put, args=(f"{COMMAND}/trigger",))
        trigger.start()
        while other.get(f"{STATUS}/state").json()["value"] != "acquire":
            assert trigger.is_alive()
        assert other.put(f"{CONFIG}/nimages", json={"value": 1}).status_code == 400
        assert other.put(f"{COMMAND}/abort").json() == {"sequence id": 1}
        trigger.join(10)
        assert not trigger.is_alive()


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", f"{CONFIG}/nimage", None, 404),
        ("GET", "/detektor/api/1.8.0/config/nimages", None, 404),
        ("GET", "/detector/api/1.7.0/config/nimages", None, 404),
        ("GET", f"{STATUS}/mood", None, 404),
        ("PUT", f"{CONFIG}/nimages", {"value": "many"}, 400),
        ("PUT", f"{CONFIG}/nimages", 5, 422),
        ("PUT", f"{CONFIG}/bit_depth_image", {"value": 8}, 403),
        ("PUT", f"{STREAM}/config/format", {"value": "xml"}, 400),
        ("PUT", f"{STREAM}/config/header_detail", {"value": "most"}, 400),
        ("PUT", f"{STREAM}/command/fire", None, 404),
        ("PUT", f"{COMMAND}/trigger", None, 400),
        ("PUT", f"{COMMAND}/fire", None, 404),
        ("PUT", "/simulator/pulse", {"value": 0}, 400),
        ("PUT", "/simulator/pulse", None, 400),
    ],
)
def test_bad_requests_are_refused_with_a_text(client, method, path, body, status):
    answer = client.request(method, path, json=body)
    assert answer.status_code == status
    assert len(answer.text) > 10


def test_other_interfaces_are_switched_off(client):
    for module in ("filewriter", "monitor"):
        mode = client.get(f"/{module}/api/1.8.0/config/mode").json()
        assert mode["value"] == "disabled"
    assert client.get("/stream/api/version").json()["value"] == "1.8.0"


def test_pulses_come_from_beyond_the_api(client):
    client.put(f"{CONFIG}/trigger_mode", json={"value": "exts"})
    client.put(f"{COMMAND}/arm")
    assert client.put("/simulator/pulse").status_code == 200
    assert client.get(f"{STATUS}/state").json()["value"] == "idle"


@pytest.mark.parametrize("value", ["soon", 0, -1, True, float("inf")])
def test_an_exposure_that_is_none_is_refused(eiger, client, value):
    client.put(f"{CONFIG}/trigger_mode", json={"value": "inte"})
    client.put(f"{COMMAND}/arm")
    body = '{"value": Infinity}' if value == float("inf") else None
    answer = client.put(
        f"{COMMAND}/trigger",
        **({"content": body} if body else {"json": {"value": value}}),
        headers={"content-type": "application/json"},
    )
    assert answer.status_code == 400
    assert eiger.state == "ready"


def test_old_firmware_has_another_version_and_fewer_keys(http):
    with EigerSimulator(shape=(60, 50), api_version="1.6.0") as eiger:
        client = http(eiger.url)
        assert client.get("/detector/api/version").json()["value"] == "1.6.0"
        old = "/detector/api/1.6.0/config"
        software = client.get(f"{old}/software_version").json()["value"]
        assert software == "1.6.0"
        keys = client.get(f"{old}/keys").json()["value"]
        assert [key for key in keys if "/" in key] == []
        assert client.get(f"{CONFIG}/nimages").status_code == 404
        assert client.get("/stream/api/1.6.0/config/format").status_code == 404


def test_thresholds_are_keys_with_a_path(client):
    url = f"{CONFIG}/threshold/2/mode"
    assert client.get(url).json()["allowed_values"] == ["disabled", "enabled"]
    assert client.put(url, json={"value": "enabled"}).json() == ["threshold/2/mode"]
    assert client.get(url).json()["value"] == "enabled"
