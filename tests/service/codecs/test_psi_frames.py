import msgspec
import pytest

from srx_service.codecs import psi_frames
from srx_service.codecs.psi_frames import Frames, Header, Part
from srx_service.errors import ProtocolError

HEADER = Header(
    frame_index=0,
    frame_number=1,
    bitmode=8,
    detshape=(1, 2),
    shape=(2, 2),
    size=4,
    row=0,
    column=0,
    fname="run",
)


def part(row, index=0, **changes):
    fields = {"row": row, "frame_index": index, "frame_number": index + 1, **changes}
    return Part(msgspec.structs.replace(HEADER, **fields), {}, bytes(4), 104)


def taken(frames):
    """Return frameNumber and rows of what is complete; None for the end of a series."""
    found = [frame for _, frame in frames.take()]
    return [
        frame and (frame[0].header.frame_number, [p.header.row for p in frame])
        for frame in found
    ]


def test_a_frame_is_complete_when_all_its_ports_are_there():
    frames = Frames()
    frames.add(part(1), 1)
    assert taken(frames) == []
    frames.add(part(0), 0)
    assert taken(frames) == [(1, [0, 1])]
    assert taken(frames) == []


def test_a_series_is_over_when_all_have_left():
    frames = Frames()
    frames.add(part(0), 0)
    frames.leave(0)
    frames.leave(0)
    assert taken(frames) == []
    frames.add(part(1), 1)
    frames.leave(1)
    assert taken(frames) == [(1, [0, 1]), None]


def test_a_series_gives_way_to_one_whose_frame_is_complete():
    frames = Frames()
    frames.add(part(0, detshape=(1, 9), file_index=1), 0)
    for row in (0, 1):
        frames.add(part(row, file_index=2), row)
    assert taken(frames) == [None, (1, [0, 1])]


def test_a_part_that_fits_no_frame_begins_a_series_and_is_told():
    frames = Frames()
    frames.add(part(0), 0)
    problem = frames.add(part(0), 1)
    assert problem is not None
    assert problem.kind == "duplicate frame"
    assert taken(frames) == []


def test_of_parts_that_differ_the_later_one_is_kept():
    frames = Frames()
    for row in (0, 1):
        frames.add(part(row), row)
    assert taken(frames) == [(1, [0, 1])]
    frames.add(part(0, 1, bitmode=4), 0)
    with pytest.raises(ProtocolError, match="ports differ"):
        frames.add(part(1, 1), 1)
    for row in (0, 1):
        frames.add(part(row, 2), row)
    assert taken(frames) == [(3, [0, 1])]


@pytest.mark.parametrize(
    ("name", "limit"), [("WINDOW_FRAMES", 10), ("WINDOW_BYTES", 1040)]
)
def test_a_window_is_never_much_fuller(monkeypatch, name, limit):
    monkeypatch.setattr(psi_frames, name, limit)
    frames = Frames()
    for k in range(100):
        frames.add(part(0, k % 7, file_index=k // 7, timestamp=k), 0)
        if k % 7 == 6:
            frames.leave(0)
        taken(frames)
        acquisitions = frames._acquisitions
        # one more while an empty acquisition gives way
        assert sum(len(each.waiting) for each in acquisitions) <= 11
        assert sum(each.size_bytes for each in acquisitions) <= 11 * 104
        assert len(acquisitions) <= 12


def test_conflicts_do_not_open_the_window(monkeypatch):
    monkeypatch.setattr(psi_frames, "WINDOW_FRAMES", 10)
    frames = Frames()
    for k in range(100):
        frames.add(part(0, timestamp=k), k % 2)
        taken(frames)
        assert sum(len(each.waiting) for each in frames._acquisitions) <= 11


def test_what_completes_a_frame_is_not_dropped_for_room(monkeypatch):
    monkeypatch.setattr(psi_frames, "WINDOW_BYTES", 3 * 104)
    frames = Frames()
    for k in range(3):
        frames.add(part(0, k), 0)
    assert frames.add(part(1), 1) is None
    assert taken(frames) == [(1, [0, 1])]
