"""The programs in examples/, run as a reader would."""

import subprocess
import sys
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import pytest

from tests.system.sources import pixels, sender_on, series

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT_S = 100


def start(name, *arguments):
    words = [sys.executable, "-u", str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def finish(process):
    try:
        printed, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    return printed.splitlines()


@pytest.mark.parametrize("encoding", ["none", "bslz4"])
def test_the_consumer_decodes_every_image(start_service, free_port, encoding):
    service = start_service({"dcu_port_purple": free_port})
    endpoint = f"tcp://127.0.0.1:{service.ports['data_port']}"
    with sender_on(free_port) as sender:
        consumer = start("consume.py", endpoint)
        service.wait_until(lambda: service.get("/status")["clients"] == 1)
        sender.send(*series("", 3, encoding=encoding))
        printed = finish(consumer)
    assert printed == [f"{k} {round(float(pixels(k).mean()), 3)}" for k in range(3)]


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


def test_a_step_scan_and_a_fly_scan(start_simulator, start_service, data):
    simulator = start_simulator("eiger", "--shape", "60,50")
    source = simulator.ports["stream_port"]
    service = start_service({"class": "Eiger", "dcu_port_purple": source})
    printed = finish(start("scan.py", service.url, simulator.url, data))
    files = [line.rpartition(" ")[2] for line in printed if " scan: " in line]
    lengths = []
    for name in files:
        with h5py.File(name) as file:
            lengths.append(file["/entry/data/data"].shape[0])
    assert lengths == [5, 20]
