"""Jungfraujoch, simulated: its preview and its writer stream, to file and client."""

from typing import Any

import httpx
import numpy as np
import pytest

from srx_service.simulators.jungfrau import spots
from srx_service.simulators.pictures import picture
from tests.conftest import pick_port
from tests.system.outcome import (
    client_of,
    last_frame,
    opened,
    receive_series,
    same,
    take_series,
    wait_for_file,
)

DATASET = "/entry/instrument/jungfrau/data"
SHAPE = (60, 50)
FRAMES = 20
EVERY = 3


@pytest.fixture
def detector(programs):
    """detector(*options, **entry): a simulator, and the service that listens to it."""

    def start(*options: str, **entry: Any):
        port = pick_port()
        words = ["--shape", "60,50", "--stream-port", str(port), "--rate", "0"]
        words += ["--send-timeout", "60", *options]
        simulator = programs.simulator("jungfrau", *words)
        entry = {"dcu_port_purple": port, "dset_name": DATASET, **entry}
        return simulator, programs.service({"class": "Jungfrau", **entry})

    return start


def expose(simulator, file="", **settings):
    """Let the detector take a series; it waits until the service is subscribed."""
    take_series(simulator, file, **{"frames": FRAMES, **settings})


def counts_of(told):
    return {name: n for name, n in told["counts"].items() if n}


def check(service, client, file, frames, dtype="int32"):
    """Compare the series in the file, on the secondary port and in the live view."""
    sent_on = receive_series(client)
    told = wait_for_file(service, file)
    assert counts_of(told) == {"received": len(frames), "written": len(frames)}
    expected = [picture(frame, SHAPE, dtype) for frame in frames]
    with opened(file, DATASET) as (data, group):
        assert data.shape == (len(frames), *SHAPE)
        assert all(map(same, data, expected))
        assert group["sequence_number"][:].tolist() == frames
        assert group["spot_count"][:].tolist() == [len(spots(k)) for k in frames]
        assert group["series_unique_id"].asstr()[()] == "simulated"
        assert group["error_value"][()] == np.iinfo(dtype).min
    assert all(map(same, sent_on.pixels, expected))
    assert [image["frame"] for image in sent_on.images] == frames
    assert [image["spots"] for image in sent_on.images] == [spots(k) for k in frames]
    assert same(last_frame(service), expected[-1])
    assert service.get("/status")["ignored"] == {"calibration": 1}
    assert service.get("/status")["undecodable"] == {}


@pytest.mark.parametrize("compression", ["bslz4", "none"])
def test_a_preview_is_written_and_what_it_leaves_out_is_no_loss(
    detector, programs, compression
):
    simulator, service = detector("--every", str(EVERY))
    file = programs.data / "a.h5"
    with client_of(service) as client:
        expose(simulator, file, compression=compression)
        check(service, client, file, list(range(0, FRAMES, EVERY)))


@pytest.mark.parametrize("dtype", ["int16", "int32"])
def test_what_is_pushed_to_writers_is_written_whole(detector, programs, dtype):
    simulator, service = detector("--push", socket="pull", nworkers=2)
    file = programs.data / "a.h5"
    with client_of(service) as client:
        expose(simulator, file, dtype=dtype)
        check(service, client, file, list(range(FRAMES)), dtype)


def test_what_is_lost_on_the_way_to_a_writer_is_missing(detector, programs):
    faults = ("--faults", "drop=0.3", "--seed", "4")
    simulator, service = detector("--push", *faults, socket="pull", gap_timeout=0.1)
    file = programs.data / "a.h5"
    expose(simulator, file)
    counts = counts_of(wait_for_file(service, file))
    assert counts["missing"] > 0
    with opened(file, DATASET) as (data, group):
        assert len(data) == counts["written"] + counts["missing"]
        frames = group["sequence_number"][:]
        for row, frame in enumerate(frames):
            is_there = frame != 2**32 - 1
            pixels = picture(row, SHAPE, "int32", seed=4)
            assert same(data[row], pixels if is_there else np.full_like(pixels, -1))


def test_frames_that_a_client_expects_of_a_preview_are_short(detector, programs):
    simulator, service = detector("--every", str(EVERY))
    wanted = {"file": str(programs.data / "b.h5"), "expected": FRAMES}
    answer = httpx.post(f"{service.url}/api/v1/acquisitions", json=wanted, timeout=30)
    assert answer.status_code == 201
    expose(simulator)
    told = wait_for_file(service, programs.data / "b.h5")
    assert counts_of(told) == {"received": 7, "written": 7, "short": 13}


def test_a_preview_that_names_no_file_is_shown_and_not_written(detector, programs):
    simulator, service = detector()
    expose(simulator)
    expected = picture(FRAMES - 1, SHAPE, "int32")
    service.wait_until(lambda: service.answers("/api/v1/frame/latest.npy"))
    service.wait_until(lambda: same(last_frame(service), expected))
    assert list(programs.data.iterdir()) == []
