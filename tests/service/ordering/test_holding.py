import numpy as np
from msgspec.structs import replace

from srx_service.messages import End, Start
from srx_service.ordering.holding import (
    MESSAGE_BYTES,
    Clock,
    Held,
    Lost,
    Strays,
    Track,
    are_images_from,
    size_of,
)
from srx_service.ordering.limits import Stray
from tests.service.line import image, images


def test_the_clock_runs_only_while_the_sockets_are_empty():
    clock = Clock()
    for now_s, drained in [(5.0, True), (6.0, True), (9.0, False), (9.5, True)]:
        clock.advance(now_s, drained)
    assert clock.now == 1.5


def test_the_clock_never_runs_backwards():
    clock = Clock()
    clock.advance(10.0, True)
    clock.advance(7.0, True)
    assert clock.now == 0.0


def test_an_image_holds_its_blobs_and_a_start_its_tables():
    assert size_of(image(1, blob=b"12345")) == 5
    table = np.zeros((2, 3), np.uint32)
    assert size_of(Start(tables={"flatfield": table}, appendix=b"abc")) == 27
    assert size_of(End()) == 0


def test_numbers_of_any_range_given_up_are_lost():
    lost = Lost()
    for first, stop in [(3, 5), (7, 7), (9, 10)]:
        lost.add(first, stop)
    assert [number for number in range(12) if number in lost] == [3, 4, 9]


def test_held_messages_come_back_by_number():
    held = Held()
    for number in (5, 2, 9):
        held.add(number, image(number), 0.0)
    assert held.first() == 2
    assert held.take_all() == images(2, 5, 9)
    assert not held
    assert held.weight == 0


def test_only_the_lowest_number_held_is_given_back():
    held = Held()
    held.add(2, image(2), 0.0)
    held.add(3, image(3), 0.0)
    assert held.pop_if_first(3) is None
    assert held.pop_if_first(2) == image(2)
    assert held.first() == 3


def test_knows_since_when_the_one_that_is_held_longest_waits():
    held = Held()
    for now, number in enumerate((4, 2, 7)):
        held.add(number, image(number), float(now))
    assert held.since() == 0.0
    held.pop_if_first(2)
    held.pop_if_first(4)
    assert held.since() == 2.0


def test_gives_back_what_came_up_to_a_time():
    held = Held()
    for now, number in enumerate((4, 2, 7)):
        held.add(number, image(number), float(now))
    assert held.take_older(1.0) == images(4, 2)
    assert held.first() == 7
    assert held.size_bytes == size_of(image(7))


def test_a_message_without_pixels_has_weight():
    held = Held()
    held.add(1, End(number=1), 0.0)
    assert (held.size_bytes, held.weight) == (0, MESSAGE_BYTES)


def test_a_track_tells_why_there_is_no_place():
    track, out = Track(Strays()), []
    track.begin(10)
    assert track.admit(13, image(13), 0.0, max_gap=5) is None
    track.give_up_gap(out)
    found = {n: track.admit(n, image(n), 0.0, 5) for n in (9, 11, 13, 20, 16, 14)}
    assert found == {
        9: "stale", 11: "late", 13: "duplicate", 20: "rejected", 16: None, 14: None
    }  # fmt: skip


def test_a_double_of_what_is_held_is_found_when_that_passes():
    strays = Strays()
    track, out = Track(strays), strays.begin()
    track.begin(10)
    for number in (11, 11, 12, 11):
        assert track.admit(number, image(number), 0.0, 5) is None
    assert strays.take() == []
    out = strays.begin()
    track.admit(10, image(10), 0.0, 5)
    track.drain(out)
    assert out == images(10, 11, 12)
    assert strays.take() == 2 * [Stray("duplicate", replace(image(11), blobs=()), 2)]


def test_each_gap_waits_from_when_it_was_seen():
    track, out = Track(Strays()), []
    track.begin(0)
    for now, number in [(0.0, 1), (0.0, 3), (1.0, 5)]:
        track.admit(number, image(number), now, 9)
    track.run_timer(2.0, 2.0, out)
    assert out == images(1, 3)


def test_images_that_follow_one_another_are_told_from_all_else():
    assert are_images_from(images(4, 5, 6), 4)
    assert are_images_from([], 4)
    assert not are_images_from(images(4, 5, 6), 3)
    assert not are_images_from(images(4, 6), 4)
    assert not are_images_from([*images(4), End(number=5)], 4)
    assert not are_images_from([image(None)], 4)
