"""What frames take, how fast the room goes, and who is warned."""

import logging
from pathlib import Path

import pytest

from srx_service.forecast import SIZES_KEPT, Forecast, FrameSize, amount
from srx_service.mounts import Room
from tests.service.writing import acquisition

FOLDER = Path("/data")
MIB = 1 << 20
SHAPE = (512, 1024)
PLAIN = MIB


def made(written=0, dtype="uint16", **request):
    one = acquisition(Path("/data/a.h5"), **request)
    one.shape, one.dtype = SHAPE, dtype
    one.counts.written = one.places_given = written
    return one


def room(free_bytes, mount="/"):
    return Room(FOLDER, Path(mount), free_bytes)


@pytest.mark.parametrize(
    ("nbytes", "text"),
    [
        (0, "0 bytes"),
        (1000, "1000 bytes"),
        (1024, "1.0 KiB"),
        (1536 * MIB, "1.5 GiB"),
        (1 << 50, "1024.0 TiB"),
        (MIB - 1, "1.0 MiB"),
    ],
)
def test_sizes_are_told_in_units(nbytes, text):
    assert amount(nbytes) == text


# -- what frames take ------------------------------------------------------------------


def test_frames_take_what_those_of_the_last_file_took():
    forecast = Forecast()
    forecast.learn(made(10), 10 * PLAIN // 4)
    assert forecast.size_of(SHAPE, "uint16") == FrameSize(PLAIN / 4, is_measured=True)
    forecast.learn(made(10), 10 * PLAIN // 8)
    assert forecast.size_of(SHAPE, "uint16") == FrameSize(PLAIN / 8, is_measured=True)


def test_frames_not_seen_before_take_their_pixels():
    forecast = Forecast()
    assert forecast.size_of(SHAPE, "uint16") == FrameSize(PLAIN, is_measured=False)
    forecast.learn(made(10), PLAIN)
    assert forecast.size_of(SHAPE, "uint8") == FrameSize(PLAIN / 2, is_measured=False)


def test_what_a_file_has_besides_frames_is_not_theirs():
    forecast = Forecast()
    forecast.learn(made(1), 5 * PLAIN)
    assert forecast.size_of(SHAPE, "uint16") == FrameSize(PLAIN, is_measured=True)


@pytest.mark.parametrize(
    ("shape", "dtype"), [(None, "u2"), (SHAPE, None), (SHAPE, "mono12p")]
)
def test_what_is_not_known_is_not_guessed(shape, dtype):
    assert Forecast().size_of(shape, dtype) is None


@pytest.mark.parametrize(("written", "grown"), [(0, PLAIN), (3, 0)])
def test_a_file_without_frames_teaches_nothing(written, grown):
    forecast = Forecast()
    forecast.learn(made(written), grown)
    assert forecast.size_of(SHAPE, "uint16") == FrameSize(PLAIN, is_measured=False)


def test_shapes_that_come_and_go_are_not_kept_for_ever():
    forecast = Forecast()
    for size in range(1, 2 * SIZES_KEPT):
        one = made(1)
        one.shape = (size, size)
        forecast.learn(one, 1)
    assert len(forecast._sizes) == SIZES_KEPT
    assert forecast.size_of((1, 1), "uint16") == FrameSize(2, is_measured=False)


# -- how fast it goes ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("free", "written", "rate"),
    [
        ((100, 90), (0, 10), 5),
        ((100, 60), (0, 10), 20),  # others write, too
        ((100, 100), (0, 10), 5),  # the file system has not noticed yet
        ((100, 300), (0, 0), 0),  # somebody removes
    ],
)
def test_the_rate_is_what_is_written_by_whom_ever(free, written, rate):
    forecast = Forecast()
    for k in (0, 1):
        forecast.saw(10.0 + 2 * k, room(free[k]), written[k])
    assert forecast.rate == rate


def test_another_disk_begins_anew():
    forecast = Forecast()
    forecast.saw(0.0, room(1000), 0)
    forecast.saw(1.0, room(10, mount="/mnt"), 0)
    assert forecast.rate == 0


# -- who is warned ---------------------------------------------------------------------


@pytest.mark.parametrize("busy", [True, False])
def test_a_disk_full_to_its_limit_is_told(busy):
    text = Forecast().warning(FOLDER, 0, made() if busy else None)
    assert (
        text
        == "/data: the disk is full (keep_free stays free): nothing more is written"
    )


def test_frames_that_will_not_fit_are_told_before_they_come():
    text = Forecast().warning(FOLDER, 5 * PLAIN, made(3, expected=10))
    assert text == "/data: 7 more frames are expected, 5 fit in the 5.0 MiB left"


def test_frames_that_fit_are_no_matter_however_fast_they_come():
    forecast = Forecast()
    forecast.saw(0.0, room(100 * MIB), 0)
    forecast.saw(1.0, room(50 * MIB), 50 * MIB)
    assert forecast.warning(FOLDER, 50 * MIB, made(3, expected=10)) is None


def test_nobody_knows_how_many_come_so_the_rate_tells():
    forecast = Forecast()
    forecast.saw(0.0, room(150 * MIB), 0)
    forecast.saw(1.0, room(100 * MIB), 50 * MIB)
    text = forecast.warning(FOLDER, 100 * MIB, made(3))
    assert text == "/data: 100.0 MiB left, full in 2 s at 50.0 MiB a second"
    assert forecast.warning(FOLDER, 100_000 * MIB, made(3)) is None
    assert forecast.warning(FOLDER, 100 * MIB, None) is None


def test_a_warning_is_logged_once_an_acquisition(caplog):
    caplog.set_level(logging.WARNING)
    forecast, first, second = Forecast(), made(), made()
    for one in (first, first, second, second):
        forecast.warning(FOLDER, 0, one)
    assert len(caplog.records) == 2
