"""Who may arm, and for how many frames, with the disk there is."""

import asyncio
import threading

import pytest

from srx_service import admission
from srx_service.acquisitions import ArmRequest
from srx_service.admission import Admission
from srx_service.errors import RequestError
from srx_service.space import Space
from tests.service.disks import BLOCK, MIB, Disk
from tests.service.writing import acquisition

KEEP = 10 * MIB
SHAPE = (512, 1024)
"""A MiB of uint16."""


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def space(disk, tmp_path):
    space = Space(KEEP, tmp_path)
    thread = threading.Thread(target=space.run, daemon=True)
    thread.start()
    yield space
    space.stop()
    thread.join(30.0)


@pytest.fixture
def guard(space, tmp_path):
    return Admission(space, tmp_path)


def arm(guard, path, **request):
    given = {"shape": SHAPE, "dtype": "uint16"} | request
    asyncio.run(guard.must_fit(ArmRequest(file=str(path), **given)))


def refusal(guard, path, **request):
    with pytest.raises(RequestError) as raised:
        arm(guard, path, **request)
    assert raised.value.status == 507
    return str(raised.value)


def test_what_fits_is_let_in(guard, disk, tmp_path):
    disk.free_bytes = KEEP + 5 * MIB
    arm(guard, tmp_path / "a/b.h5", expected=5)
    arm(guard, tmp_path / "a/b.h5")


def test_more_frames_than_fit_are_refused_with_the_figures(guard, disk, tmp_path):
    disk.free_bytes = KEEP + 5 * MIB
    assert refusal(guard, tmp_path / "a.h5", expected=6) == (
        f"{tmp_path} has 15.0 MiB free, of which 10.0 MiB stay free (keep_free); 6 "
        "frames take 6.0 MiB (uncompressed), what they take compressed is known after a"
        " first, shorter one: 5 fit; free space, or ask for less"
    )


def test_frames_count_as_the_last_ones_were(guard, space, disk, tmp_path):
    disk.free_bytes = KEEP + 5 * MIB
    last = acquisition(tmp_path / "a.h5")
    last.shape, last.dtype, last.counts.written = SHAPE, "uint16", 10
    space.forecast.learn(last, MIB)
    arm(guard, tmp_path / "b.h5", expected=50)
    text = refusal(guard, tmp_path / "b.h5", expected=51)
    assert "take 5.1 MiB (each as the last ones): 50 fit" in text


def test_a_full_disk_lets_nobody_in(guard, disk, tmp_path):
    disk.free_bytes = KEEP
    assert "free space first" in refusal(guard, tmp_path / "a.h5")


@pytest.mark.parametrize("unknown", [{"shape": None}, {"dtype": None}])
def test_frames_of_a_size_nobody_knows_are_let_in(guard, disk, tmp_path, unknown):
    disk.free_bytes = KEEP + BLOCK
    arm(guard, tmp_path / "a.h5", expected=1000, **unknown)


@pytest.mark.parametrize("name", ["relative.h5", "/elsewhere/a.h5", "/a\0b"])
def test_names_that_may_not_be_are_for_others_to_refuse(guard, disk, name):
    disk.free_bytes = 0
    arm(guard, name)
    assert not any(str(path).startswith("/elsewhere") for path in disk.asked)


def test_live_view_needs_no_room(guard, disk):
    disk.free_bytes = 0
    asyncio.run(guard.must_fit(ArmRequest()))


def test_without_a_limit_everybody_is_let_in(disk, tmp_path):
    disk.free_bytes = 0
    guard = Admission(Space(None), tmp_path)
    arm(guard, tmp_path / "a.h5", expected=1000)
    guard.must_hold(acquisition(tmp_path / "a.h5", shape=SHAPE, dtype="u2"), 1000)


def test_a_disk_that_cannot_be_looked_at_is_told(guard, disk, tmp_path):
    disk.error = PermissionError(13, "Permission denied")
    assert "cannot be looked at: Permission denied" in refusal(guard, tmp_path / "a.h5")


def test_a_disk_that_hangs_holds_nobody(guard, space, tmp_path, monkeypatch):
    gate, begun = threading.Event(), threading.Event()

    def hang():
        begun.set()
        assert gate.wait(60.0)

    monkeypatch.setattr(admission, "PATIENCE_S", 0.05)
    space.ask(hang)
    assert begun.wait(30.0)
    assert "gave no answer within 0.05 s" in refusal(guard, tmp_path / "a.h5")
    gate.set()


# -- frames that are asked for later ---------------------------------------------------


@pytest.fixture
def made(guard, space, disk, tmp_path):
    disk.free_bytes = KEEP + 5 * MIB
    arm(guard, tmp_path / "a.h5")
    space.ask(space._look).result(30.0)
    one = acquisition(tmp_path / "a.h5", shape=SHAPE, dtype="uint16")
    one.expected, one.places_given = 3, 3
    return one


def test_more_frames_may_be_expected_while_they_fit(guard, made):
    guard.must_hold(made, 8)
    with pytest.raises(RequestError, match=r"6 frames take 6\.0 MiB") as raised:
        guard.must_hold(made, 9)
    assert raised.value.status == 507


def test_fewer_frames_may_always_be_expected(guard, made):
    made.expected = 1000
    guard.must_hold(made, 900)
    guard.must_hold(made, None)


def test_without_a_file_any_number_may_be_expected(guard, made):
    made.file = None
    guard.must_hold(made, 1000)
