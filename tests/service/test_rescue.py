from pathlib import Path

import pytest

from srx_service.messages import End, Start
from srx_service.rescue import Rescue, rescued_name
from tests.service.line import ROOT, Line, image, images, rejected


@pytest.fixture
def rescue(tmp_path):
    return Rescue(tmp_path / "a.h5", "abc", "counter")


def test_the_first_image_gets_a_start_in_front(rescue, tmp_path):
    passed = rescue.begin(images(7, 8, series=3))
    start = passed[0]
    assert passed == [start, *images(7, 8, series=3)]
    assert (start.series, start.number) == (3, 6)
    assert start.filename == str(tmp_path / "a_rescued_1.h5")
    assert start.metadata["rescued_acquisition"] == "abc"
    assert rescue.is_over


def test_what_has_no_pixels_or_no_number_is_not_the_first(rescue):
    before = [rejected(5), image(None, 6)]
    passed = rescue.begin([*before, image(7)])
    assert passed[:2] == before
    assert isinstance(passed[2], Start)


@pytest.mark.parametrize("message", [Start(number=4), End(number=4)])
def test_a_start_or_an_end_leaves_nothing_to_rescue(rescue, message):
    messages = [message, image(5)]
    assert rescue.begin(messages) == messages
    assert rescue.is_over


def test_nothing_is_rescued_of_nothing(rescue):
    assert rescue.begin([]) == []
    assert not rescue.is_over


def test_the_name_is_the_first_that_is_free(tmp_path):
    (tmp_path / "a_rescued_1.h5").touch()
    assert rescued_name(tmp_path / "a.h5") == tmp_path / "a_rescued_2.h5"
    assert rescued_name(Path("/x/a.b.nxs")).name == "a.b_rescued_1.nxs"


def test_the_rest_of_a_series_of_a_counter_is_written(line):
    rescue = Rescue(ROOT / "a.h5", "abc", "counter")
    passed = line.ordering.push([*images(7, 8, 10), End(number=11)], 0.0, True)
    orders = line.router.route(rescue.begin(passed), 0.0, 0.0)
    line.writer.carry_out(orders)
    assert line.newest.file == str(ROOT / "a_rescued_1.h5")
    assert (line.frames(), line.newest.state) == ([7, 8, None, 10], "done")


def test_the_rest_of_a_dectris_series_is_written_from_its_first_image_on(dectris):
    number = 3_000_000  # further than any gap may be
    start = Start(series=3, number=number - 1, filename="a_rescued_1.h5")
    dectris.push(start, *images(number, number + 1, number + 3, series=3))
    dectris.push(End(series=3))
    assert dectris.frames() == [number, number + 1, None, number + 3]
    assert dectris.newest.state == "done"


def test_on_several_connections_what_overtook_the_first_is_written_too():
    several = Line("series", connections=2)
    start = Start(series=3, number=9, filename="a_rescued_1.h5")
    several.push(start, *images(10, 12, series=3))
    several.push(*images(8, 9, 11, series=3))
    several.wait(3.0)
    assert several.frames() == [8, 9, 10, 11, 12]
