"""Live processing through a whole service, with `announce: all` and `pub_port`."""

import json
import threading

import numpy as np
import pytest
import zmq

from srx_service.codecs import bslz4
from srx_service.messages import End, Start
from tests.blocks import run_python
from tests.conftest import pick_port
from tests.system.programs import finish, start
from tests.system.sources import image, pixels, sender_on, series

PAGE = "docs/how-to/live-processing.md"
FRAMES = 9
LARGE = (300, 400)


@pytest.fixture(scope="module")
def whole(shared_programs):
    """A service with both ports, and its source."""
    port, pub = pick_port(), pick_port()
    entry = {"dcu_port_purple": port, "announce": "all", "pub_port": pub}
    service = shared_programs.service(entry)
    service.ports["pub_port"] = pub
    with sender_on(port) as sender:
        yield service, sender


@pytest.fixture
def line(whole):
    """The same, once those of the test before are gone."""
    service, _ = whole
    service.wait_until(lambda: connected(service) == (0, 0))
    return whole


@pytest.fixture
def connect(line):
    """Connect clients of a kind; all are gone at the end of the test."""
    service, _ = line
    with zmq.Context() as context:
        made = []

        def _connect(kind, count, **options):
            for _ in range(count):
                client = context.socket(kind)
                made.append(client)
                for name, value in ({"rcvtimeo": 60_000} | options).items():
                    setattr(client, name, value)
                if kind == zmq.SUB:
                    client.subscribe("")
                client.connect(endpoint(service, kind))
            wanted = tuple(sum(s.type == k for s in made) for k in (zmq.PULL, zmq.SUB))
            service.wait_until(lambda: connected(service) == wanted)
            return made[-count:]

        yield _connect
        for client in made:
            client.close(0)


def endpoint(service, kind=zmq.PULL):
    name = "data_port" if kind == zmq.PULL else "pub_port"
    return f"tcp://127.0.0.1:{service.ports[name]}"


def connected(service):
    told = service.get("/status")
    return told["clients"], told["subscribers"]


def missed(service):
    return service.get("/status")["dropped_for_slow_subscriber"]


def receive(client):
    """Return the headers of all messages of a series."""
    heads = [json.loads(client.recv_multipart()[0])]
    while heads[-1]["htype"] != "series_end":
        heads.append(json.loads(client.recv_multipart()[0]))
    return heads


def test_each_client_gets_header_and_end_and_a_share_of_the_images(line, connect):
    _, sender = line
    clients = connect(zmq.PULL, 3)
    sender.send(*series("", FRAMES))
    shares = [receive(client) for client in clients]
    first, *_, last = shares[0]
    assert (first["htype"], last["htype"]) == ("header", "series_end")
    assert all((share[0], share[-1]) == (first, last) for share in shares)
    frames = [head["frame"] for share in shares for head in share[1:-1]]
    assert sorted(frames) == list(range(FRAMES))


def test_each_subscriber_gets_everything_whoever_pulls(line, connect):
    service, sender = line
    [puller], subscribers = connect(zmq.PULL, 1), connect(zmq.SUB, 2)
    before = service.get("/status")
    sender.send(*series("", FRAMES))
    kinds = ["header", *["image"] * FRAMES, "series_end"]
    for client in (puller, *subscribers):
        assert [head["htype"] for head in receive(client)] == kinds
    after = service.get("/status")
    for name in ("published", "forwarded"):
        assert after[name] - before[name] == FRAMES
    assert missed(service) == before["dropped_for_slow_subscriber"]


def test_a_subscriber_that_reads_nothing_is_counted_and_costs_the_others_nothing(
    line, connect
):
    service, sender = line
    connect(zmq.SUB, 1, rcvhwm=1, rcvbuf=4096)
    [puller] = connect(zmq.PULL, 1)
    blob = pixels(0, LARGE).tobytes()
    sender.send(Start())
    puller.recv_multipart()
    before = missed(service)
    for frame in range(2000):  # the kernel keeps megabytes for it
        sender.send(image(frame, shape=LARGE, blobs=(blob,)))
        assert json.loads(puller.recv_multipart()[0])["frame"] == frame
        if frame % 100 == 99 and missed(service) > before:
            break
    sender.send(End())
    assert receive(puller)[0]["htype"] == "series_end"
    service.wait_until(lambda: missed(service) > before)


