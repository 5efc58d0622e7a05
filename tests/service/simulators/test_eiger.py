import json
import threading
import time

import numpy as np
import pytest

from srx_service import codecs
from srx_service.errors import RequestError
from srx_service.messages import End, Image, Start, extras_of
from srx_service.protocols.dectris_stream1 import DectrisStream1Decoder
from srx_service.simulators.eiger import EigerSimulator
from srx_service.simulators.faults import Faults
from srx_service.simulators.pictures import picture

SHAPE = (60, 50)


@pytest.fixture
def eiger():
    with EigerSimulator(shape=SHAPE, rate=0, send_timeout_s=10) as simulator:
        yield simulator


def messages(raw):
    decoder = DectrisStream1Decoder()
    return [message for parts in raw for message in decoder.decode(parts)]


def series(eiger, **config):
    for key, value in config.items():
        eiger.config.set(key, value)
    number = eiger.command("arm")["sequence id"]
    for _ in range(config.get("ntrigger", 1)):
        eiger.command("trigger")
    return number


@pytest.mark.parametrize("compression", ["bslz4", "lz4", "none"])
@pytest.mark.parametrize("exposure_s", [0.01, 0.5])
def test_the_stream_decodes_to_the_pictures(eiger, connect, compression, exposure_s):
    pull = connect(eiger.endpoint)
    number = series(eiger, count_time=exposure_s, compression=compression, nimages=3)
    start, *images, end = messages(pull(5))
    dtype = "uint32" if exposure_s > 0.1 else "uint16"
    assert isinstance(start, Start)
    assert end == End(series=number)
    assert [image.frame for image in images] == [0, 1, 2]
    for image in images:
        assert image.dtype == dtype
        assert np.array_equal(codecs.decode(image), picture(image.frame, SHAPE, dtype))


@pytest.mark.parametrize(("detail", "parts"), [("none", 1), ("basic", 2), ("all", 8)])
@pytest.mark.parametrize("appendix", ["", '{"filename": "/data/a.h5"}'])
def test_the_header_has_the_parts_of_its_detail(
    eiger, connect, detail, parts, appendix
):
    pull = connect(eiger.endpoint)
    eiger.stream_config["header_detail"].value = detail
    eiger.stream_config["header_appendix"].value = appendix
    eiger.command("arm")
    (header,) = pull(1)
    assert len(header) == parts + bool(appendix)
    (start,) = messages([header])
    assert start.filename == ("/data/a.h5" if appendix else "")
    assert len(start.tables) == (3 if detail == "all" else 0)


def test_the_header_tells_the_configuration(eiger, connect):
    pull = connect(eiger.endpoint)
    series(eiger, nimages=2, ntrigger=3, photon_energy=12400.0)
    start = messages(pull(1))[0]
    assert start.announced == 6
    assert start.metadata["photon_energy"] == 12400.0
    assert start.metadata["x_pixels_in_detector"] == 50
    assert {"nimages", "trigger_mode", "wavelength"} <= start.metadata.keys()


def test_images_carry_their_times_and_the_appendix(eiger, connect):
    pull = connect(eiger.endpoint)
    eiger.stream_config["image_appendix"].value = "hello"
    series(eiger, count_time=0.01)
    extras = extras_of(messages(pull(3))[1])
    assert extras["stop_time"] - extras["start_time"] == extras["real_time"] == 10**7
    assert extras["image_appendix"] == b"hello"


def test_frames_run_on_over_all_triggers_of_a_series(eiger, connect):
    pull = connect(eiger.endpoint)
    first = series(eiger, nimages=2, ntrigger=3)
    second = series(eiger, nimages=2, ntrigger=1)
    found = messages(pull(12))
    frames = [(m.series, m.frame) for m in found if isinstance(m, Image)]
    assert frames == [
        *((first, k) for k in range(6)),
        *((second, k) for k in range(2)),
    ]
    assert second == first + 1


