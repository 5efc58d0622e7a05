import pytest

from srx_service.messages import End, Image, Message, Start
from srx_service.ordering import Limits, SeriesOrdering
from srx_service.ordering.series import WAITING_KEPT
from tests.service.line import dectris_start, image, images, rejected

LIMITS = Limits(gap_timeout_s=2.0, end_grace_s=0.2, limit_bytes=1 << 20, max_gap=1000)


class Source:
    """Pushes messages and lets time pass."""

    def __init__(self, connections: int = 1, **limits) -> None:
        self.ordering = SeriesOrdering(
            LIMITS._replace(**limits), connections=connections
        )
        self.now_s = 0.0

    def push(self, *messages, drained: bool = True) -> str:
        """Return what passes, "S4 0 1 E4": a Start, frames, an End."""
        passed = self.ordering.push(messages, self.now_s, drained)
        return " ".join(map(short, passed))

    def wait(self, seconds: float, drained: bool = True) -> str:
        self.now_s += seconds
        return self.push(drained=drained)

    def strays(self) -> list[tuple[str, str]]:
        return [(kind, short(image)) for kind, image, _ in self.ordering.take_strays()]


def short(message: Message) -> str:
    match message:
        case Image():
            return str(message.number)
        case Start():
            return f"S{message.series}"
        case End():
            return f"E{message.series}"


def start(series: int = 1, **fields) -> Start:
    return dectris_start(series, **fields)


def frames(*numbers: int, of: int = 1) -> list[Image]:
    return images(*numbers, series=of)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def several() -> Source:
    return Source(connections=4)


def test_passes_what_is_in_order_at_once(source):
    assert source.push(start(), *frames(0, 1), End(series=1)) == "S1 0 1 E1"
    assert not source.ordering.is_waiting


def test_a_gap_waits_for_its_time(source):
    assert source.push(start(), *frames(1, 2)) == "S1"
    assert source.wait(1.9) == ""
    assert source.wait(0.1) == "1 2"


def test_a_gap_does_not_wait_while_the_sockets_hold_more(source):
    source.push(start(), *frames(1))
    assert source.wait(100.0, drained=False) == ""
    assert source.wait(2.0) == "1"


def test_without_a_gap_timeout_nothing_waits():
    source = Source(gap_timeout_s=0.0)
    assert source.push(start(), *frames(1, 3), drained=False) == "S1 1 3"


def test_the_oldest_gap_is_given_up_when_full():
    source = Source(limit_bytes=4096)
    source.push(start(), drained=False)
    assert source.push(*frames(1, 3, 5), drained=False) == ""
    assert source.push(*frames(7), drained=False) == "1"


def test_one_that_comes_after_its_gap_was_given_up_is_late(source):
    source.push(start(), *frames(1))
    source.wait(2.0)
    assert source.push(*frames(0, 1)) == ""
    assert source.strays() == [("late", "0"), ("duplicate", "1")]


def test_each_frame_that_never_comes_is_lost(source):
    source.push(start(), *frames(1, 3))
    assert source.ordering.lost == 0
    source.wait(2.0)
    source.push(start(2), *frames(1, of=2), End(series=2))
    assert source.ordering.lost == 3


def test_a_rejected_frame_keeps_its_place(source):
    assert source.push(start(), rejected(0, series=1), *frames(1)) == "S1 0 1"


def test_a_huge_jump_is_not_believed(source):
    assert source.push(start(), *frames(1001, 0)) == "S1 0"
    assert source.strays() == [("rejected", "1001")]


def test_a_huge_frame_ahead_of_its_start_is_not_believed(several):
    several.push(*frames(1001))
    assert several.push(start(), *frames(0)) == "S1 0"
    assert several.strays() == [("rejected", "1001")]


def test_an_image_without_a_number_has_no_place(source):
    assert source.push(start(), image(None, series=1)) == "S1"
    assert source.strays() == [("rejected", "None")]


def test_the_end_of_one_connection_is_final(source):
    assert source.push(start(), *frames(0, 2), End(series=1)) == "S1 0 2 E1"
    assert source.push(*frames(3)) == ""
    assert source.strays() == [("stale", "3")]


def test_an_end_seen_twice_is_harmless(source):
    source.push(start(), End(series=1), End(series=1))
    assert source.push(start(2), End(series=1), *frames(0, of=2)) == "S2 0"


def test_images_of_another_series_are_stale_or_orphans(source):
    source.push(start(1), End(series=1), start(2))
    assert source.push(*frames(0, of=1), *frames(0, of=7), *frames(0, of=2)) == "0"
    assert source.strays() == [("stale", "0"), ("orphan", "0")]


def test_a_start_ends_a_series_without_an_end(source):
    assert source.push(start(1), *frames(0, 2)) == "S1 0"
    assert source.push(start(2), *frames(0, of=2)) == "2 S2 0"


def test_the_same_id_opens_another_series(source):
    assert source.push(start(), *frames(0, 1)) == "S1 0 1"
    assert source.push(start(), *frames(0, 1), End(series=1)) == "S1 0 1 E1"
    assert source.push(start(), *frames(0)) == "S1 0"


def test_the_same_id_opens_another_series_on_several_connections(several):
    assert several.push(start(), *frames(0, 1)) == "S1 0 1"
    assert several.push(start(), *frames(0, 1)) == "S1 0 1"
    assert several.strays() == []