def test_the_page_tells_how_to_pull_and_how_to_subscribe(line, capsys):
    service, sender = line
    places = {
        "tcp://localhost:26001": endpoint(service),
        "tcp://localhost:26002": endpoint(service, zmq.SUB),
    }

    def send():
        service.wait_until(lambda: connected(service) == (1, 0))
        sender.send(*series("", 2, encoding="bslz4"))
        service.wait_until(lambda: connected(service) == (1, 1))
        sender.send(*series("", 2))

    thread = threading.Thread(target=send)
    thread.start()
    session = run_python(PAGE, places)
    thread.join()
    for name in ("pull", "sub"):
        session[name].close(0)
    pulled = [f"{k} {pixels(k).max()}" for k in range(2)]
    subscribed = ["header None", "image 0", "image 1"]
    assert capsys.readouterr().out.splitlines() == pulled + subscribed


# -- examples --------------------------------------------------------------------------


def ring(frame):
    """Pixels of 1, and a ring that is stronger in each frame, with a gap in it."""
    y, x = np.indices((60, 50)) + 0.5
    radius = np.hypot(y - 30, x - 25)
    made = np.where((radius >= 12) & (radius < 16), 100 * (frame + 1), 1)
    made[:, 24:26] = np.iinfo("u2").max
    return made.astype("<u2")


PONI = """\
poni_version: 2.1
Detector: Detector
Detector_config: {"pixel1": 1e-4, "pixel2": 1e-4, "orientation": 3}
Distance: 1.0
Poni1: 0.003
Poni2: 0.0025
Rot1: 0
Rot2: 0
Rot3: 0
"""
"""The beam goes through the middle."""


def test_each_image_is_integrated_with_pyfai(line, tmp_path):
    service, sender = line
    (tmp_path / "a.poni").write_text(PONI)
    program = start(
        "live/integrate_pyfai.py", endpoint(service), tmp_path / "a.poni", 20
    )
    service.wait_until(lambda: connected(service) == (1, 0))
    sender.send(Start())
    for k, encoding in enumerate(("bslz4", "none", "bslz4")):
        plain = ring(k)
        blob = bslz4.compress(plain) if encoding == "bslz4" else plain.tobytes()
        sender.send(image(k, encoding=encoding, shape=plain.shape, blobs=(blob,)))
    sender.send(End())
    table = np.array([line.split() for line in finish(program)])
    assert table[:, (0, 1, 3)].tolist() == [
        [str(k), "2theta", "intensity"] for k in range(3)
    ]
    inner, outer = np.degrees(np.arctan([12e-4, 16e-4]))
    angles, strengths = table[:, 2].astype(float), table[:, 4].astype(float)
    assert np.all((inner < angles) & (angles < outer))
    assert np.allclose(strengths, [100, 200, 300], rtol=1e-4)


def reduced(line, program):
    """Send a series once all workers are there; check what they found in it."""
    service, sender = line
    word, workers = program.stdout.readline().split()
    assert word == "workers"
    service.wait_until(lambda: connected(service) == (int(workers), 0))
    sender.send(*series("", FRAMES, encoding="bslz4"))
    stack = np.stack([pixels(k) for k in range(FRAMES)]).astype(float)
    mean = stack.mean(axis=0)
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    brightest = f"brightest {y} {x} {mean.max():.3f}"
    assert finish(program) == [
        brightest,
        *[f"{k} {n}" for k, n in enumerate(stack.sum(axis=(1, 2)))],
    ]
    return int(workers)


def test_a_series_is_shared_among_dask_workers_on_one_machine(line, tmp_path):
    service, _ = line
    program = start(
        "live/reduce_with_dask.py",
        endpoint(service),
        DASK_TEMPORARY_DIRECTORY=str(tmp_path),
    )
    assert reduced(line, program) >= 1


def test_a_series_is_shared_among_dask_workers_by_address(line, programs):
    service, _ = line
    port = pick_port()
    address = f"tcp://127.0.0.1:{port}"
    programs.environment["DASK_TEMPORARY_DIRECTORY"] = str(programs.folder)
    words = ["distributed.cli.dask_scheduler", "--host", "127.0.0.1"]
    scheduler = programs.start(
        "scheduler", [*words, "--port", str(port), "--no-dashboard"]
    )
    words = ["distributed.cli.dask_worker", address, "--nthreads", "1"]
    for _ in range(2):
        programs.start("worker", [*words, "--no-nanny", "--no-dashboard"])
    scheduler.wait_until(lambda: scheduler.log.read_text().count("Register worker") > 1)
    program = start(
        "live/reduce_with_dask.py", endpoint(service), "--scheduler", address
    )
    assert reduced(line, program) == 2
