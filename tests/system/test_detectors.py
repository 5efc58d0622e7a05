"""Every entry of detectors.yaml, with its detector's simulator, at its real size.

The entry is used as it stands, but for hosts, ports and folders. Pixels are compared
exactly in the file, on the secondary port and in the live view, and read from there by
other people's code.
"""

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import prod
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from srx_service import config
from srx_service.simulators import xspress3
from srx_service.simulators.pictures import picture
from tests.blocks import ROOT
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

FILE = ROOT / "detectors.yaml"
ENTRIES: dict[str, dict[str, Any]] = yaml.safe_load(FILE.read_text())
CONFIGS = config.load(FILE)
FRAMES = 3
EXPOSURE_S = 0.1
EIGER_1M, EIGER_4M = (1065, 1030), (2162, 2068)


@dataclass(frozen=True)
class Detector:
    """What an entry receives."""

    simulator: str
    """Of `srx simulate`."""
    shape: tuple[int, ...]
    """As the detector sends it."""
    dtype: str = "uint16"
    options: tuple[str, ...] = ()
    """Of the simulator, beyond shape and dtype."""
    config: dict[str, Any] = field(default_factory=dict)
    """What is set on the simulator, beyond file and frames."""
    expected: Callable[[np.ndarray], np.ndarray] = lambda sent: sent
    """What becomes of an image."""
    first: int = 0
    """The detector's index of the first image."""
    table: np.ndarray | None = None
    """What `tot` of the entry names a file of."""
    columns: Callable[["Detector", int], dict[str, np.ndarray]] = lambda *_: {}
    """Values of a frame, by the name of their dataset."""


ENERGIES = np.random.default_rng(0).random((831, 1475, 4))


def turned(sent):
    """What `rotate` and `mask` of cosaxs-pilatus make of an image."""
    found = np.rot90(sent, -1).copy()
    found[1460:1475, 800:880] = -1
    return found


def energies(sent):
    """What the table makes of an image: -1 for gaps, -2 for counts beyond it."""
    rows, columns = np.indices(sent.shape)
    found = ENERGIES[rows, columns, sent.clip(0, ENERGIES.shape[2] - 1)]
    found[sent >= ENERGIES.shape[2]] = -2
    found[sent < 0] = -1
    return found.astype("float32")


def without_gaps(sent):
    """Between chips, two pixels each way, nothing is counted."""
    found = sent.copy()
    found[256:258] = found[:, 256:258] = 0
    return found


def in_12_bits(sent):
    return sent.clip(max=0xFFF)


def xspress3_counts(detector, frame):
    return xspress3.scalars(frame, detector.shape[0], EXPOSURE_S)


DETECTORS = {
    "dummy-eiger": Detector("eiger", EIGER_1M, "uint32"),
    "dummy": Detector("detector", (512, 512)),
    "nanomax-eiger": Detector("eiger", EIGER_1M, "uint32"),
    "cosaxs-eiger": Detector("eiger", EIGER_4M, "uint32"),
    "formax-eiger": Detector("eiger", EIGER_4M, "uint32"),
    "danmax-pilatus4": Detector("pilatus4", (1080, 1033), "uint32"),
    "formax-zyla": Detector("detector", (2160, 2560)),
    "danmax-orca": Detector("detector", (4, 128), config={"first_frame": 1}, first=1),
    "balder-zyla": Detector("detector", (2160, 2560)),
    "pi-mte3": Detector("detector", (2048, 2048)),
    "dhyana": Detector("detector", (2048, 2048)),
    "ximea": Detector("detector", (2048, 2048)),
    "fastcam-nova": Detector("detector", (1024, 1024)),
    "rigaku": Detector("detector", (512, 1024)),
    "cosaxs-pilatus": Detector("pilatus", (1679, 1475), "int32", expected=turned),
    "femtomax-pilatus": Detector(
        "pilatus", (831, 1475), "int32", table=ENERGIES, expected=energies
    ),
    "formax-orca": Detector("orca", (2592, 4608), expected=in_12_bits, first=1),
    "formax-lambda": Detector("lambda", (4, 516, 1556)),
    "psi-eiger": Detector("psi-eiger", (514, 514), expected=without_gaps),
    "jungfrau": Detector("jungfrau", (514, 1030), "int32", options=("--push",)),
    "jungfrau-preview": Detector("jungfrau", (514, 1030), "int32"),
    "nanomax-xspress3": Detector(
        "xspress3", (4, 4096), "uint32", columns=xspress3_counts
    ),
    "x3mini": Detector(
        "xspress3",
        (2, 4096),
        "uint32",
        options=("--messages", "3"),
        columns=xspress3_counts,
    ),
}


