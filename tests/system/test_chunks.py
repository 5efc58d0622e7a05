"""Several frames a chunk (`frames_per_chunk`), from a detector to every reader."""

from collections.abc import Iterator
from typing import Any

import bluesky.plans as bp
import h5py
import numpy as np
import pytest
from ophyd_async.core import StaticPathProvider, UUIDFilenameProvider, init_devices

from srx_ophyd.async_device import SrxAsyncDetector
from srx_ophyd.device import SrxDatumDetector, SrxDetector
from srx_ophyd.drivers import SimulatorDriver
from srx_ophyd.plans import srx_fly
from srx_service.messages import End, Start
from tests.system import readers
from tests.system.beamline import (
    SHAPE,
    SIMULATE,
    Beamline,
    at_beamline,
    frames_of,
    is_exposing,
    paused_when,
    pictures,
)
from tests.system.conftest import Program, Programs
from tests.system.sources import image, pixels, sender_on

KIND = "detector"
K = 10
"""Frames of SHAPE in a chunk of 256 KiB."""


def start(programs: Programs, *options: str) -> tuple[Program, Program]:
    """Return a service that joins frames, and the simulator it listens to."""
    simulator = programs.simulator(KIND, *SIMULATE, *options)
    port = simulator.ports["stream_port"]
    entry = {"dcu_port_purple": port, "frames_per_chunk": "auto", "gap_timeout": 0.1}
    return programs.service(entry), simulator


@pytest.fixture(scope="module")
def pair(shared_programs: Programs) -> tuple[Program, Program]:
    return start(shared_programs)


@pytest.fixture
def flavour() -> type[Any]:
    return SrxDetector


@pytest.fixture
def beamline(
    pair: tuple[Program, Program],
    catalog: Any,
    shared_programs: Programs,
    flavour: type[Any],
) -> Iterator[Beamline]:
    data = shared_programs.data
    with at_beamline(pair, catalog, data, KIND, flavour) as line:
        yield line


def is_valid(beamline: Beamline, run: Any) -> bool:
    """True when validation changes nothing."""
    with pytest.warns(UserWarning, match="does not support remote validation"):
        valid = run.validate()
    return valid and "notes" not in beamline.catalog[run.item["id"]].metadata


def told(beamline: Beamline, key: str = "det_image") -> list[int]:
    """Return what the document of a key says of its chunks."""
    [parameters] = [
        one["parameters"]
        for name, one in beamline.documents
        if name == "stream_resource" and one["data_key"] == key
    ]
    return parameters["chunk_shape"]


def test_events_of_several_frames_share_chunks(beamline):
    det = beamline.det
    det.frames_per_event.put(3)
    run = beamline.run(bp.count([det], num=4))
    with h5py.File(det.file.get()) as file:
        assert file["/entry/data/data"].chunks == (K, *SHAPE)
        assert len(file["/entry/data/data"]) == 12
    assert told(beamline) == [K, 3, *SHAPE]
    assert beamline.acquisitions()[0]["chunk"] == [K, *SHAPE]
    assert np.array_equal(frames_of(run), pictures(range(12)).reshape(4, 3, *SHAPE))
    assert is_valid(beamline, run)


def test_tiled_reads_a_chunk_that_is_not_yet_full(beamline):
    """Every frame that was told of, again and again, while others join its chunk."""
    frames, read = pictures(range(25)), []

    def look(name, document):
        if name == "stream_datum":
            run = beamline.catalog[beamline.documents[0][1]["uid"]]
            taken = frames_of(run)
            read.append(len(taken))
            assert np.array_equal(taken, frames[: len(taken)])

    beamline.det.exposure_s.put(0.04)
    (uid,) = beamline.engine(srx_fly([beamline.det], 25), look)
    assert read == sorted(read)
    assert read[-1] == 25
    assert any(count % K for count in read[:-1])
    assert told(beamline) == [K, *SHAPE]
    assert is_valid(beamline, beamline.catalog[uid])


