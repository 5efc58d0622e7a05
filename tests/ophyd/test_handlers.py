import importlib.metadata
import pickle
import subprocess
import sys

import event_model
import h5py
import hdf5plugin
import numpy as np
import pytest

from srx_ophyd.handlers import SrxHDF5Handler
from tests.test_extras import installed_with

FRAMES = np.arange(12 * 8 * 10, dtype="uint32").reshape(12, 8, 10)
DATASET = "/entry/data/data"


@pytest.fixture
def path(tmp_path):
    """Of a closed file of twelve compressed frames, with a time for each."""
    path = tmp_path / "det_0.h5"
    with h5py.File(path, "w", libver="latest") as file:
        compression = hdf5plugin.Bitshuffle()
        file.create_dataset(DATASET, data=FRAMES, chunks=(1, 8, 10), **compression)
        file["/entry/times"] = np.arange(12.0)
    return path


@pytest.fixture
def live(tmp_path):
    """A file that is being written, and the dataset that grows in it."""
    path = tmp_path / "det_1.h5"
    with h5py.File(path, "w", libver="latest") as file:
        dataset = file.create_dataset(
            DATASET, (0, 8, 10), "uint32", maxshape=(None, 8, 10), chunks=(1, 8, 10)
        )
        file.swmr_mode = True
        yield path, dataset


def is_same(lazy, expected):
    return np.array_equal(np.asarray(lazy), expected)


def write(dataset, stop):
    dataset.resize(stop, axis=0)
    dataset[:stop] = FRAMES[:stop]
    dataset.flush()


@pytest.mark.parametrize(("n", "point", "rows"), [(1, 3, (3, 4)), (4, 2, (8, 12))])
def test_a_datum_is_its_events_frames_with_an_axis_of_their_own(path, n, point, rows):
    frames = SrxHDF5Handler(path, n)(point_number=point)
    assert frames.shape == (n, 8, 10)
    assert is_same(frames, FRAMES[slice(*rows)])


def test_a_datum_may_name_rows(path):
    assert is_same(SrxHDF5Handler(path)(start=2, stop=7), FRAMES[2:7])


def test_a_datum_that_names_no_frames_is_refused(path):
    with pytest.raises(TypeError, match="has point_number, or start and stop"):
        SrxHDF5Handler(path)()


@pytest.mark.parametrize(
    "part",
    [
        np.s_[1],
        np.s_[-1, 2:4, 5],
        np.s_[1:3, ::2],
        np.s_[::2, -3:],
        np.s_[::-1],
        np.s_[3:3],
        np.s_[..., 7],
        np.s_[[2, 0]],
    ],
    ids=str,
)
def test_any_part_of_a_datum_can_be_taken(path, part):
    assert is_same(SrxHDF5Handler(path, 4)(1)[part], FRAMES[4:8][part])


def test_another_dataset_of_the_file_can_be_read(path):
    times = SrxHDF5Handler(path, 3, dataset="/entry/times")(1)
    assert is_same(times, [3.0, 4.0, 5.0])


def test_what_a_resource_says_to_others_is_ignored(path):
    SrxHDF5Handler(path, chunk_shape=[1, 8, 10], swmr=True)(0)


def test_it_reads_nothing_before_it_is_computed(path, tmp_path):
    frames = SrxHDF5Handler(path)(0)
    path.rename(tmp_path / "elsewhere.h5")
    with pytest.raises(FileNotFoundError):
        frames.compute()


def test_frames_can_be_sent_to_another_process(path):
    frames = pickle.loads(pickle.dumps(SrxHDF5Handler(path, 2)(1)))
    assert is_same(frames, FRAMES[2:4])


def test_big_events_are_read_in_parts(path):
    import dask

    frame_bytes = FRAMES[0].nbytes
    with dask.config.set({"array.chunk-size": 3 * frame_bytes}):
        frames = SrxHDF5Handler(path, 12)(0)
    assert frames.chunks == ((3, 3, 3, 3), (8,), (10,))
    assert is_same(frames, FRAMES)


def test_a_file_that_is_being_written_can_be_read(live):
    path, dataset = live
    handler = SrxHDF5Handler(path)
    for stop in (1, 5):
        write(dataset, stop)
        assert is_same(handler(stop - 1)[0], FRAMES[stop - 1])


def test_frames_that_are_not_there_yet_are_an_oserror(live):
    path, dataset = live
    write(dataset, 3)
    with pytest.raises(OSError, match=r"frames 2 to 4 are not \(yet\) there.* has 3"):
        SrxHDF5Handler(path, 2)(1)
    write(dataset, 4)
    assert is_same(SrxHDF5Handler(path, 2)(1), FRAMES[2:4])


