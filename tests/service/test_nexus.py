"""Files of NXmx: what they have besides the plain layout, whatever the header says."""

import json
import shutil

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srx_service.messages import Start
from srx_service.nxmx import NxmxOptions
from srx_service.orders import Header
from srx_service.repair import repair
from srx_service.verify import verify
from tests import nxdl
from tests.service.test_nxmx import ODD, SAID, V1, V2
from tests.service.writing import (
    DATASET,
    GROUP,
    SHAPE,
    Desk,
    acquisition,
    image,
    images,
)

OPTIONS = NxmxOptions(goniometer={"omega": (-1.0, 0.0, 0.0)})
APPENDIX = json.dumps(SAID).encode()
MASK = np.arange(48, dtype=np.uint32).reshape(SHAPE)
SCAN = {"omega_start": 10.0, "omega_increment": 0.5}
TWO = ["threshold_1", "threshold_2"]
OMEGA = "/entry/sample/transformations/omega"


def start(header=V1 | SCAN, appendix=APPENDIX, **fields):
    tables = {"pixel_mask": MASK, "flatfield": np.ones(SHAPE, np.float32)}
    fields = {"tables": tables, "announced": 10, **fields}
    return Start(series=1, number=-1, metadata=header, appendix=appendix, **fields)


@pytest.fixture
def desk(tmp_path):
    with Desk(tmp_path, nexus=OPTIONS) as made:
        yield made


@pytest.fixture
def written(desk):
    """Write a series and open its file."""
    opened = []

    def write(*frames, header=None, file=None):
        made = desk.series(*frames or images(0, 1), start=header or start(), file=file)
        assert made.error is None
        opened.append(h5py.File(made.file))
        return opened[-1]

    yield write
    for file in opened:
        file.close()


def objects(file):
    found = []
    file.visititems(lambda name, _: found.append(name))
    return sorted(found)


def text(file, path):
    return file[path].asstr()[()]


# -- what is in it ---------------------------------------------------------------------


@pytest.mark.parametrize("header", [V1, V2, V1 | SCAN], ids=["v1", "v2", "scan"])
def test_a_file_conforms_to_the_definition_field_by_field(written, header):
    assert nxdl.problems(written(header=start(header))) == []


def test_the_comparison_finds_what_is_wrong(written, tmp_path):
    shutil.copy(written().filename, tmp_path / "b.h5")
    with h5py.File(tmp_path / "b.h5", "r+") as file:
        del file["entry/sample/name"], file["entry/instrument/beam"]
        file["entry/definition"][...] = "NXsas"
        del file[f"{GROUP}/distance"].attrs["units"]
        del file[f"{GROUP}/module/fast_pixel_direction"].attrs["vector"]
        del file[f"{GROUP}/sensor_thickness"]
        file[f"{GROUP}/sensor_thickness"] = "thin"
        assert nxdl.problems(file) == [
            "/entry/definition is 'NXsas', not one of ['NXmx']",
            "/entry/sample/name is missing",
            f"{GROUP}/module/fast_pixel_direction@vector is missing",
            f"{GROUP}/distance is in None, not in {nxdl.UNITS['NX_LENGTH']}",
            f"{GROUP}/sensor_thickness is object, not NX_FLOAT",
            f"{GROUP}/sensor_thickness is in None, not in {nxdl.UNITS['NX_LENGTH']}",
            "/entry/instrument/NXbeam is missing",
        ]


def test_the_plain_layout_is_in_it_but_for_the_header(written, tmp_path):
    (tmp_path / "other").mkdir()
    with Desk(tmp_path / "other") as plain:
        made = plain.series(*images(0, 1), start=start(), file=tmp_path / "plain.h5")
    inside = [f"{GROUP}/{key}"[1:] for key in start().metadata]
    with h5py.File(made.file) as file:
        expected = {name for name in objects(file) if name not in inside}
        assert "entry/definition" not in file
    nexus = written()
    assert expected <= set(objects(nexus))
    assert nexus[f"{GROUP}/header/photon_energy"][()] == 8000.0
    assert json.loads(text(nexus, f"{GROUP}/header_json")) == start().metadata


