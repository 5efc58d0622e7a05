"""Images of several channels, from a simulated PILATUS4 into the file and onwards."""

import json

import httpx
import numpy as np
import pytest

from srx_service.simulators.pictures import picture
from tests.conftest import pick_port
from tests.system.outcome import (
    client_of,
    last_frame,
    opened,
    receive_series,
    same,
    wait_for_file,
)

SHAPE, FRAMES, CHANNELS = (64, 80), 5, 3
DATASET = "/entry/instrument/pilatus/data"


def settings(file, compression):
    return {
        "detector/api/1.8.0/config/nimages": FRAMES,
        "detector/api/1.8.0/config/compression": compression,
        "stream/api/1.8.0/config/header_detail": "all",
        "stream/api/1.8.0/config/header_appendix": json.dumps({"filename": str(file)}),
    }


def expose(url, config):
    with httpx.Client(base_url=url, timeout=60) as control:
        for path, value in config.items():
            control.put(path, json={"value": value}).raise_for_status()
        for command in ("arm", "trigger"):
            path = f"detector/api/1.8.0/command/{command}"
            control.put(path).raise_for_status()


@pytest.fixture
def started(programs):
    """A simulator of three channels, and the service that receives it."""
    port = pick_port()
    entry = {
        "class": "DectrisStream2",
        "dcu_host_purple": "127.0.0.1",
        "dcu_port_purple": port,
        "nworkers": 2,
        "api_port": pick_port(),
        "data_port": pick_port(),
        "dset_name": DATASET,
    }
    words = ["--shape", "64,80", "--dtype", "uint16", "--rate", "0"]
    words += ["--stream-port", str(port), "--thresholds", "2", "--difference"]
    return programs.simulator("pilatus4", *words), programs.service(entry)


@pytest.mark.parametrize("compression", ["bslz4", "none"])
def test_all_channels_of_an_image_are_written_and_sent_on(
    started, programs, compression
):
    simulator, service = started
    file = programs.data / "channels.h5"
    with client_of(service) as client:
        expose(simulator.url, settings(file, compression))
        sent_on = receive_series(client)
    wait_for_file(service, file)
    expected = [
        np.stack([picture(frame + k, SHAPE, "uint16") for k in range(CHANNELS)])
        for frame in range(FRAMES)
    ]
    with opened(file, DATASET) as (images, group):
        assert images.chunks == (1, 1, *SHAPE)
        assert all(map(same, images, expected))
        assert group["pixel_mask_threshold_2"].shape == SHAPE
        assert group["real_time"][0].tolist() == [4_999_995, 50_000_000]
    assert all(map(same, sent_on.pixels, expected))
    assert sent_on.images[0]["channels"] == ["threshold_1", "threshold_2", "difference"]
    assert sent_on.metadata["threshold_1"] == 4020.5
    assert same(last_frame(service), expected[-1])
