import pytest

from srx_service.messages import End, Image, Start
from srx_service.ordering import CounterOrdering, Limits
from tests.service.line import image, images, rejected

LIMITS = Limits(gap_timeout_s=2.0, end_grace_s=0.2, limit_bytes=1 << 20, max_gap=1000)


class Source:
    """Pushes messages and lets time pass."""

    def __init__(self, connections: int = 1, **limits) -> None:
        self.ordering = CounterOrdering(
            LIMITS._replace(**limits), connections=connections
        )
        self.now_s = 0.0

    def push(self, *messages, drained: bool = True) -> list[int | None]:
        """Return the numbers that pass."""
        passed = self.ordering.push(messages, self.now_s, drained)
        return [message.number for message in passed]

    def wait(self, seconds: float, drained: bool = True) -> list[int | None]:
        self.now_s += seconds
        return self.push(drained=drained)

    def strays(self) -> list[tuple[str, int | None]]:
        return [(kind, image.number) for kind, image, _ in self.ordering.take_strays()]


def series(first: int, last: int) -> list[Start | Image | End]:
    between = images(*range(first + 1, last))
    return [Start(number=first), *between, End(number=last)]


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def several() -> Source:
    """Several connections, on which End 0 has come."""
    source = Source(connections=4)
    source.push(End(number=0))
    source.wait(2.0)
    return source


def test_passes_what_is_in_order_at_once(source):
    messages = series(7, 12)
    assert source.ordering.push(messages, 0.0, True) == messages
    assert not source.ordering.is_waiting


def test_orders_across_series(several):
    first, second = series(1, 3), series(4, 7)
    assert several.push(*reversed(first + second)) == [1, 2, 3, 4, 5, 6, 7]


def test_a_gap_waits_for_its_time(source):
    assert source.push(Start(number=0), *images(2, 3)) == [0]
    assert source.wait(1.9) == []
    assert source.wait(0.1) == [2, 3]


def test_a_gap_does_not_wait_while_the_sockets_hold_more(source):
    source.push(Start(number=0), *images(2))
    assert source.wait(100.0, drained=False) == []
    assert source.wait(2.0) == [2]


def test_all_gaps_seen_at_once_are_given_up_at_once(source):
    source.push(Start(number=0), *images(2, 4, 6))
    assert source.wait(2.0) == [2, 4, 6]


def test_a_younger_gap_waits_longer(source):
    source.push(Start(number=0), *images(2))
    source.wait(1.0)
    source.push(*images(4))
    assert source.wait(1.0) == [2]
    assert source.wait(1.0) == [4]


def test_a_gap_waits_no_longer_when_a_part_of_it_comes(source):
    source.push(Start(number=0), *images(4))
    source.wait(1.9)
    source.push(*images(3))
    assert source.wait(0.1) == [3, 4]


def test_without_a_gap_timeout_nothing_waits():
    source = Source(gap_timeout_s=0.0)
    assert source.push(Start(number=0), *images(2), drained=False) == [0, 2]


def test_the_oldest_gap_is_given_up_when_full():
    source = Source(limit_bytes=4096)
    source.push(Start(number=0), drained=False)
    assert source.push(*images(2, 4, 6), drained=False) == []
    assert source.push(*images(8), drained=False) == [2]
    assert source.ordering.held_bytes <= 4096


def test_large_images_fill_it_as_many_small_ones_do():
    source = Source(limit_bytes=5000)
    source.push(Start(number=0))
    assert source.push(image(2, blob=bytes(5000)), drained=False) == [2]
    assert source.push(*images(*range(4, 9)), drained=False) == [4, 5, 6, 7, 8]


def test_one_that_comes_after_its_gap_was_given_up_is_late(source):
    source.push(Start(number=0), *images(2))
    source.wait(2.0)
    assert source.push(*images(1)) == []
    assert source.strays() == [("late", 1)]


def test_a_number_seen_twice_is_a_duplicate(source):
    source.push(Start(number=0), *images(1, 3))
    assert source.push(*images(1, 3)) == []
    assert source.strays() == [("duplicate", 1)]
    # what waits for its turn is not known to be of this series before that
    assert source.push(image(2)) == [2, 3]
    assert source.strays() == [("duplicate", 3)]


