"""A Lambda, simulated, from its four sockets to the file and the secondary port."""

import numpy as np
import pytest

from srx_service.simulators.lambda_modules import geometry
from srx_service.simulators.pictures import picture
from tests.system.outcome import (
    client_of,
    last_frame,
    opened,
    receive_series,
    same,
    take_series,
    wait_for_file,
)

DATASET = "/entry/instrument/lambda/data"
SHAPE = (4, 30, 50)
FRAMES = 20
GEOMETRY = geometry(list(SHAPE))


@pytest.fixture
def detector(programs):
    """detector(simulator's words, entry's keys): both programs."""

    def start(*words, **keys):
        shape = ",".join(map(str, SHAPE))
        words = ("--shape", shape, "--rate", "0", "--send-timeout", "60", *words)
        simulator = programs.simulator("lambda", *words)
        entry = {
            "class": "Lambda",
            "dcu_port_purple": simulator.ready["stream_ports"],
            "dset_name": DATASET,
            **keys,
        }
        return simulator, programs.service(entry)

    return start


def expose(simulator, file, **settings):
    take_series(simulator, file, **{"frames": FRAMES, **settings})


def stack(frame):
    """The pixels of a frame, (module, y, x)."""
    return picture(frame, (SHAPE[0] * SHAPE[1], SHAPE[2]), "uint16").reshape(SHAPE)


def whole(frame):
    """The pixels of a frame, (y, x), put together as live processing does it."""
    pixels = np.full(GEOMETRY["full_shape"], 65535, np.uint16)
    for module, y, x, rotation in zip(
        stack(frame), GEOMETRY["y"], GEOMETRY["x"], GEOMETRY["rotation"], strict=True
    ):
        turned = np.rot90(module, -rotation // 90)
        pixels[y:, x:][: turned.shape[0], : turned.shape[1]] = turned
    return pixels


def assert_geometry_is_told_once(group):
    for name, value in GEOMETRY.items():
        assert group[name][()].tolist() == value
        assert f"{name}_" not in group


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_modules_are_written_and_sent_on_with_where_they_are(
    detector, programs, compression
):
    simulator, service = detector()
    file = programs.data / "a.h5"
    expected = np.stack([stack(frame) for frame in range(FRAMES)])
    with client_of(service) as client:
        expose(simulator, file, compression=compression)
        sent_on = receive_series(client)
    told = wait_for_file(service, file)
    assert {k: n for k, n in told["counts"].items() if n} == {
        "received": FRAMES,
        "written": FRAMES,
    }
    with opened(file, DATASET) as (data, group):
        assert same(data[:], expected)
        assert data.chunks == (1, 1, *SHAPE[1:])
        assert_geometry_is_told_once(group)
    assert same(np.stack(sent_on.pixels), expected)
    assert sent_on.metadata is not None
    assert sent_on.metadata.items() >= GEOMETRY.items()
    for head in sent_on.images:
        assert head.items() >= GEOMETRY.items()
        assert (head["shape"], head["chunks"]) == ([*SHAPE], [1, *SHAPE[1:]])
    assert same(last_frame(service), expected[-1])


def test_live_processing_gets_a_part_for_each_module(detector, programs):
    simulator, service = detector()
    with client_of(service) as client:
        expose(simulator, programs.data / "a.h5", frames=3)
        counts = [len(client.recv_multipart()) for _ in range(5)]
    assert counts == [2, 5, 5, 5, 1]


def test_a_module_that_loses_frames_costs_those_and_no_series(detector, programs):
    simulator, service = detector("--faults", "lose_module=0.2", gap_timeout=0.2)
    for name in ("a.h5", "b.h5"):
        expose(simulator, programs.data / name, frames=60)
        told = wait_for_file(service, programs.data / name)
        counts = told["counts"]
        assert 0 < counts["missing"] + counts["short"] < 60
        assert counts["written"] == 60 - counts["missing"] - counts["short"]
        assert counts["written"] == counts["received"]
        check_rows(programs.data / name)
    assert service.get("/status")["undecodable"].keys() == {"incomplete frame"}


def check_rows(file):
    """Rows of frames that came have their pixels, all others are holes."""
    with opened(file, DATASET) as (data, group):
        missing = set(group["missing_frames"][:].tolist())
        assert missing
        for row in range(len(data)):
            hole = np.full(SHAPE, 65535, np.uint16)
            assert same(data[row], hole if row in missing else stack(row))


@pytest.mark.parametrize("compression", ["none", "bslz4"])
def test_assembled_modules_are_one_image(detector, programs, compression):
    simulator, service = detector(assemble=True)
    file = programs.data / "a.h5"
    expected = np.stack([whole(frame) for frame in range(FRAMES)])
    with client_of(service) as client:
        expose(simulator, file, compression=compression)
        sent_on = receive_series(client)
    wait_for_file(service, file)
    with opened(file, DATASET) as (data, group):
        assert same(data[:], expected)
        assert_geometry_is_told_once(group)
    assert same(np.stack(sent_on.pixels), expected)
    assert {head["compression"] for head in sent_on.images} == {compression}
    assert same(last_frame(service), expected[-1])


def test_more_connections_than_one_a_module_are_refused(detector):
    _, service = detector(nworkers=4)
    assert "nworkers 4: each of 4 modules" in service.log.read_text()
