import threading

from srx_service import turns as module
from srx_service.turns import Turns

PATIENCE_S = 20.0


def taken():
    turns = Turns()
    turns.are_taken = True
    return turns


def test_nobody_waits_while_turns_are_not_taken():
    turns = Turns()
    assert [turns.take(), turns.take()] == [False, False]


def test_a_turn_is_given_back():
    turns = taken()
    assert turns.take()
    turns.give_back()
    assert turns.take()


def test_who_has_waited_too_long_goes_ahead_and_gives_nothing_back():
    turns = taken()
    assert turns.take()
    assert not turns.take()
    turns.give_back()
    assert turns.take()


def test_nobody_waits_again_for_who_keeps_a_turn(monkeypatch):
    turns = taken()
    assert turns.take()
    assert not turns.take()
    monkeypatch.setattr(module, "PATIENCE_S", 3600.0)
    assert not turns.take()
    turns.give_back()
    assert turns.take()


def test_who_had_a_turn_and_asks_again_comes_behind_who_waits(monkeypatch):
    monkeypatch.setattr(module, "PATIENCE_S", PATIENCE_S)
    turns = taken()
    order: list[str] = []

    def wait_for_a_turn():
        assert turns.take()
        order.append("waited")
        turns.give_back()

    assert turns.take()
    other = threading.Thread(target=wait_for_a_turn)
    other.start()
    while not turns._next.locked():
        pass
    turns.give_back()
    assert turns.take()
    order.append("again")
    turns.give_back()
    other.join(PATIENCE_S)
    assert order == ["waited", "again"]
