import cbor2
import numpy as np
import pytest

from srx_service import codecs
from srx_service.errors import RequestError
from srx_service.messages import End, Start
from srx_service.protocols.dectris_stream2 import FORWARDED, DectrisStream2Decoder
from srx_service.simulators.eiger import EigerSimulator
from srx_service.simulators.pictures import picture

SHAPE = (60, 50)


def simulator(**options):
    return EigerSimulator(shape=SHAPE, rate=0, send_timeout_s=10, **options)


def messages(raw):
    decoder = DectrisStream2Decoder()
    return [message for parts in raw for message in decoder.decode(parts)]


def series(eiger, **config):
    for key, value in config.items():
        eiger.config.set(key, value)
    number = eiger.command("arm")["sequence id"]
    eiger.command("trigger")
    return number


@pytest.fixture
def eiger():
    with simulator(stream_format="cbor") as eiger:
        yield eiger


@pytest.mark.parametrize("compression", ["bslz4", "lz4", "none"])
def test_the_stream_decodes_to_the_pictures(eiger, connect, compression):
    pull = connect(eiger.endpoint)
    number = series(eiger, count_time=0.01, compression=compression, nimages=3)
    start, *images, end = messages(pull(5))
    assert isinstance(start, Start)
    assert (start.series, start.announced, end) == (number, 3, End(series=number))
    for k, image in enumerate(images):
        expected = picture(k, SHAPE, "uint16")
        assert (image.frame, image.encoding) == (k, compression)
        assert np.array_equal(codecs.decode(image), expected)


def test_the_header_says_what_a_recorded_one_says(eiger, connect):
    pull = connect(eiger.endpoint)
    series(eiger, photon_energy=12400.0)
    metadata = messages(pull(1))[0].metadata
    assert tuple(metadata)[:6] == FORWARDED
    assert metadata["threshold_1"] == 6200.0
    assert metadata["incident_energy"] == 12400.0
    assert metadata["image_dtype"] == "uint16"
    assert (metadata["image_size_x"], metadata["image_size_y"]) == (50, 60)
    assert metadata["goniometer"]["omega"] == {"start": 0.0, "increment": 0.0}


@pytest.mark.parametrize(("detail", "tables"), [("none", 0), ("basic", 0), ("all", 3)])
def test_only_all_detail_has_tables(eiger, connect, detail, tables):
    pull = connect(eiger.endpoint)
    eiger.stream_config["header_detail"].value = detail
    eiger.stream_config["header_appendix"].value = '{"filename": "/data/a.h5"}'
    series(eiger)
    start = messages(pull(1))[0]
    assert (len(start.tables), start.filename) == (tables, "/data/a.h5")


def test_images_carry_their_times_and_the_appendix(eiger, connect):
    pull = connect(eiger.endpoint)
    eiger.stream_config["image_appendix"].value = "hello"
    series(eiger, count_time=0.01)
    extras = messages(pull(3))[1].extras
    (start, ticks), (stop, _) = extras["start_time"], extras["stop_time"]
    assert (stop - start) / ticks == pytest.approx(0.01)
    assert extras["image_appendix"] == b"hello"
    assert extras["series_date"].startswith("20")


def test_an_image_has_all_channels(connect):
    with simulator(stream_format="cbor", thresholds=2, difference=True) as eiger:
        pull = connect(eiger.endpoint)
        eiger.stream_config["header_detail"].value = "all"
        series(eiger, nimages=2)
        start, first, _, _ = messages(pull(4))
    names = ["threshold_1", "threshold_2", "difference"]
    assert first.extras["channels"] == start.metadata["channels"] == names
    assert start.metadata["threshold_energy"].keys() == set(names[:2])
    assert len(start.tables) == 1 + 2 * 3
    expected = [picture(k, SHAPE, "uint16") for k in range(3)]
    assert np.array_equal(codecs.decode(first), expected)


def test_the_format_can_be_changed_over_rest(connect, http):
    with simulator(thresholds=2) as eiger:
        pull, client = connect(eiger.endpoint), http(eiger.url)
        series(eiger)
        assert [len(parts) for parts in pull(3)] == [2, 4, 1]
        url = "/stream/api/1.8.0/config/format"
        assert client.get(url).json()["allowed_values"] == ["legacy", "cbor"]
        client.put(url, json={"value": "cbor"}).raise_for_status()
        series(eiger)
        raw = pull(3)
    assert [len(parts) for parts in raw] == [1, 1, 1]
    kinds = [cbor2.loads(part[3:])["type"] for (part,) in raw]
    assert kinds == ["start", "image", "end"]


def test_thresholds_are_switched_over_rest(connect, http):
    with simulator(stream_format="cbor", thresholds=2) as eiger:
        pull, client = connect(eiger.endpoint), http(eiger.url)
        url = "/detector/api/1.8.0/config/threshold"
        client.put(f"{url}/2/energy", json={"value": 7000}).raise_for_status()
        client.put(f"{url}/1/mode", json={"value": "disabled"}).raise_for_status()
        series(eiger)
        start, image, _ = messages(pull(3))
        assert start.metadata["threshold_energy"] == {"threshold_2": 7000.0}
        assert image.extras["channels"] == ["threshold_2"]
        assert image.shape == SHAPE
        client.put(f"{url}/2/mode", json={"value": "disabled"}).raise_for_status()
        with pytest.raises(RequestError, match="no threshold is enabled"):
            eiger.command("arm")
