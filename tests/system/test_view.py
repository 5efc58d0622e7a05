"""The page's live view: a real service, a real source, real sockets."""

import concurrent.futures
import contextlib
import itertools
import math
import subprocess
import sys
import threading
import time

import h5py
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from srx_service.api import connections
from srx_service.codecs import bslz4
from srx_service.messages import End, Image, Start
from tests.blocks import blocks
from tests.conftest import pick_port
from tests.system.sources import sender_on, series
from tests.system.test_http import running, until
from tests.system.viewers import Viewer, viewing

LEVEL_OF_MASKED = 255
PAGE = "docs/reference/http-api.md"
_frames = itertools.count(1)


def show(sender, pixels, encoding="none"):
    """Send a series of one frame that is not written; return its index."""
    frame = next(_frames)
    packed = bslz4.compress(pixels) if encoding == "bslz4" else pixels.tobytes()
    image = Image(
        number=None,
        frame=frame,
        shape=pixels.shape,
        dtype=pixels.dtype.name,
        encoding=encoding,
        blobs=(packed,),
    )
    sender.send(Start(), image, End())
    return frame


def test_a_viewer_sees_what_it_wants_of_each_frame(line):
    service, sender = line
    pixels = np.arange(48, dtype="uint16").reshape(6, 8)
    pixels[2, 3] = 65535
    frame = show(sender, pixels, "bslz4")
    with viewing(service.url) as viewer:
        viewer.say(low=0, high=47, cursor=[5, 7], sums=[[0, 0, 1, 8]], histogram=64)
        seen = viewer.sees(cursor={"y": 5, "x": 7, "value": 47})
        assert seen.told["header"]["frame"] == frame
        assert seen.told["sums"][0]["sum"] == sum(range(8))
        assert seen.told["histogram"]["masked"] == 1
        assert np.argwhere(seen.levels == LEVEL_OF_MASKED).tolist() == [[2, 3]]
        assert (seen.levels[0, 0], seen.levels[5, 7]) == (0, 254)
        assert viewer.sees_frame(show(sender, pixels[:3])).levels.shape == (3, 8)


def test_a_viewer_hears_how_the_line_is_doing(line, folder):
    service, sender = line
    with viewing(service.url) as viewer:
        sender.send(*series(str(folder / "a.h5"), 5))
        service.wait_until(lambda: service.get("/status")["state"] == "idle")
        told = viewer.hears()
        while told["acquisition"]["counts"]["written"] != 5:
            told = viewer.hears()
    newest = service.get("/api/v1/acquisitions")["acquisitions"][0]
    assert told["acquisition"] == service.get(f"/api/v1/acquisitions/{newest['id']}")
    assert told["status"].keys() >= {"state", "file", "clients", "disk_free_bytes"}
    assert told["metrics"]["frames"]["written"] == 5
    assert abs(told["time"] - time.time()) < 100


def test_what_cannot_be_meant_is_told_and_changes_nothing(line):
    service, sender = line
    frame = show(sender, np.ones((4, 4), "uint8"))
    with viewing(service.url) as viewer:
        viewer.say(scale="cubic", rate_hz=1)
        told = viewer.hears()
        while "error" not in told:
            told = viewer.hears()
        assert "scale" in told["error"]
        viewer.say(cursor=[0, 0])
        assert viewer.sees_frame(frame).told["rows"] == 4


@pytest.mark.parametrize(
    "pixels",
    [
        np.linspace(-1e3, 1e3, 60, dtype="float32").reshape(6, 10),
        np.linspace(-1, 1, 60).reshape(6, 10),
        np.arange(-30, 30, dtype="int32").reshape(6, 10),
        np.full((6, 10), 2**32 - 1, "uint32"),
        np.full((6, 10), -1, "int16"),
        np.full((6, 10), math.nan, "float32"),
        np.full((6, 10), math.inf),
        np.zeros((6, 10), "uint64"),
        np.ones((3, 2, 10), "uint8"),
    ],
    ids=lambda pixels: f"{pixels.dtype}-{pixels.flat[0]}",
)
def test_every_kind_of_frame_is_shown(line, pixels):
    service, sender = line
    frame = show(sender, pixels)
    stacked = pixels.reshape(-1, pixels.shape[-1])
    with viewing(service.url) as viewer:
        viewer.say(histogram=16, cursor=[0, 0], sums=[[0, 0, 6, 10]], scale="log")
        while not (seen := viewer.sees_frame(frame)).told["histogram"]:
            pass
    kind = pixels.dtype.kind
    masked = ~np.isfinite(stacked) if kind == "f" else stacked < 0
    if kind == "u":
        masked = stacked >= np.iinfo(pixels.dtype).max - 1
    np.testing.assert_array_equal(seen.levels == LEVEL_OF_MASKED, masked)
    assert seen.told["sums"][0]["masked"] == masked.sum()


def test_a_frame_that_cannot_be_unpacked_is_told(line):
    service, sender = line
    frame = next(_frames)
    image = Image(
        number=None,
        frame=frame,
        shape=(6, 8),
        dtype="uint16",
        encoding="none",
        blobs=(b"short",),
    )
    sender.send(Start(), image, End())
    with viewing(service.url) as viewer:
        seen = viewer.sees_frame(frame)
        assert "undecodable pixels" in seen.told["error"]
        assert (seen.told["shape"], seen.levels.size) == ([6, 8], 0)
        assert viewer.sees_frame(show(sender, np.ones((2, 2), "uint8"))).levels.size