def test_a_pause_takes_rows_back_out_of_their_chunk(beamline):
    beamline.det.exposure_s.put(0.3)
    beamline.det.frames_per_event.put(2)
    with paused_when(beamline, lambda: is_exposing(beamline, rows=[3])):
        beamline.engine(bp.count([beamline.det], num=2))
    (uid,) = beamline.engine.resume()
    taken = frames_of(beamline.catalog[uid]).reshape(-1, *SHAPE)
    # A new series counts its frames from 0 again: the second event.
    assert np.array_equal(taken[:2], pictures([0, 1]))
    assert beamline.acquisitions()[0]["rows"] == len(taken) == 4
    assert (taken != np.iinfo(taken.dtype).max).any(axis=(1, 2)).all()


@pytest.mark.parametrize("flavour", [SrxDatumDetector])
@pytest.mark.parametrize("spec", ["AD_HDF5", "SRX_HDF5"])
def test_handlers_read_frames_that_share_chunks(beamline, spec):
    det = beamline.det
    det.spec = spec
    det.frames_per_event.put(3)
    run = beamline.run(bp.count([det], num=5))
    frames = pictures(range(15)).reshape(5, 3, *SHAPE)
    taken = readers.Run("datum", "step", spec, beamline.documents, frames)
    readers.filled_by_ours([taken])
    if spec == "AD_HDF5":
        assert np.array_equal(frames_of(run), frames)
        readers.filled_by_area_detector_handlers([taken])


def test_lost_frames_leave_holes_in_their_chunks(programs, catalog):
    pair = start(programs, "--faults", "drop=0.3")
    with at_beamline(pair, catalog, programs.data, KIND) as line:
        run = line.run(srx_fly([line.det], 30))
        taken, frames = frames_of(run), pictures(range(30))
        holes = line.acquisitions()[0]["counts"]["missing"]
        is_there = (taken != np.iinfo(taken.dtype).max).any(axis=(1, 2))
        assert np.array_equal(taken[is_there], frames[is_there])
        assert list(is_there).count(False) == holes > 0
        assert is_valid(line, run)


def test_an_ophyd_async_device_tells_of_chunks(pair, catalog, shared_programs):
    service, simulator = pair
    paths = StaticPathProvider(UUIDFilenameProvider(), shared_programs.data)
    line = Beamline(service, simulator, catalog)
    with init_devices():
        det = SrxAsyncDetector(
            service.url,
            paths,
            name="det",
            driver=SimulatorDriver(simulator.url),
            exposure_s=0.005,
        )
    run = line.run(srx_fly([det], 23))
    assert np.array_equal(run["primary"]["det"].read(), pictures(range(23)))
    assert told(line, "det") == [K, *SHAPE]
    assert is_valid(line, run)
    det.client.close()
    det.driver.close()


def test_what_becomes_of_frames_is_right_within_a_chunk(programs, free_port):
    """One is lost, one not to be written, one unfit; more follow in a second series."""
    entry = {"dcu_port_purple": free_port, "gap_timeout": 0.1, "frames_per_chunk": 4}
    service, file = programs.service(entry), programs.data / "a.h5"

    def series() -> list[dict[str, Any]]:
        listed = service.get("/api/v1/acquisitions")["acquisitions"]
        return [one for one in listed if one["state"] == "done"]

    with sender_on(free_port) as sender:
        sender.send(Start(filename=str(file)), image(0))
        sender.number += 1
        sender.send(image(2), image(3, discard=True, extras={"discard": True}))
        sender.send(image(4, shape=(8, 6)), image(5), image(6), End())
        service.wait_until(lambda: len(series()) == 1)
        sender.send(Start(filename=str(file)), image(7), image(8), End())
        service.wait_until(lambda: len(series()) == 2)
    first = series()[-1]
    assert (first["rows"], first["chunk"]) == (6, [4, 6, 8])
    counts = {name: n for name, n in first["counts"].items() if n}
    fates = {"discarded": 1, "missing": 1, "rejected": 1}
    assert counts == {"received": 6, "written": 4} | fates
    hole = np.full((6, 8), 65535)
    expected = [pixels(0), hole, pixels(2), hole, *map(pixels, (5, 6, 7, 8))]
    with h5py.File(file) as opened:
        assert np.array_equal(opened["/entry/data/data"], expected)
