import pytest

from srx_service.errors import ProtocolError
from srx_service.status import EXAMPLE_BYTES, KINDS_KEPT, Status


class Clock:
    now_s = 50.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def status(clock):
    return Status(clock)


def test_nothing_has_happened_at_first(status):
    assert status.as_dict() == {
        "messages": 0,
        "held": False,
        "held_s": 0.0,
        "undecodable": {},
        "examples": {},
        "ignored": {},
        "decoder_faults": 0,
    }


def test_messages_that_cannot_be_read_are_counted_by_kind(status):
    for kind in ("not JSON", "too short", "not JSON"):
        status.count_error(ProtocolError(kind, "found this"), [b"part"])
    assert status.undecodable == {"not JSON": 2, "too short": 1}


def test_the_first_of_a_kind_is_kept_and_logged(status, caplog):
    status.count_error(ProtocolError("not JSON", "first"), [b"\xff{", b"blob"])
    status.count_error(ProtocolError("not JSON", "second"), [b"other"])
    assert status.examples == {
        "not JSON": {"error": "not JSON: first", "part": "\\xff{"}
    }
    assert len(caplog.records) == 1


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_an_example_is_cut(status, make):
    error = ProtocolError("long", "x" * 5000)
    status.count_error(error, [make(b"\xff" * 5000)])
    assert all(len(text) <= EXAMPLE_BYTES for text in status.examples["long"].values())


def test_a_message_without_parts_has_no_example(status):
    status.count_error(ProtocolError("empty", "no parts"), [])
    assert status.examples["empty"]["part"] == ""


def test_the_number_of_kinds_is_bounded(status):
    for k in range(KINDS_KEPT + 20):
        status.count_error(ProtocolError(f"kind {k}", "x"), [b"x"])
    assert len(status.undecodable) == KINDS_KEPT + 1
    assert status.undecodable["other"] == 20


def test_what_carries_nothing_is_counted_by_kind_without_a_word(status, caplog):
    for kind in ("calibration", "metadata", "calibration"):
        status.count_ignored(kind)
    assert status.as_dict()["ignored"] == {"calibration": 2, "metadata": 1}
    assert status.as_dict()["undecodable"] == {}
    assert not caplog.records


def test_the_number_of_kinds_ignored_is_bounded(status):
    for k in range(KINDS_KEPT + 20):
        status.count_ignored(f"kind {k}")
    assert len(status.ignored) == KINDS_KEPT + 1
    assert status.ignored["other"] == 20


def test_a_fault_of_a_decoder_is_counted_and_its_traceback_logged_once(status, caplog):
    for _ in range(3):
        try:
            raise ZeroDivisionError("by a site's own decoder")
        except ZeroDivisionError as error:
            status.count_fault(error)
    assert status.as_dict()["decoder_faults"] == 3
    assert caplog.text.count("Traceback") == 1


def test_seconds_held_add_up(status, clock):
    status.hold("full")
    clock.now_s += 0.4
    status.release()
    clock.now_s += 7
    status.hold("full")
    clock.now_s += 0.25
    assert status.held_s == pytest.approx(0.65)


def test_holding_again_does_not_begin_anew(status, clock):
    status.hold("full")
    clock.now_s += 0.8
    status.hold("fuller")
    clock.now_s += 0.8
    assert status.as_dict()["held_reason"] == "fuller"


def test_held_and_why_is_told_after_a_second(status, clock):
    status.hold("the disk is too slow")
    clock.now_s += 0.9
    assert "held_reason" not in status.as_dict()
    clock.now_s += 0.1
    shown = status.as_dict()
    assert (shown["held"], shown["held_reason"]) == (True, "the disk is too slow")
    status.release()
    assert not status.as_dict()["held"]


def test_a_release_without_a_hold_changes_nothing(status):
    status.release()
    assert (status.held_s, status.held_reason) == (0.0, None)
