"""`nexus: nxmx`: what simulated detectors send, opened by other people's readers."""

import contextlib
import json
import logging
from threading import Thread

import h5py
import hdf5plugin  # noqa: F401 - registers the filters
import httpx
import numpy as np
import nxmx
import pytest
import silx.io
from nexusformat.nexus import NXlink, nxopen
from nexusformat.nexus.validate import validate_application
from silx.io import nxdata

from srx_service.messages import Image
from srx_service.nxmx import NxmxOptions
from srx_service.protocols import DECODERS
from srx_service.simulators.pictures import gaps, picture
from tests import nxdl
from tests.blocks import run_python
from tests.conftest import pick_port
from tests.service.writing import Desk
from tests.system.outcome import wait_for_file
from tests.system.test_dectris_stream2 import expose, settings
from tests.system.test_recordings import pickled
from tests.wire import recorded

SHAPE, FRAMES = (64, 80), 5
DATASET = "/entry/instrument/eiger/data"
PAGE = "docs/how-to/write-nexus.md"
SAID = {"sample_name": "lysozyme", "omega_rotation_axis": [0, -1, 0]}
GEOMETRY = {
    "detector_distance": 0.15,
    "beam_center_x": 30.5,
    "beam_center_y": 20.25,
    "omega_start": 10.0,
    "omega_increment": 0.5,
    "count_time": 0.002,
    "frame_time": 0.004,
}


def entry_of(decoder, port, **keys):
    names = {"instrument_name": "BioMAX", "source_name": "MAX IV"}
    place = {"dcu_port_purple": port, "dset_name": DATASET}
    return {"class": decoder, "nexus": "nxmx", **place, **names, **keys}


def config_for(file, **changed):
    told = settings(file, "bslz4")
    appendix = "stream/api/1.8.0/config/header_appendix"
    told[appendix] = json.dumps(json.loads(told[appendix]) | SAID)
    values = {**GEOMETRY, **changed}
    return told | {f"detector/api/1.8.0/config/{k}": v for k, v in values.items()}


def start_simulator(programs, kind, *words):
    port = pick_port()
    size = ["--shape", "64,80", "--dtype", "uint32", "--stream-port", str(port)]
    return programs.simulator(kind, *size, *words), port


def run_series(programs, kind, decoder, name, *words):
    """Let a detector take a series; return the file, and what the API tells of it."""
    simulator, port = start_simulator(programs, kind, "--rate", "0", *words)
    service = programs.service(entry_of(decoder, port))
    file = programs.data / name
    expose(simulator.url, config_for(file))
    return file, wait_for_file(service, file), service


@pytest.fixture(scope="module")
def eiger(shared_programs):
    return run_series(shared_programs, "eiger", "Eiger", "v1.h5")


@pytest.fixture(scope="module")
def pilatus4(shared_programs):
    words = ["--thresholds", "2"]
    return run_series(shared_programs, "pilatus4", "DectrisStream2", "v2.h5", *words)


@pytest.fixture
def path(eiger):
    return eiger[0]


def test_streams_v1_and_v2_make_files_that_conform(eiger, pilatus4):
    for file, _, _ in (eiger, pilatus4):
        with h5py.File(file) as opened:
            assert nxdl.problems(opened) == []


def test_all_is_known_of_a_stream_v1(eiger):
    _, told, service = eiger
    assert told["note"] is None
    assert service.get("/status")["note"] is None


def test_a_stream_v2_that_tells_no_distance_is_noted(pilatus4):
    _, told, service = pilatus4
    assert told["note"] == "this file lacks what NXmx needs: detector/distance"
    assert service.get("/status")["note"] == told["note"]


def test_nexusformat_finds_no_error_and_plots_the_frames(path, caplog):
    # the recommended ones that no detector knows, and a time zone, which is no time
    with caplog.at_level(logging.CRITICAL):
        assert validate_application(str(path)) == (5, 0)
    with nxopen(path) as root:
        assert root.entry.definition.nxvalue == "NXmx"
        frames = root.entry.data.nxsignal
        frames = frames.nxlink if isinstance(frames, NXlink) else frames
        assert frames.shape == (FRAMES, *SHAPE)
        assert np.array_equal(frames[3].nxvalue, picture(3, SHAPE, "uint32"))
        assert root.entry.instrument.eiger.distance.attrs["units"] == "m"


def test_silx_finds_the_frames_by_default(path):
    with silx.io.open(str(path)) as root:
        default = nxdata.get_default(root)
        assert default.is_valid
        assert default.signal_ndim == 3
        assert np.array_equal(default.signal[2], picture(2, SHAPE, "uint32"))


def test_silx_finds_the_names_of_channels(pilatus4):
    with silx.io.open(str(pilatus4[0])) as root:
        default = nxdata.get_default(root)
        assert default.is_valid
        assert default.axes_dataset_names == [None, "channel", None, None]


@pytest.fixture
def entry(path):
    """As the crystallographers' reader sees it: dxtbx reads files with it."""
    with h5py.File(path) as file:
        [found] = nxmx.NXmx(file).entries
        yield found