def test_an_enabled_trigger_gives_one_image_of_its_own_exposure(eiger, connect):
    pull = connect(eiger.endpoint)
    for key, value in {"trigger_mode": "inte", "ntrigger": 2, "nimages": 9}.items():
        eiger.config.set(key, value)
    eiger.command("arm")
    eiger.command("trigger", 0.25)
    eiger.command("trigger", 0.75)
    _, first, second, end = messages(pull(4))
    assert extras_of(first)["real_time"] == 250_000_000
    assert extras_of(second)["real_time"] == 750_000_000
    assert isinstance(end, End)


@pytest.mark.parametrize(("mode", "images"), [("exts", 6), ("exte", 2)])
def test_external_modes_wait_for_pulses(eiger, connect, mode, images):
    pull = connect(eiger.endpoint)
    for key, value in {"trigger_mode": mode, "ntrigger": 2, "nimages": 3}.items():
        eiger.config.set(key, value)
    eiger.command("arm")
    with pytest.raises(RequestError, match="needs trigger_mode"):
        eiger.command("trigger")
    eiger.pulse(2)
    assert eiger.state == "idle"
    assert len(messages(pull())) == images + 2


COMMANDS = (
    "initialize",
    "arm",
    "trigger",
    "disarm",
    "cancel",
    "abort",
    "status_update",
)
NO = "refused"
RULES = {
    "na": ("idle", NO, NO, NO, NO, NO, "na"),
    "idle": ("idle", "ready", NO, "idle", "idle", "idle", "idle"),
    "ready": ("idle", NO, "idle", "idle", "idle", "idle", "ready"),
    "error": ("idle", NO, NO, "error", "error", "error", "error"),
}
CASES = [
    (state, command, after)
    for state, row in RULES.items()
    for command, after in zip(COMMANDS, row, strict=True)
]


@pytest.mark.parametrize(("state", "command", "after"), CASES)
def test_commands_are_allowed_where_the_detector_allows_them(state, command, after):
    eiger = EigerSimulator(shape=SHAPE, rate=0, send_timeout_s=0)
    if state == "ready":
        eiger.command("arm")
    eiger.state = state
    if after == NO:
        with pytest.raises(RequestError, match=f"{command}.*{state}"):
            eiger.command(command)
    else:
        eiger.command(command)
    assert eiger.state == (state if after == NO else after)
    eiger.stop()


def test_a_detector_after_power_on_has_to_be_initialized():
    with EigerSimulator(shape=SHAPE, is_initialized=False) as eiger:
        assert eiger.state == "na"
        eiger.command("initialize")
        assert eiger.state == "idle"


def test_an_unknown_command_is_not_found(eiger):
    with pytest.raises(RequestError, match="no 'fire'") as refused:
        eiger.command("fire")
    assert refused.value.status == 404


def test_the_end_comes_once(eiger, connect):
    pull = connect(eiger.endpoint)
    series(eiger, nimages=2)
    eiger.command("disarm")
    eiger.command("abort")
    assert [type(m) for m in messages(pull())] == [Start, Image, Image, End]


@pytest.mark.parametrize("command", ["disarm", "cancel", "abort"])
def test_a_series_that_is_broken_off_ends_with_what_it_has(connect, command):
    with EigerSimulator(shape=SHAPE, rate=50) as eiger:
        pull = connect(eiger.endpoint)
        eiger.config.set("nimages", 100_000)
        eiger.command("arm")
        exposing = threading.Thread(target=eiger.command, args=("trigger",))
        exposing.start()
        begin = messages(pull(4))
        with pytest.raises(RequestError, match="not allowed in state acquire"):
            eiger.command("trigger")
        eiger.command(command)
        exposing.join(10)
        rest = messages(pull())
        assert eiger.state == "idle"
        frames = [m.frame for m in begin + rest if isinstance(m, Image)]
        assert frames == list(range(len(frames)))
        assert isinstance(rest[-1], End)


def test_images_come_at_the_frame_time(connect):
    with EigerSimulator(shape=SHAPE) as eiger:
        pull = connect(eiger.endpoint)
        begin_s = time.monotonic()
        series(eiger, frame_time=0.02, nimages=10)
        assert 0.2 <= time.monotonic() - begin_s < 2
        assert len(pull(12)) == 12


