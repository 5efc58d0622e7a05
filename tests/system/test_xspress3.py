"""An Xspress3, simulated, from its PUB socket to the file and the secondary port."""

import pickle

import numpy as np
import pytest
import zmq

from srx_service.simulators.pictures import picture
from srx_service.simulators.xspress3 import scalars
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
from tests.wire import xspress3 as wire

DATASET = "/entry/instrument/xspress3/data"
SHAPE = (4, 4096)
FRAMES = 20
EXPOSURE_S = 0.05


@pytest.fixture
def detector(programs):
    """detector(messages): a simulator, and the service that is subscribed to it."""

    def start(messages: int):
        port = pick_port()
        words = ["--messages", str(messages), "--stream-port", str(port)]
        simulator = programs.simulator(
            "xspress3", *words, "--rate", "0", "--send-timeout", "60"
        )
        entry = {
            "class": "Xspress3",
            "dcu_port_purple": port,
            "dset_name": DATASET,
        }
        return simulator, programs.service(entry)

    return start


def expose(simulator, file):
    """Let the detector take a series; it waits until the service is subscribed."""
    take_series(simulator, file, frames=FRAMES, exposure_s=EXPOSURE_S)


def expected(name):
    return np.stack([scalars(k, SHAPE[0], EXPOSURE_S)[name] for k in range(FRAMES)])


def states(service):
    listed = service.get("/api/v1/acquisitions")["acquisitions"]
    return [acquisition["state"] for acquisition in listed]


NAMES = tuple(scalars(0, 1, EXPOSURE_S))


@pytest.mark.parametrize("messages", [1, 3])
def test_spectra_and_counts_are_written_and_sent_on(detector, programs, messages):
    simulator, service = detector(messages)
    file = programs.data / "a.h5"
    with client_of(service) as client:
        expose(simulator, file)
        sent_on = receive_series(client)
    told = wait_for_file(service, file)
    counts = {name: n for name, n in told["counts"].items() if n}
    assert counts == {"received": FRAMES, "written": FRAMES}
    spectra = [picture(k, SHAPE, "uint32") for k in range(FRAMES)]
    with opened(file, DATASET) as (data, group):
        assert data.shape == (FRAMES, *SHAPE)
        assert all(map(same, data, spectra))
        assert group.attrs["NX_class"] == "NXdetector"
        assert all(same(group[name][:], expected(name)) for name in NAMES)
        assert np.all(group["exposure_time"][:] == EXPOSURE_S)
        assert group["limits"].shape == (2, 4, 2)
        assert not group["overwritable"][()]
    assert all(map(same, sent_on.pixels, spectra))
    assert sent_on.metadata["extra_tags"] == list(NAMES)
    for k, image in enumerate(sent_on.images):
        assert (image["frame"], image["exposure_time"]) == (k, EXPOSURE_S)
        assert all(image[name] == expected(name)[k].tolist() for name in NAMES)
    assert same(last_frame(service), spectra[-1])


def test_a_second_series_of_one_name_is_appended_with_its_counts(detector, programs):
    simulator, service = detector(1)
    file = programs.data / "a.h5"
    for _ in range(2):
        expose(simulator, file)
    service.wait_until(lambda: states(service) == ["done", "done"])
    with opened(file, DATASET) as (data, group):
        assert data.shape == (2 * FRAMES, *SHAPE)
        for name in NAMES:
            twice = np.concatenate([expected(name)] * 2)
            assert same(group[name][:], twice)


def test_what_is_no_array_is_counted_and_costs_no_spectrum(
    programs, start_service, free_port
):
    file = programs.data / "a.h5"
    with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
        publisher.linger = publisher.rcvtimeo = 60_000
        publisher.bind(f"tcp://127.0.0.1:{free_port}")
        entry = {"class": "Xspress3", "dcu_port_purple": free_port}
        service = start_service({**entry, "dset_name": DATASET})
        assert publisher.recv() == b"\x01"
        publisher.send(wire.text(htype="header", filename=str(file)))
        for frame, counts in enumerate((None, print, None)):
            parts = wire.image(frame, wire.COUNTS)
            broken = [*parts[:2], pickle.dumps(counts)]
            publisher.send_multipart(parts if counts is None else broken)
        publisher.send_multipart(wire.END)
        told = wait_for_file(service, file)
    assert told["counts"]["written"] == 3
    assert service.get("/status")["undecodable"] == {"refused pickle": 1}
    with opened(file, DATASET) as (data, group):
        assert data[:].tobytes() == wire.SPECTRA * 3
        rows = [wire.COUNTS["all_events"].tolist()] * 3
        assert group["all_events"][:].tolist() == [rows[0], [2**32 - 1] * 4, rows[2]]
