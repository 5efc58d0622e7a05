"""What service and device tell of frames in numbers, against the files themselves."""

import math
from collections.abc import Iterator
from typing import Any

import bluesky.plan_stubs as bps
import bluesky.plans as bp
import bluesky.preprocessors as bpp
import h5py
import hdf5plugin  # noqa: F401  registers the filters that files are read with
import httpx
import numpy as np
import pytest
from ophyd_async.core import DetectorTrigger, TriggerInfo

from tests.system.beamline import (
    DSET,
    Beamline,
    at_beamline,
    frames_of,
    pictures,
    start,
)
from tests.system.conftest import Program, Programs


@pytest.fixture(scope="module")
def pair(shared_programs: Programs) -> tuple[Program, Program]:
    return start(shared_programs, "eiger")


@pytest.fixture
def line(
    pair: tuple[Program, Program], catalog: Any, shared_programs: Programs
) -> Iterator[Beamline]:
    with at_beamline(pair, catalog, shared_programs.data, "eiger") as line:
        yield line


def test_totals_and_columns_are_those_of_the_file(line):
    line.det.frames_per_event.put(2)
    run = line.run(bp.count([line.det], num=3))
    told = line.acquisitions()[0]
    with h5py.File(told["file"]) as file:
        frames = file[DSET][:].astype(int)
        columns = {name: file[path][:] for name, path in told["columns"].items()}
    masked = frames >= 2**16 - 2
    frames[masked] = 0
    assert masked.any()
    totals = run["primary"]["det_total_counts"].read().tolist()
    assert totals == frames.sum(axis=(1, 2))[1::2].tolist()
    assert columns["sequence_number"].tolist() == [*range(6)]
    assert (columns["timestamp"] >= told["created_s"]).all()
    assert told["holes"] == []


def test_a_total_that_cannot_be_had_is_not_a_number_in_tiled_either(line, monkeypatch):
    ask = line.det.client.acquisition

    def ask_without(*arguments: Any, total: bool = False) -> Any:
        return ask(*arguments)

    monkeypatch.setattr(line.det.client, "acquisition", ask_without)
    run = line.run(bp.count([line.det], num=2))
    assert all(map(math.isnan, run["primary"]["det_total_counts"].read().tolist()))


@pytest.mark.parametrize(("exposure_s", "dtype"), [(0.01, "<u2"), (3.0, "<u4")])
def test_the_exposure_decides_on_the_dtype_before_the_first_frame(
    line, exposure_s, dtype
):
    line.det.prepare({"exposure_s": exposure_s})
    line.det.stage()
    keys = line.det.describe()
    line.det.unstage()
    assert keys["det_image"]["dtype_numpy"] == dtype


def test_a_trigger_from_outside_is_prepared_once_it_is_staged(line):
    det = line.det

    @bpp.stage_decorator([det])
    @bpp.run_decorator()
    def plan():
        info = TriggerInfo(trigger=DetectorTrigger.EXTERNAL_EDGE, number_of_events=5)
        yield from bps.prepare(det, info, wait=True)
        yield from bps.declare_stream(det, name="primary", collect=True)
        yield from bps.kickoff(det, wait=True)
        url = f"{line.simulator.url}/simulator/pulse"
        httpx.put(url, json={"value": 5}, timeout=30).raise_for_status()
        yield from bps.collect_while_completing([det], [det], flush_period=0.1)

    run = line.run(plan())
    assert np.array_equal(frames_of(run), pictures(range(5)))
    assert det.trigger_mode.get() == "exts"


def test_the_configuration_tells_of_service_and_detector(line):
    line.det.stage()
    keys, told = line.det.describe_configuration(), line.det.read_configuration()
    line.det.unstage()
    assert keys.keys() == told.keys()
    assert told["det_detector_class"]["value"] == "Eiger"
    assert told["det_dataset"]["value"] == DSET
    assert "EIGER" in told["det_description"]["value"]