def test_each_number_that_never_comes_is_lost(source):
    source.push(Start(number=0), *images(2, 5))
    assert source.ordering.lost == 0
    source.wait(2.0)
    assert source.ordering.lost == 3
    # the tail of a series, its end and the next header
    source.push(image(10), End(number=11))
    assert source.ordering.lost == 7
    source.push(*images(7), Start(number=0), End(number=2))
    assert source.ordering.lost == 8


def test_an_end_seen_twice_is_harmless(source):
    source.push(*series(0, 2))
    assert source.push(End(number=2)) == []
    assert source.strays() == []


def test_a_rejected_message_keeps_its_place(source):
    messages = [Start(number=0), rejected(1), image(2)]
    assert source.ordering.push(messages, 0.0, True) == messages


def test_a_huge_jump_is_not_believed(source):
    assert source.push(Start(number=0), *images(1002, 1)) == [0, 1]
    assert source.strays() == [("rejected", 1002)]


def test_the_end_of_one_connection_is_final(source):
    assert source.push(Start(number=0), *images(1, 3), End(number=5)) == [0, 1, 3, 5]
    assert not source.ordering.is_waiting


def test_an_end_that_overtook_images_waits_for_them(several):
    several.push(Start(number=1))
    assert several.push(End(number=4), *images(3)) == []
    assert several.push(*images(2)) == [2, 3, 4]


def test_an_end_waits_for_a_gap_only_as_long_as_the_gap_does(several):
    several.push(Start(number=1))
    several.push(End(number=4))
    assert several.wait(1.9) == []
    assert several.wait(0.1) == [4]


def test_a_start_above_the_next_number_takes_its_turn(several):
    several.push(*series(1, 2))
    assert several.push(*series(5, 7)) == []
    assert several.push(*series(3, 4)) == [3, 4, 5, 6, 7]


def test_a_lower_start_begins_the_numbers_anew(source):
    source.push(*series(100, 103))
    assert source.push(*series(0, 2)) == [0, 1, 2]


def test_a_start_far_ahead_begins_the_numbers_anew(source):
    source.push(*series(0, 2))
    assert source.push(*series(5000, 5002)) == [5000, 5001, 5002]


def test_what_was_held_passes_before_the_numbers_begin_anew(source):
    source.push(Start(number=100), *images(102))
    assert source.push(Start(number=0)) == [102, 0]


def test_old_numbers_do_not_get_into_the_series_of_a_restarted_source(several):
    several.push(*series(1, 3), *series(4, 500))
    numbers = several.push(Start(number=0), *images(1, 501, 502, 2), drained=False)
    assert numbers == [0, 1, 2]
    assert several.strays() == [("stale", 501), ("stale", 502)]
    assert several.push(*images(3)) == [3]


def test_numbers_near_the_start_of_a_restarted_source_are_its_own(several):
    several.push(*series(1, 3))
    assert several.push(Start(number=0), *images(3, 2), drained=False) == [0]
    assert several.push(*images(1)) == [1, 2, 3]


def test_old_numbers_are_believed_again_once_the_sockets_were_empty(several):
    several.push(*series(1, 500))
    several.push(Start(number=0), drained=False)
    several.push(drained=True)
    assert several.push(*images(*range(501, 0, -1)), drained=False)[-1] == 501


def test_images_ahead_of_the_start_of_a_restarted_source_are_kept(several):
    several.push(*series(1, 500))
    assert several.push(*images(2, 1)) == []
    assert several.push(Start(number=0), End(number=3)) == [0, 1, 2, 3]


def test_late_images_are_not_taken_for_those_of_a_restarted_source(several):
    several.push(*series(1, 500), *images(502))
    several.wait(2.0)
    several.push(*images(501))
    assert several.push(Start(number=0), *images(1)) == [0, 1]
    assert several.strays() == [("stale", 501)]
    assert not several.ordering.is_waiting