def test_without_a_receiver_whole_images_are_dropped_and_counted():
    with EigerSimulator(shape=SHAPE, rate=0, send_timeout_s=0.1) as eiger:
        begin_s = time.monotonic()
        series(eiger, nimages=500)
        assert time.monotonic() - begin_s < 5
        assert eiger.dropped == 500
        assert eiger.state == "idle"


def test_what_a_receiver_does_not_take_is_dropped_and_the_rest_comes_whole(connect):
    with EigerSimulator(
        shape=(400, 400), rate=0, high_water=2, send_timeout_s=0.5
    ) as eiger:
        pull = connect(eiger.endpoint, high_water=2)
        assert series(eiger, nimages=300, compression="none") == 1
        found = [m for m in messages(pull()) if isinstance(m, Image)]
        assert eiger.dropped > 0
        assert len(found) + eiger.dropped == 300
        for image in found:
            expected = picture(image.frame, (400, 400), "uint16")
            assert np.array_equal(codecs.decode(image), expected)


def test_a_disabled_stream_sends_nothing(eiger, connect):
    pull = connect(eiger.endpoint)
    eiger.stream_config["mode"].value = "disabled"
    series(eiger, nimages=3)
    eiger.stream_config["mode"].value = "enabled"
    number = series(eiger, nimages=1)
    assert {m.series for m in messages(pull(3))} == {number}
    assert eiger.dropped == 0


def test_faults_change_what_is_sent_but_not_its_numbers(connect):
    faults = Faults.parse("drop=0.1,duplicate=0.1,reorder=0.1")
    with EigerSimulator(shape=SHAPE, rate=0, faults=faults, seed=3) as eiger:
        pull = connect(eiger.endpoint)
        series(eiger, nimages=200)
        frames = [m.frame for m in messages(pull()) if isinstance(m, Image)]
        assert 150 < len(set(frames)) < 200
        assert len(frames) > len(set(frames))
        assert frames != sorted(frames)


def test_a_stall_is_silence_before_its_frame(connect):
    faults = Faults.parse("stall=0.5@2")
    with EigerSimulator(shape=SHAPE, rate=0, faults=faults) as eiger:
        pull = connect(eiger.endpoint)
        begin_s = time.monotonic()
        series(eiger, nimages=4)
        assert time.monotonic() - begin_s >= 0.5
        assert len(pull(6)) == 6


def test_a_detector_that_dies_sends_neither_its_frame_nor_an_end(connect):
    faults = Faults.parse("die=5")
    eiger = EigerSimulator(shape=SHAPE, rate=0, faults=faults).start()
    pull = connect(eiger.endpoint)
    with pytest.raises(RequestError, match="died before frame 5"):
        series(eiger, nimages=10)
    found = messages(pull())
    assert [m.frame for m in found[1:]] == [0, 1, 2, 3, 4]
    assert eiger.ports.died.is_set()
    eiger.stop()


def test_a_detector_that_fails_sends_no_more_until_it_is_initialized(connect):
    with EigerSimulator(shape=SHAPE, rate=0, fail_at=3) as eiger:
        pull = connect(eiger.endpoint)
        with pytest.raises(RequestError, match="told to fail"):
            series(eiger, nimages=10)
        assert [m.frame for m in messages(pull())[1:]] == [0, 1, 2]
        assert (eiger.state, eiger.errors) == (
            "error",
            ["the simulator was told to fail"],
        )
        eiger.command("initialize")
        assert (eiger.state, eiger.errors) == ("idle", [])


def test_a_port_that_is_taken_is_told_and_leaves_nothing_open(eiger):
    with pytest.raises(OSError, match=str(eiger.stream_port)):
        EigerSimulator(stream_port=eiger.stream_port)
    with pytest.raises(OSError, match="in use"):
        EigerSimulator(control_port=eiger.control_port)


def test_the_appendix_names_the_file_of_the_receiver(eiger, connect):
    pull = connect(eiger.endpoint)
    text = json.dumps({"filename": "/data/ä.h5", "rotate": 1})
    eiger.stream_config["header_appendix"].value = text
    eiger.command("arm")
    (start,) = messages(pull(1))
    assert (start.filename, start.rotate) == ("/data/ä.h5", 1)