def test_fields_have_the_names_of_nexus(written):
    file = written()
    detector = file[GROUP]
    assert detector["distance"][()] == 0.2
    assert detector["serial_number"].asstr()[()] == "E-02-0153"
    assert detector["flatfield_applied"][()]
    assert detector["threshold_energy"][()] == 4000.0
    assert detector["underload_value"][()] == 0
    assert detector["bit_depth_image"][()] == 16
    assert np.array_equal(detector["pixel_mask"], MASK)
    assert file["entry/instrument/beam/incident_wavelength"][()] == 1.5498
    assert text(file, "entry/source/name") == "MAX IV"
    assert file["entry"].attrs["version"] == "1.0"


def test_pixels_of_16_bits_saturate_at_what_they_can_hold(written):
    assert written()[f"{GROUP}/saturation_value"][()] == 65534


def test_pixels_of_32_bits_saturate_where_the_detector_says(written):
    file = written(*images(0, dtype="uint32"))
    assert file[f"{GROUP}/saturation_value"][()] == 2943293


def test_a_pixel_under_the_beam_is_on_the_beam_at_the_detectors_distance(written):
    module = written()[f"{GROUP}/module"]
    fast, slow = (module[f"{way}_pixel_direction"] for way in ("fast", "slow"))
    offset = module["module_offset"]
    detector = module.file[offset.attrs["depends_on"]]
    assert fast.attrs["depends_on"] == slow.attrs["depends_on"] == offset.name
    hit = sum(
        axis[()] * times * axis.attrs["vector"]
        for axis, times in [(fast, 512.5), (slow, 0), (offset, 1), (detector, 1)]
    )
    assert np.allclose(hit, [0, 0, 0.2])


def test_an_image_that_was_turned_has_mask_module_and_directions_turned(written):
    turned = images(0, 1, shape=SHAPE[::-1])
    detector = written(*turned, header=start(rotate=1))[GROUP]
    assert np.array_equal(detector["pixel_mask"], np.rot90(MASK))
    assert detector["module/data_size"][:].tolist() == [8, 6]
    assert detector["module/fast_pixel_direction"].attrs["vector"].tolist() == [
        0,
        -1,
        0,
    ]
    assert detector["x_pixel_size"][()] == 7.4e-05
    assert detector["beam_center_y"][()] == 8 - 512.5


def test_channels_have_thresholds_and_masks_of_their_own(written):
    tables = {f"pixel_mask_{name}": MASK + k for k, name in enumerate(TWO)}
    frames = images(0, 1, shape=(2, *SHAPE), parts=2, extras={"channels": TWO})
    file = written(*frames, header=start(V2, tables=tables))
    assert nxdl.problems(file) == []
    for k, name in enumerate(TWO):
        channel = file[f"{GROUP}/{name}_channel"]
        assert channel["threshold_energy"][()] == [4000.0, 6000.0][k]
        assert np.array_equal(channel["pixel_mask"], MASK + k)
    data = file["entry/data"]
    assert [*data.attrs["axes"]] == [".", "channel", ".", "."]
    assert [*data["channel"].asstr()] == TWO
    assert file[f"{GROUP}/module/data_size"][:].tolist() == list(SHAPE)


def test_who_armed_goes_before_the_header_and_that_before_the_configuration(tmp_path):
    options = NxmxOptions(instrument_name="site", source_name="site")
    appendix = b'{"sample_name": "a", "instrument_name": "header"}'
    metadata = {"sample_name": "client", "beamline": {"hutch": {"no": 2}}}
    with Desk(tmp_path, nexus=options) as desk:
        request = acquisition(desk.file, metadata=metadata)
        made = desk.begin(request, start(appendix=appendix))
        desk.write(made, *images(0))
        desk.end(made)
        with h5py.File(desk.file) as file:
            names = [f"entry/{k}/name" for k in ("sample", "instrument", "source")]
            assert [text(file, name) for name in names] == ["client", "header", "site"]
            nested = file["entry/acquisition/metadata/beamline/hutch"]
            assert nested.attrs["NX_class"] == "NXcollection"