def test_every_entry_has_its_detector():
    assert list(DETECTORS) == list(ENTRIES)


def here(name):
    """The entry on this machine, and the port where its simulator begins.

    An entry of several control units gets one that sends, the others are silent.
    """
    count = len(CONFIGS[name].endpoints)
    port = free_ports(count)
    local = {
        "dcu_host_purple": "127.0.0.1",
        "dcu_port_purple": list(range(port, port + count)),
        "api_port": pick_port(),
        "data_port": pick_port(),
    }
    return {**ENTRIES[name], **local}, port


def free_ports(count):
    """The first of free ports in a row."""
    while True:
        first = pick_port()
        if all(is_free(port) for port in range(first, first + count)):
            return first


def is_free(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def sent(detector, frame):
    *rows, columns = detector.shape
    return picture(frame, (prod(rows), columns), detector.dtype).reshape(detector.shape)


def start(programs, name):
    """Start the detector's simulator and the service, side by side."""
    detector, (entry, port) = DETECTORS[name], here(name)
    if detector.table is not None:
        entry["tot"] = str(programs.folder / "tot.npz")
        np.savez(entry["tot"], tot_to_energy_tensor=detector.table)
    options = {
        "--shape": ",".join(map(str, detector.shape)),
        "--dtype": detector.dtype,
        "--rate": "0",
        "--stream-port": str(port),
        "--send-timeout": "60",
    }
    words = [word for option in options.items() for word in option]
    with ThreadPoolExecutor() as pool:
        simulator = pool.submit(
            programs.simulator, detector.simulator, *words, *detector.options
        )
        service = pool.submit(programs.service, entry)
        return simulator.result(), service.result()


def expose(simulator, detector, file):
    """Let the detector take a series of images."""
    if detector.simulator in ("eiger", "pilatus4"):
        expose_simplon(simulator.url, detector, file)
        return
    settings = {"frames": FRAMES, "exposure_s": EXPOSURE_S, **detector.config}
    take_series(simulator, file, **settings)


def expose_simplon(url, detector, file):
    settings = {
        "detector/api/1.8.0/config/nimages": FRAMES,
        "stream/api/1.8.0/config/header_appendix": json.dumps({"filename": str(file)}),
    }
    with httpx.Client(base_url=url, timeout=60) as control:
        for path, value in {**settings, **detector.config}.items():
            control.put(path, json={"value": value}).raise_for_status()
        for command in ("arm", "trigger"):
            path = f"detector/api/1.8.0/command/{command}"
            control.put(path).raise_for_status()


@pytest.mark.parametrize("name", ENTRIES)
def test_a_detector_is_written_sent_on_and_shown(name, programs):
    detector = DETECTORS[name]
    file = programs.data / f"{name}.h5"
    simulator, service = start(programs, name)
    with client_of(service) as client:
        expose(simulator, detector, file)
        sent_on = receive_series(client)
    told = wait_for_file(service, file)
    expected = [detector.expected(sent(detector, k)) for k in range(FRAMES)]
    counts = {count: n for count, n in told["counts"].items() if n}
    assert counts == {"received": FRAMES, "written": FRAMES}
    check_file(file, CONFIGS[name].dataset, expected, detector)
    check_columns(file, CONFIGS[name].dataset, detector)
    assert [image["frame"] for image in sent_on.images] == frames(detector)
    assert sent_on.header["filename"] == str(file)
    assert all(map(same, sent_on.pixels, expected))
    assert same(last_frame(service), expected[-1])


def check_file(file, dataset, expected, detector):
    with opened(file, dataset) as (images, group):
        assert images.shape == (FRAMES, *expected[0].shape)
        assert all(map(same, images, expected))
        assert list(group["sequence_number"]) == frames(detector)
        assert len(group["missing_frames"]) == 0


def check_columns(file, dataset, detector):
    with opened(file, dataset) as (_, group):
        for row, frame in enumerate(frames(detector)):
            for name, value in detector.columns(detector, frame).items():
                assert np.array_equal(group[name][row], value), name


def frames(detector):
    return list(range(detector.first, detector.first + FRAMES))
