"""The programs in examples/, run as a reader would."""

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import numpy as np
import pytest

from srx_service.simulators.pictures import picture
from tests.system.programs import TIMEOUT_S, finish, start
from tests.system.sources import pixels, sender_on, series


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_the_consumer_decodes_every_image(start_service, free_port, encoding):
    service = start_service({"dcu_port_purple": free_port})
    endpoint = f"tcp://127.0.0.1:{service.ports['data_port']}"
    with sender_on(free_port) as sender:
        consumer = start("live/consume.py", endpoint)
        service.wait_until(lambda: service.get("/status")["clients"] == 1)
        sender.send(*series("", 3, encoding=encoding))
        printed = finish(consumer)
    assert printed == [f"{k} {pixels(k).max()}" for k in range(3)]


def test_an_acquisition_over_http_alone(start_service, free_port, data):
    service = start_service({"dcu_port_purple": free_port})
    with sender_on(free_port) as sender:
        process = start("acquire.py", service.url, data / "a.h5", 4)
        # What is sent before the arm is answered is not of this acquisition.
        assert process.stdout.readline() == "armed\n"
        sender.send(*series("", 4))
        printed = finish(process)
    assert printed[0].startswith(f"done {data / 'a.h5'}")
    with h5py.File(data / "a.h5") as file:
        assert file["/entry/data/data"].shape[0] == 4


@pytest.fixture(scope="module")
def line(shared_programs, tiled):
    """A service, a simulated Eiger, and where the one may write and Tiled may read."""
    simulator = shared_programs.simulator("eiger", "--shape", "60,50")
    source = simulator.ports["stream_port"]
    service = shared_programs.service({"class": "Eiger", "dcu_port_purple": source})
    return service.url, simulator.url, shared_programs.data


@pytest.fixture(scope="module")
def scan(line, tiled):
    """What the step scan printed, by the first word of each line."""
    return dict(map(str.split, finish(start("step_scan.py", *line, tiled.url))))


def picture_of(k):
    """Return the counts in a frame, none where no pixel can count."""
    pixels = picture(k, (60, 50), "uint16")
    return np.where(pixels == np.iinfo(np.uint16).max, 0, pixels)


def test_a_step_scan(scan):
    with h5py.File(scan["file"]) as file:
        assert file["/entry/data/data"].shape == (5, 60, 50)


def test_a_fly_scan(line, tiled):
    printed = finish(start("fly_scan.py", *line, tiled.url))[-3:]
    # A progress bar moves the cursor up when it goes.
    told = dict(line.replace("\x1b[A", "").split() for line in printed)
    assert (list(told), told["missing"]) == (["file", "missing", "run"], "0")
    with h5py.File(told["file"]) as file:
        assert file["/entry/data/data"].shape == (100, 60, 50)


def test_a_run_is_read_back_with_tiled(scan, tiled):
    run, image, *frames = finish(start("read_tiled.py", tiled.url, scan["run"]))
    assert run == "scan success streams primary"
    assert image == "5 60 50 uint16 time y x"
    numbers = [words.split() for words in frames]
    assert [int(words[3]) for words in numbers] == [
        picture_of(k).sum() for k in range(5)
    ]
    arrived = [float(words[5]) for words in numbers]
    assert arrived == sorted(arrived)
    assert 0 < arrived[0] < TIMEOUT_S


def test_a_run_is_read_back_with_databroker(line):
    printed = finish(start("read_databroker.py", *line))
    assert printed == [
        f"motor {position} shape 1 60 50 counts {picture_of(k).sum()}"
        for k, position in enumerate((-1.0, -0.5, 0.0, 0.5, 1.0))
    ]


def test_a_scan_is_reduced_with_dask(scan, tiled):
    printed = finish(start("reduce_with_dask.py", tiled.url, scan["run"]))
    counts = np.stack([picture_of(k) for k in range(5)]).astype(float)
    mean = counts.mean(axis=0)
    y, x = np.unravel_index(mean.argmax(), mean.shape)
    assert printed[:2] == [f"brightest {y} {x} {mean.max():.3f}", "motor whole region"]
    table = np.loadtxt(printed[2:])
    assert table[:, 0].tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert table[:, 1].tolist() == counts.sum(axis=(1, 2)).tolist()
    assert table[:, 2].tolist() == counts[:, 10:20, 15:35].sum(axis=(1, 2)).tolist()