def test_a_second_header_counts_when_the_first_had_no_images(several):
    several.push(start(filename="a.h5"))
    again = start(filename="b.h5")
    assert several.ordering.push([again], 0.0, True) == [again]


def test_images_ahead_of_a_start_with_the_same_id_are_of_the_new_series(several):
    several.push(start(), *frames(0, 1))
    assert several.push(*frames(1, 0)) == ""
    assert several.push(start(), *frames(2)) == "S1 0 1 2"
    assert several.strays() == []


def test_a_frame_seen_twice_is_a_duplicate_after_the_gap_timeout(several):
    several.push(start(), *frames(0, 1, 0))
    assert several.strays() == []
    several.wait(2.0)
    assert several.strays() == [("duplicate", "0")]


def test_what_is_below_is_turned_away_with_its_series(several):
    several.push(start(announced=2), *frames(0, 0, 1))
    assert several.push(End(series=1)) == "E1"
    assert several.strays() == [("duplicate", "0")]


def test_a_series_that_is_over_may_come_again(several):
    several.push(start(), *frames(0), End(series=1))
    several.wait(0.2)
    assert several.push(*frames(1, 0), End(series=1), start()) == "S1 0 1"
    assert several.wait(0.2) == "E1"


def test_images_ahead_of_their_start_are_kept(several):
    assert several.push(*frames(1, 0)) == ""
    assert several.wait(1.9) == ""
    assert several.push(start()) == "S1 0 1"


def test_images_without_a_start_are_orphans_after_the_gap_timeout(several):
    several.push(*frames(0))
    several.wait(2.0)
    assert several.strays() == [("orphan", "0")]
    assert not several.ordering.is_waiting


def test_an_end_is_final_when_nothing_came_for_a_while(several):
    several.push(start(), End(series=1))
    assert several.push(*frames(0)) == "0"
    assert several.wait(0.1) == ""
    assert several.wait(0.1) == "E1"


def test_an_end_is_not_final_while_the_sockets_hold_more(several):
    several.push(start(), End(series=1))
    assert several.wait(10.0, drained=False) == ""
    assert several.push(*frames(0)) == "0"


def test_an_end_waits_for_a_gap_at_most_the_gap_timeout(several):
    several.push(start(), *frames(1), End(series=1))
    assert several.wait(1.9) == ""
    assert several.wait(0.1) == "1 E1"


def test_gaps_seen_after_the_end_do_not_prolong_it(several):
    several.push(start(), End(series=1))
    several.wait(0.1)
    several.push(*frames(1))
    assert several.wait(1.9) == "1 E1"


def test_an_end_is_final_once_all_that_was_announced_has_come(several):
    several.push(start(announced=2), End(series=1))
    assert several.push(*frames(1)) == ""
    assert several.push(*frames(0)) == "0 1 E1"


def test_an_end_ahead_of_its_start_is_kept(several):
    several.push(End(series=1))
    assert several.push(start(announced=0)) == "S1 E1"


def test_images_that_come_after_the_last_grace_are_stale(several):
    several.push(start(), End(series=1))
    several.wait(0.2)
    several.push(*frames(0))
    several.wait(2.0)
    assert several.strays() == [("stale", "0")]


def test_the_next_series_waits_until_the_open_one_is_over(several):
    several.push(start(1), *frames(0))
    assert several.push(start(2), *frames(0, of=2), *frames(1)) == "1"
    assert several.wait(0.2) == "S2 0"


def test_series_that_come_close_open_by_their_ids(several):
    several.push(start(1))
    several.push(start(3), End(series=3), start(2), End(series=2))
    passed = [several.wait(0.2) for _ in range(4)]
    assert passed == ["S2", "E2 S3", "E3", ""]


def test_the_next_series_waits_for_a_gap_at_most_the_gap_timeout(several):
    several.push(start(1), *frames(1))
    several.push(start(2))
    assert several.wait(1.9) == ""
    assert several.wait(0.1) == "1 S2"


def test_a_start_that_waits_gets_its_turn_when_full():
    source = Source(connections=2, limit_bytes=4096)
    source.push(start(1), *frames(0), start(2), drained=False)
    assert source.push(*frames(0, 1, 2, 3, of=2), drained=False) == "S2 0 1 2 3"


def test_series_without_a_start_are_bounded_together():
    source = Source(connections=2, limit_bytes=4096)
    for series in range(8):
        source.push(*frames(0, of=series), drained=False)
    assert source.ordering.held_bytes <= 4096
    assert source.strays() == [("orphan", "0")] * 5


def test_the_series_that_wait_are_bounded_in_number():
    source = Source(connections=2)
    for series in range(WAITING_KEPT + 10):
        source.push(End(series=series), drained=False)
    assert len(source.ordering._waiting) == WAITING_KEPT


def test_what_is_below_is_bounded():
    source = Source(connections=2, limit_bytes=4096)
    source.push(start(), *frames(*range(10)))
    source.push(*frames(*range(5)), drained=False)
    assert source.strays() == [("duplicate", str(k)) for k in range(4)]


def test_gives_back_what_it_holds_when_asked(source):
    source.push(start(), *frames(1, 3))
    assert source.ordering.release() == frames(1, 3)
    assert not source.ordering.is_waiting