def test_frames_that_a_rewind_took_back_are_an_oserror(live):
    path, dataset = live
    write(dataset, 3)
    frames = SrxHDF5Handler(path)(2)
    dataset.resize(2, axis=0)
    dataset.flush()
    with pytest.raises(OSError, match="has 2"):
        frames.compute()


@pytest.mark.parametrize("dataset", ["/entry/data/nothing", "/entry"])
def test_a_dataset_that_is_not_there_yet_is_an_oserror(path, dataset):
    with pytest.raises(OSError, match=f"no dataset {dataset} \\(yet\\)"):
        SrxHDF5Handler(path, dataset=dataset)(0)


def test_a_file_that_is_not_there_yet_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        SrxHDF5Handler(tmp_path / "none.h5")(0)


def test_no_file_is_held_open_between_reads(path):
    with SrxHDF5Handler(path) as handler:
        frames = handler(0)
        frames.compute()
        with h5py.File(path, "r+") as file:  # HDF5 would refuse, if a reader had it
            file[DATASET][0] = 7
        assert (frames == 7).all()


def test_another_reader_of_this_process_is_not_in_the_way(path):
    with h5py.File(path) as _without_swmr:
        assert is_same(SrxHDF5Handler(path)(0)[0], FRAMES[0])


def test_it_tells_which_file_it_reads(path):
    assert SrxHDF5Handler(path).get_file_list([]) == [str(path)]


@pytest.mark.parametrize("spec", ["SRX_HDF5", "AD_HDF5"])
def test_event_models_filler_fills_events(path, spec):
    documents = run_of(path, spec, frame_per_point=3)
    with event_model.Filler({spec: SrxHDF5Handler}, inplace=False) as fill:
        filled = [fill(*document) for document in documents]
    events = [document for name, document in filled if name == "event"]
    taken = [np.asarray(event["data"]["det_image"]) for event in events]
    assert is_same(taken, FRAMES.reshape(4, 3, 8, 10))


def test_event_models_filler_waits_for_frames(live):
    path, dataset = live
    attempts = []

    class Slow(SrxHDF5Handler):
        def __call__(self, **datum_kwargs):
            attempts.append(datum_kwargs)
            if len(attempts) == 3:
                write(dataset, 12)
            return super().__call__(**datum_kwargs)

    with event_model.Filler({"SRX_HDF5": Slow}, inplace=True) as fill:
        for document in run_of(path, "SRX_HDF5", frame_per_point=12):
            fill(*document)
    assert attempts == [{"point_number": 0}] * 3


def run_of(path, spec, frame_per_point):
    """Yield the documents of a run whose events are in one file."""
    start = event_model.compose_run()
    yield "start", start.start_doc
    resource = start.compose_resource(
        spec=spec,
        root=str(path.parent),
        resource_path=path.name,
        resource_kwargs={"frame_per_point": frame_per_point},
    )
    yield "resource", resource.resource_doc
    key = {"source": "", "dtype": "array", "external": "FILESTORE:"}
    shape = [frame_per_point, 8, 10]
    keys = {"det_image": {**key, "shape": shape, "dtype_numpy": "<u4"}}
    descriptor = start.compose_descriptor(name="primary", data_keys=keys)
    yield "descriptor", descriptor.descriptor_doc
    for number in range(12 // frame_per_point):
        datum = resource.compose_datum({"point_number": number})
        yield "datum", datum
        yield (
            "event",
            descriptor.compose_event(
                data={"det_image": datum["datum_id"]},
                timestamps={"det_image": 0.0},
                filled={"det_image": False},
            ),
        )
    yield "stop", start.compose_stop()


def test_databroker_finds_it_by_its_entry_point():
    found = importlib.metadata.entry_points(group="databroker.handlers")
    assert found["SRX_HDF5"].load() is SrxHDF5Handler
    assert {"SRX_HDF5"} == SrxHDF5Handler.specs


def test_the_entry_point_registers_the_filters_and_brings_no_bluesky(path):
    script = (
        "import importlib.metadata, sys, h5py\n"
        "entry = importlib.metadata.entry_points(group='databroker.handlers')\n"
        "entry['SRX_HDF5'].load()\n"
        f"print(h5py.File({str(path)!r})['{DATASET}'][11].sum())\n"
        "print(sorted({'ophyd', 'bluesky', 'httpx', 'srx_service'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == [str(FRAMES[11].sum()), "[]"]


def test_the_extra_brings_all_it_imports():
    assert {"dask", "h5py", "hdf5plugin", "numpy"} <= installed_with("databroker")