def test_names_may_have_a_short_form(written):
    said = {**SAID, "source_name_short": "SLS", "total_flux": 1e12}
    file = written(header=start(appendix=json.dumps(said).encode()))
    assert file["entry/source/name"].attrs["short_name"] == "SLS"
    assert file["entry/instrument/beam/total_flux"][()] == 1e12


# -- what nobody said ------------------------------------------------------------------


def test_what_is_missing_is_told_and_the_frames_are_written(desk, caplog):
    header = {"count_time": 0.5, "sensor_material": "Si"}
    made = desk.series(*images(0, 1), start=start(header, b""))
    assert made.state == "done"
    assert made.note.startswith(
        "this file lacks what NXmx needs: sample/name (sample_n"
    )
    assert "sensor_material" not in made.note
    assert made.note in caplog.text
    with h5py.File(desk.file) as file:
        assert len(file[DATASET]) == 2
        assert "sensor_thickness" not in file[GROUP]


def test_a_header_that_says_nothing_makes_a_file_all_the_same(written):
    file = written(header=Start())
    assert file["entry/definition"].asstr()[()] == "NXmx"
    assert len(file["entry/data/data"]) == 2


def test_nothing_is_noted_where_all_is_known(desk):
    assert desk.series(*images(0), start=start()).note is None


def test_a_detector_arm_whose_direction_nobody_knows_is_told(desk, tmp_path):
    header = start(V1 | {"two_theta_start": 5.0})
    note = desk.series(*images(0), start=header).note
    assert note.endswith("the direction of two_theta (goniometer)")
    arm = {"two_theta": (-1.0, 0.0, 0.0)}
    (tmp_path / "other").mkdir()
    with Desk(tmp_path / "other", nexus=NxmxOptions(goniometer=arm)) as other:
        made = other.series(*images(0), start=header)
        assert made.note is None
        with h5py.File(made.file) as file:
            translation = file[f"{GROUP}/transformations/translation"]
            axis = file[translation.attrs["depends_on"]]
            assert (axis[()], axis.attrs["units"]) == (5.0, "degree")
            assert nxdl.problems(file) == []


@settings(max_examples=30, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    header=st.fixed_dictionaries({}, optional=dict.fromkeys([*V1, *V2, *SCAN], ODD)),
    said=st.dictionaries(st.sampled_from([*SAID, "total_flux"]), ODD),
    channels=st.none() | st.lists(st.text(), min_size=2, max_size=2, unique=True),
    turns=st.integers(0, 3),
)
def test_no_header_makes_an_acquisition_fail(tmp_path, header, said, channels, turns):
    shape = SHAPE if channels is None else (2, *SHAPE)
    extras = {} if channels is None else {"channels": channels}
    appendix = json.dumps(said).encode("utf-8", "replace")
    with Desk(tmp_path, nexus=OPTIONS) as desk:
        desk.file.unlink(missing_ok=True)
        first = start(header, appendix, rotate=turns)
        made = desk.series(*images(0, 1, shape=shape, extras=extras), start=first)
    assert made.error is None
    assert made.state == "done"


# -- what grows ------------------------------------------------------------------------


def test_the_axes_stand_where_each_frame_began_and_ended(written):
    file = written(*images(0, 1, 4))
    assert file[OMEGA][:].tolist() == [10.0, 10.5, 12.0]
    assert file[f"{OMEGA}_end"][:].tolist() == [10.5, 11.0, 12.5]
    assert text(file, "entry/sample/depends_on") == OMEGA
    assert file[OMEGA].attrs["vector"].tolist() == [-1, 0, 0]
    assert file[OMEGA].attrs["depends_on"] == "."


def test_axes_stand_on_one_another_in_the_order_of_the_configuration(tmp_path):
    axes = dict.fromkeys(("phi", "kappa", "omega"), (1.0, 0.0, 0.0))
    header = start(V1 | SCAN | {"phi_start": 1.0})
    with Desk(tmp_path, nexus=NxmxOptions(goniometer=axes)) as desk:
        desk.series(*images(0), start=header)
    with h5py.File(desk.file) as file:
        chain = file["entry/sample/transformations"]
        assert text(file, "entry/sample/depends_on") == f"{chain.name}/phi"
        assert chain["phi"].attrs["depends_on"] == OMEGA
        assert "kappa" not in chain