def test_nxmx_reads_beam_detector_and_names(entry):
    [instrument] = entry.instruments
    [detector], [beam] = instrument.detectors, instrument.beams
    assert (instrument.name, entry.source.name) == ("BioMAX", "MAX IV")
    assert entry.samples[0].name == "lysozyme"
    assert beam.incident_wavelength.to("angstrom").magnitude == pytest.approx(1.5419)
    assert detector.sensor_material == "Si"
    assert detector.sensor_thickness.to("um").magnitude == pytest.approx(450)
    assert detector.frame_time.to("ms").magnitude == pytest.approx(4)
    assert (detector.underload_value, detector.saturation_value) == (0, 2943293)
    assert np.array_equal(detector.pixel_mask[()], gaps(SHAPE))
    assert entry.start_time <= entry.end_time
    assert (entry.end_time_estimated - entry.start_time).total_seconds() == 0.02


def test_nxmx_finds_the_pixel_under_the_beam_at_the_detectors_distance(entry):
    [detector] = entry.instruments[0].detectors
    [module] = detector.modules
    fast, slow = module.fast_pixel_direction, module.slow_pixel_direction
    chain = nxmx.get_dependency_chain(fast.depends_on)
    [place] = nxmx.get_cumulative_transformation(chain)
    along = (30.5 * fast[0] * fast.vector + 20.25 * slow[0] * slow.vector).to("mm")
    hit = place @ [*along.magnitude, 1]
    assert np.allclose(hit, [0, 0, 150, 1])
    assert tuple(module.data_size) == SHAPE


def test_nxmx_reads_the_scan(entry):
    chain = nxmx.get_dependency_chain(entry.samples[0].depends_on)
    axes = nxmx.get_rotation_axes(chain)
    assert axes.names.tolist() == ["omega"]
    assert axes.axes.tolist() == [[0, -1, 0]]
    assert axes.is_scan_axis.tolist() == [True]
    [omega] = chain
    assert omega[()].to("degree").magnitude.tolist() == [10, 10.5, 11, 11.5, 12]
    assert omega.end[-1].magnitude == 12.5


def test_a_file_opens_as_the_page_says(path, capsys):
    read = run_python(PAGE, {"/data/scan_000001.h5": str(path)})
    assert capsys.readouterr().out == (
        "lysozyme 0.15 meter\n/entry/sample/transformations/omega [10.0 10.5] degree\n"
    )
    assert np.array_equal(read["pixels"], picture(0, SHAPE, "uint32"))


def test_a_file_is_one_while_it_is_written_and_after_a_kill(programs):
    simulator, port = start_simulator(programs, "eiger", "--rate", "50")
    entry = entry_of("Eiger", port, state_dir=str(programs.folder / "state"))
    service, file = programs.service(entry), programs.data / "killed.h5"
    config = config_for(file, nimages=100_000)
    exposing = Thread(target=expose_until_aborted, args=(simulator.url, config))
    exposing.start()
    try:
        service.wait_until(lambda: service.get("/received_frames")["value"] > 20)
        service.wait_until(lambda: is_flushed(service, file))
        with h5py.File(file, swmr=True) as reader:
            assert nxdl.problems(reader) == []
        service.kill()
        programs.service(entry)
    finally:
        httpx.put(f"{simulator.url}/detector/api/1.8.0/command/abort", json={})
        exposing.join()
    with h5py.File(file) as repaired:
        assert nxdl.problems(repaired) == []
        omega = repaired["/entry/sample/transformations/omega"]
        assert np.array_equal(omega, 10 + 0.5 * np.arange(len(repaired[DATASET])))
        assert len(omega)


def expose_until_aborted(url, config):
    with contextlib.suppress(httpx.HTTPError):
        expose(url, config)


def is_flushed(service, file):
    listed = service.get("/api/v1/acquisitions")["acquisitions"]
    return any(one["file"] == str(file) and one["rows"] for one in listed)


RECORDED = [
    (
        "eiger_legacy_dump.zip",
        "Eiger",
        recorded.messages,
        ["sample/name", "source/nam"],
    ),
    ("stream2.zip", "DectrisStream2", pickled, []),
]


@pytest.mark.parametrize(("name", "decoder", "read", "unknown"), RECORDED)
def test_headers_of_real_detectors_make_files_that_conform(
    name, decoder, read, unknown, recordings, tmp_path
):
    decode = DECODERS[decoder]().decode
    start, *rest = (m for parts in read(recordings / name) for m in decode(parts))
    frames = [message for message in rest if type(message) is Image]
    with Desk(tmp_path, nexus=NxmxOptions(instrument_name="NanoMAX")) as desk:
        made = desk.series(*frames, start=start)
    # nobody had set the detector's distance, and one had told its header no names
    assert made.note.endswith("detector/distance")
    assert all(path in made.note for path in unknown)
    with h5py.File(desk.file) as file:
        missing = [text for text in nxdl.problems(file) if "missing" in text]
        assert nxdl.problems(file) == missing
        assert len(missing) == len(unknown)