def test_a_frame_of_16_megapixels_is_shown_whole_and_in_part(line):
    service, sender = line
    pixels = np.zeros((4096, 4096), "uint16")
    pixels[4000, 3000] = 7
    frame = show(sender, pixels, "bslz4")
    with viewing(service.url) as viewer:
        viewer.say(low=0, high=7)
        seen = viewer.sees_frame(frame)
        while seen.told["high"] != 7:
            seen = viewer.sees()
        assert (seen.told["step"], seen.levels.shape) == (4, (1024, 1024))
        assert np.argwhere(seen.levels).tolist() == [[1000, 750]]
        viewer.say(region=[3996, 2998, 4004, 3006])
        seen = viewer.sees(step=1)
        assert np.argwhere(seen.levels).tolist() == [[4, 2]]


def test_twenty_viewers_and_one_that_never_reads_hold_up_nobody(line, folder):
    service, sender = line
    count = 300
    file = folder / "watched.h5"
    with contextlib.ExitStack() as stack:
        viewers = [stack.enter_context(viewing(service.url)) for _ in range(20)]
        asleep = stack.enter_context(viewing(service.url, max_queue=1))
        asleep.say(rate_hz=20)
        for number, viewer in enumerate(viewers):
            # half of them want the same, the others each something else
            viewer.say(rate_hz=20, cursor=[1, 1], high=1000 + max(0, number - 10))
        with concurrent.futures.ThreadPoolExecutor(21) as pool:
            sending = pool.submit(_send_slowly, sender, str(file), count)
            seeing = [pool.submit(_see_last, viewer, count) for viewer in viewers]
            sending.result()
            for each in seeing:
                each.result()
    service.wait_until(lambda: service.get("/status")["state"] == "idle")
    (newest,) = service.get("/api/v1/acquisitions?limit=1")["acquisitions"]
    assert (newest["state"], newest["counts"]["written"]) == ("done", count)
    with h5py.File(file) as written:
        assert len(written["/entry/data/data"]) == count


def _send_slowly(sender, file, count):
    for message in series(file, count):
        sender.send(message)
        time.sleep(0.005)


def _see_last(viewer: Viewer, count):
    viewer.sees_frame(count - 1)


def test_a_restarted_service_is_seen_again(programs):
    port, api_port = pick_port(), pick_port()
    entry = {"dcu_port_purple": port, "api_port": api_port}
    with sender_on(port) as sender:
        service = programs.service(entry)
        with viewing(service.url) as viewer:
            show(sender, np.ones((4, 4), "uint8"))
            viewer.sees()
            service.kill()
            with pytest.raises(ConnectionClosed):
                viewer.sees(serial=0)
        service = programs.service(entry)
        with viewing(service.url) as viewer:
            assert viewer.hears()["status"]["state"] == "idle"
            assert viewer.sees_frame(show(sender, np.ones((4, 4), "uint8")))


def test_the_end_of_a_service_waits_for_no_viewer(programs):
    port = pick_port()
    with sender_on(port) as sender:
        service = programs.service({"dcu_port_purple": port})
        with viewing(service.url) as viewer, viewing(service.url) as asleep:
            show(sender, np.ones((4, 4), "uint8"))
            viewer.sees()
            asleep.say(rate_hz=20)
            assert service.terminate() == 0
            with pytest.raises(ConnectionClosed):
                viewer.sees(serial=0)
    assert "Traceback" not in service.log.read_text()


def test_a_protected_view_takes_the_token_a_page_can_send(programs):
    programs.environment = {"SRX_API_TOKEN": "s3cret read:look"}
    service = programs.service({"dcu_port_purple": pick_port(), "protect_reads": True})
    for token in ("s3cret", "look"):
        with viewing(service.url, token=token) as viewer:
            assert viewer.hears()["status"]["state"] == "idle"
    for token in (None, "wrong"):
        with pytest.raises(InvalidStatus) as refusal, viewing(service.url, token=token):
            pass
        assert refusal.value.response.status_code == 401
    assert "s3cret" not in service.log.read_text()


def test_no_page_of_another_site_may_look(line):
    url, site = line[0].url, "http://elsewhere"
    with pytest.raises(InvalidStatus) as refusal, viewing(url, origin=site):
        pass
    assert refusal.value.response.status_code == 403


@pytest.mark.parametrize("path", ["/api/v1/live", "/api/v1/view"])
def test_the_examples_of_the_docs_look(line, path):
    service, sender = line
    show(sender, np.ones((8, 8), "uint16"))
    codes = [block.text for block in blocks("python") if block.file == PAGE]
    (code,) = [code for code in codes if path in code]
    there = service.url.removeprefix("http://")
    assert "127.0.0.1:5000" in code
    words = [sys.executable, "-c", code.replace("127.0.0.1:5000", there)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    if path == "/api/v1/view":
        assert "{'y': 3, 'x': 4, 'value': 1} 0" in done.stdout


def test_who_takes_nothing_for_long_is_cut_off(monkeypatch):
    monkeypatch.setattr(connections, "NOTHING_TAKEN_LOOKS", 5)
    with running() as service:
        flood = threading.Event()

        def frames():
            rng = np.random.default_rng(1)
            while not flood.wait(0.02):
                service.latest.show(rng.integers(0, 99, (1024, 1024), "uint16"))

        service.latest.show(np.zeros((4, 4)))
        source = threading.Thread(target=frames)
        with viewing(service.url, max_queue=1, ping_interval=None) as asleep:
            asleep.say(rate_hz=20)
            state = service.server.server_state
            until(lambda: len(state.tasks) == 1)
            source.start()
            until(lambda: not state.tasks, 30.0)
            flood.set()
            source.join()