def test_holes_rewinds_and_further_series_keep_the_angles_right(desk):
    made = desk.begin(acquisition(desk.file, series=3), start())
    desk.lose(made, 1)
    desk.write(made, *images(1, 2))
    desk.lose(made, 2)
    desk.write(made, *images(5, 6))
    desk.flush()
    desk.rewind(made, 6)
    again = start(V1 | {"omega_start": 90.0, "omega_increment": 1.0})
    desk.do(Header(made, again, made.rows_given))
    desk.write(made, *images(0, 1))
    assert desk.end(made).error is None
    with h5py.File(desk.file) as file:
        first = [10.0, 10.5, 11.0, 11.5, 12.0, 12.5]
        assert file[OMEGA][:].tolist() == [*first, 90.0, 91.0]


def test_every_object_is_made_before_swmr_begins(desk):
    made = desk.begin(acquisition(desk.file, series=2), start())
    desk.write(made, image(0))
    desk.flush()
    with h5py.File(desk.file, swmr=True) as reader:
        at_start = objects(reader)
    desk.lose(made, 2)
    desk.do(Header(made, start(V2), made.rows_given))
    desk.write(made, *images(0, 1))
    desk.end(made)
    with h5py.File(desk.file) as file:
        assert objects(file) == at_start


def test_the_end_is_that_of_the_last_frame_at_each_flush(desk):
    made = desk.begin(None, start())
    ends = []
    for frame, arrival_s in enumerate((1e9, 1e9 + 0.25, 1e9 + 61)):
        desk.write(made, image(frame), arrival_s=arrival_s)
        desk.flush()
        with h5py.File(desk.file, swmr=True) as reader:
            ends.append(text(reader, "entry/end_time"))
            assert text(reader, "entry/start_time") == "2001-09-09T01:46:39.500Z"
            assert (
                text(reader, "entry/end_time_estimated") == "2001-09-09T01:46:45.500Z"
            )
    assert [end[14:] for end in ends] == ["46:40.000Z", "46:40.250Z", "47:41.000Z"]


def test_a_file_of_nxmx_that_is_appended_to_stays_one(desk, tmp_path):
    desk.series(*images(0, 1), start=start())
    desk.close()
    (tmp_path / "other").mkdir()
    with Desk(tmp_path / "other") as plain:  # whatever is configured now
        made = plain.begin(acquisition(desk.file), start(V1 | {"omega_start": 50.0}))
        plain.write(made, *images(0, 1), arrival_s=1e9)
        assert plain.end(made).error is None
    with h5py.File(desk.file) as file:
        assert file[OMEGA][:].tolist() == [10.0, 10.5, 50.0, 50.0]
        assert text(file, "entry/end_time") == "2001-09-09T01:46:40.000Z"
    assert verify(desk.file).found.problems == []


def test_a_plain_file_that_is_appended_to_stays_plain(desk, tmp_path):
    (tmp_path / "other").mkdir()
    with Desk(tmp_path / "other") as plain:
        plain.series(*images(0, 1), start=start(), file=desk.file)
    assert desk.series(*images(0, 1), start=start()).error is None
    with h5py.File(desk.file) as file:
        assert len(file[DATASET]) == 4
        assert "definition" not in file["entry"]


def test_a_file_that_a_kill_left_is_one_of_nxmx_after_its_repair(desk, tmp_path):
    made = desk.begin(None, start())
    desk.write(made, *images(0, 1, 2), arrival_s=1e9)
    desk.flush()
    left = tmp_path / "left.h5"
    shutil.copy(desk.file, left)
    repair(left, durable_rows=2)
    with h5py.File(left) as file:
        assert nxdl.problems(file) == []
        assert file[OMEGA][:].tolist() == [10.0, 10.5]
        assert file[f"{OMEGA}_end"].shape == (2,)
    assert verify(left).found.problems == []
