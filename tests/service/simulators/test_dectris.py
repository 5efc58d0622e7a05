import pytest

from srx_service.simulators import SIMULATORS, dectris
from srx_service.simulators.dectris import EIGER, PILATUS4


@pytest.fixture
def made(monkeypatch):
    """Run a model with options: the simulator that it would start."""
    found = []
    monkeypatch.setattr(dectris, "run", lambda name, simulator: found.append(simulator))

    def make(name, *options):
        SIMULATORS[name]([*options])
        simulator = found.pop()
        simulator.start()
        simulator.stop()
        return simulator

    return make


def test_an_eiger_begins_with_stream_v1(made):
    eiger = made("eiger")
    assert eiger.stream_config["format"].value == "legacy"
    assert eiger.config.shape == EIGER.shape == (1065, 1030)


def test_a_pilatus4_begins_with_stream_v2(made):
    pilatus4 = made("pilatus4", "--thresholds", "4")
    assert pilatus4.stream_config["format"].value == "cbor"
    assert pilatus4.config.shape == PILATUS4.shape
    assert pilatus4.config.number("x_pixel_size") == 150e-6
    assert "PILATUS4" in pilatus4.config.text("description")
    assert len(pilatus4.channels) == 4


def test_either_may_have_the_others_format(made):
    assert made("eiger", "--format", "cbor").stream_config["format"].value == "cbor"
    eiger = made("pilatus4", "--format", "legacy", "--shape", "60,50", "--difference")
    assert eiger.stream_config["format"].value == "legacy"
    assert list(eiger.channels) == ["threshold_1", "difference"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--format", "xml"], "invalid choice"),
        (["--thresholds", "5"], "invalid choice"),
        (["--api", "2.0"], "invalid choice"),
        (["--answers", "lost"], "lacks the path's end"),
    ],
)
def test_what_there_is_not_is_refused(made, options, told, capsys):
    with pytest.raises(SystemExit):
        made("eiger", *options)
    assert told in capsys.readouterr().err


def test_firmware_and_what_goes_wrong_are_options(made):
    words = ["--api", "1.6.0", "--fail-at", "3", "--answers", "lost@command/arm"]
    eiger = made("eiger", *words)
    assert eiger.api_version == "1.6.0"
    assert "format" not in eiger.stream_config
    assert eiger.answers.take("/detector/api/1.6.0/command/arm").kind == "lost"
