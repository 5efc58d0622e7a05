"""A PSI Eiger, simulated, from its two sockets to the file and the secondary port."""

import numpy as np
import pytest

from srx_service.simulators.pictures import picture
from srx_service.simulators.psi_eiger import sent
from tests.system.outcome import (
    client_of,
    last_frame,
    opened,
    receive_series,
    same,
    take_series,
    wait_for_file,
)

DATASET = "/entry/instrument/eiger/data"
SHAPE = (514, 514)
FRAMES = 20


@pytest.fixture
def detector(programs):
    """detector(simulator's words): it, and the service that is subscribed to it."""

    def start(*words):
        words = ("--rate", "0", "--send-timeout", "60", *words)
        simulator = programs.simulator("psi-eiger", *words)
        entry = {
            "class": "PsiEiger",
            "dcu_port_purple": simulator.ready["stream_ports"],
            "dset_name": DATASET,
        }
        return simulator, programs.service(entry)

    return start


def expose(simulator, file, **settings):
    """Let the detector take a series; it waits until the service is subscribed."""
    take_series(simulator, file, **{"frames": FRAMES, **settings})


def whole(frame):
    return sent(picture(frame, SHAPE, "uint16"))


def acquisitions(service):
    return service.get("/api/v1/acquisitions")["acquisitions"]


def counts(told):
    return {name: n for name, n in told["counts"].items() if n}


def test_two_ports_are_written_and_sent_on_as_one_picture(detector, programs):
    simulator, service = detector()
    file = programs.data / "a.h5"
    expected = np.stack([whole(frame) for frame in range(FRAMES)])
    with client_of(service) as client:
        expose(simulator, file, exposure_s=0.5, metadata={"sample": "rust"})
        series = receive_series(client)
    told = wait_for_file(service, file)
    assert counts(told) == {"received": FRAMES, "written": FRAMES}
    with opened(file, DATASET) as (data, group):
        assert same(data[:], expected)
        assert group["sequence_number"][:].tolist() == list(range(FRAMES))
        assert group["frameNumber"][:].tolist() == list(range(1, FRAMES + 1))
        assert group["timestamp_"][:, 1].tolist() == [5e6 * k for k in range(FRAMES)]
        assert np.all(group["completeImage"][:] == 1)
        assert group["detshape"][:].tolist() == [1, 2]
        assert group["row"][:].tolist() == [0, 1]
        assert group["addJsonHeader/sample"].asstr()[()] == "rust"
    assert same(np.stack(series.pixels), expected)
    assert [image["frame"] for image in series.images] == list(range(FRAMES))
    assert series.header["filename"] == str(file)
    assert series.metadata["addJsonHeader"] == {"sample": "rust"}
    assert same(last_frame(service), expected[-1])


def test_two_series_make_two_files(detector, programs):
    simulator, service = detector()
    files = [programs.data / name for name in ("a.h5", "b.h5")]
    for count, file in enumerate(files, 3):
        expose(simulator, file, frames=count)
    for count, file in enumerate(files, 3):
        assert counts(wait_for_file(service, file)) == {
            "received": count,
            "written": count,
        }
        with opened(file, DATASET) as (data, _):
            assert same(data[:], np.stack([whole(k) for k in range(count)]))


def test_frames_that_lack_a_port_are_missing_and_the_line_goes_on(detector, programs):
    simulator, service = detector("--faults", "lose_module=0.2")
    file = programs.data / "a.h5"
    frames = 50
    expose(simulator, file, frames=frames)
    told = wait_for_file(service, file)
    with opened(file, DATASET) as (data, group):
        found = group["sequence_number"][:]
        written = [row for row, number in enumerate(found) if number != 0xFFFFFFFF]
        assert 20 < len(written) < len(data) <= frames
        assert found[written].tolist() == written
        wrong = [row for row in written if not same(data[row], whole(row))]
        assert wrong == []
        holes = sorted(set(range(len(data))) - set(written))
        assert group["missing_frames"][:].tolist() == holes
    assert told["counts"]["written"] == len(written)
    assert told["counts"]["missing"] + told["counts"]["rejected"] == len(holes)
    expose(simulator, programs.data / "b.h5", frames=frames)
    wait_for_file(service, programs.data / "b.h5")
    assert service.get("/status")["state"] == "idle"


def test_without_a_path_of_its_own_nothing_is_written(detector, programs):
    simulator, service = detector()
    with client_of(service) as client:
        expose(simulator, "run", frames=3)
        series = receive_series(client)
    assert series.header["filename"] == ""
    assert [image["frame"] for image in series.images] == [0, 1, 2]
    service.wait_until(lambda: [a["state"] for a in acquisitions(service)] == ["done"])
    assert list(programs.data.iterdir()) == []