def test_images_of_an_older_series_are_stale(source):
    source.push(Start(number=0), *images(2, 3))
    source.wait(2.0)
    source.push(Start(number=4))
    assert source.push(*images(1, 5)) == [5]
    assert source.strays() == [("stale", 1)]


def test_one_below_the_counter_is_late_after_the_gap_timeout(several):
    several.push(*series(1, 3))
    several.push(*images(2))
    assert several.strays() == []
    several.wait(2.0)
    assert several.strays() == [("duplicate", 2)]


def test_begins_in_mid_series_on_one_connection(source):
    assert source.push(*images(50, 51)) == [50, 51]


def test_begins_in_mid_series_after_the_gap_timeout_on_several():
    several = Source(connections=4)
    assert several.push(*images(51, 50)) == []
    assert several.wait(2.0) == [50, 51]


def test_images_ahead_of_the_first_start_are_kept():
    several = Source(connections=4)
    assert several.push(*images(2, 1), Start(number=0)) == []
    assert several.wait(0.2) == [0, 1, 2]


def test_the_first_start_waits_for_one_before_it():
    several = Source(connections=4)
    assert several.push(*series(3, 5)) == []
    assert several.push(*series(0, 2)) == []
    assert several.wait(0.2) == [0, 1, 2, 3, 4, 5]


def test_images_before_the_first_start_have_none():
    several = Source(connections=4)
    several.push(*images(8, 9), Start(number=10))
    assert several.wait(0.2) == [10]
    assert several.strays() == [("orphan", 8), ("orphan", 9)]


def test_below_and_ahead_share_one_limit():
    source = Source(connections=2, limit_bytes=4096)
    source.push(*series(100, 103))
    source.wait(0.2)
    source.push(*images(1, 2, 105), drained=False)
    source.push(*images(107), drained=False)
    assert source.ordering.is_waiting
    source.push(*images(109), drained=False)
    assert source.strays() == [("stale", 1), ("stale", 2)]


def test_before_the_first_start_no_more_than_the_limit_is_held():
    source = Source(connections=2, limit_bytes=4096)
    assert source.push(*images(100, 101, 102), drained=False) == []
    assert source.push(*images(104), drained=False) == [100, 101, 102]


def test_numbers_by_arrival_where_there_is_no_counter(source):
    messages = [Start(), image(None, 0), image(None, 1), End()]
    assert source.push(*messages) == [0, 1, 2, 3]
    assert source.push(*messages) == [4, 5, 6, 7]


@pytest.mark.parametrize("first", [0, 1, 500])
def test_a_jump_of_the_frame_is_a_gap_where_there_is_no_counter(source, first):
    frames = [image(None, first + k) for k in (0, 1, 4, 5)]
    assert source.push(Start(), *frames, End()) == [0, 1, 2, 5, 6, 7]


@pytest.mark.parametrize("frame", [0, 7, 5000])
def test_a_frame_that_does_not_follow_is_no_gap(source, frame):
    frames = [image(None, 6), image(None, 7), image(None, frame)]
    assert source.push(Start(), *frames) == [0, 1, 2, 3]


def test_a_frame_left_out_is_lost_where_there_is_no_counter(source):
    source.push(Start(), image(None, 1), image(None, 4), End())
    assert source.ordering.lost == 2


def test_a_counter_takes_over_from_numbers_by_arrival(source):
    source.push(Start(), image(None, 0), End())
    assert source.push(*series(10, 12)) == [10, 11, 12]


def test_numbers_by_arrival_take_over_from_a_counter(source):
    source.push(Start(number=4), *images(6))
    assert source.push(Start(), image(None, 0)) == [6, 7, 8]


def test_an_end_without_a_number_takes_none(source):
    assert source.push(Start(number=0), *images(2), End()) == [0, 2, None]
    assert source.push(*series(3, 5)) == [3, 4, 5]


def test_images_without_any_start_are_numbered_by_arrival(source):
    assert source.push(image(None, 4), image(None, 5)) == [0, 1]


def test_gives_back_what_it_holds_when_asked(several):
    several.push(Start(number=1), *images(3, 5))
    numbers = [message.number for message in several.ordering.release()]
    assert numbers == [3, 5]
    assert not several.ordering.is_waiting
