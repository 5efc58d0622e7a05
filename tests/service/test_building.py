"""What one configuration makes of each stage."""

import contextlib
import subprocess
import sys

import pytest
import zmq

from srx_service import building
from srx_service.api.limits import Limits as ApiLimits
from srx_service.api.line import ApiSettings
from srx_service.config import DetectorConfig
from srx_service.errors import ConfigError
from srx_service.messages import Image, Start
from srx_service.ordering import CounterOrdering, SeriesOrdering
from srx_service.orders import Batch

ENTRY = {
    "class": "Detector",
    "dcu_host_purple": "127.0.0.1",
    "data_port": 0,
    "dset_name": "/entry/data/data",
}


def config(**keys):
    return DetectorConfig.model_validate(ENTRY | keys)


def test_a_service_without_a_pipeline_does_without_numba():
    program = (
        "import sys, srx_service.service, srx_service.cli, srx_service.simulators\n"
        "sys.exit('numba' in sys.modules or 'llvmlite' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("decoder", "kind"), [("Detector", CounterOrdering), ("Eiger", SeriesOrdering)]
)
def test_the_protocol_says_what_orders_its_messages(decoder, kind):
    assert type(building.ordering(config(**{"class": decoder}), 1)) is kind


def test_a_sub_socket_has_one_connection(caplog):
    source = building.source(config(socket="sub", nworkers=4))
    assert source.connections == 1
    source.close()
    assert "nworkers 4" in caplog.text


@pytest.mark.parametrize(
    ("connections", "cores", "threads"),
    [(1, 8, 1), (4, 8, 4), (8, 2, 2), (32, 16, 16), (0, 4, 1)],
)
def test_as_many_threads_read_as_there_are_connections(
    monkeypatch, connections, cores, threads
):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert building.io_threads(connections) == threads


@pytest.mark.parametrize(
    ("keys", "threads"),
    [
        ({}, 1),
        ({"nworkers": 3}, 3),
        ({"nworkers": 3, "dcu_host_purple": ["127.0.0.1", "127.0.0.2"]}, 6),
        ({"nworkers": 3, "socket": "sub"}, 1),
        ({"class": "Lambda", "nworkers": 3}, 4),
    ],
)
def test_a_source_has_a_thread_for_each_connection(monkeypatch, keys, threads):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(64)))
    source = building.source(config(**keys))
    assert source.connections == source._context.get(zmq.IO_THREADS) == threads
    source.close()


def test_all_that_bounds_and_opens_the_http_interface_comes_from_the_entry():
    bounds = {
        "api_body_limit": "1 KiB",
        "api_connections": 2,
        "api_connections_per_client": 1,
        "api_rate": None,
        "api_timeout": 3.0,
    }
    opens = {"protect_reads": True, "pickle_route": False, "cors_origins": "https://A"}
    made = building.api_settings(config(**bounds, **opens), "secret")
    assert made.limits == ApiLimits(1024, 2, 1, None, 3.0)
    assert (made.protect_reads, made.pickle_route) == (True, False)
    assert made.origins == {"https://a"}
    assert made.tokens()


def test_the_usual_bounds_are_those_of_the_keys():
    assert building.api_settings(config(), None) == ApiSettings()


def test_the_secondary_port_listens_where_the_entry_says():
    with contextlib.closing(building.forwarder(config())) as everywhere:
        assert everywhere.endpoint.startswith("tcp://0.0.0.0:")
    with contextlib.closing(building.forwarder(config(data_host="127.0.0.1"))) as here:
        assert here.endpoint.startswith("tcp://127.0.0.1:")


def test_a_secondary_port_without_its_keys_is_not_opened(tmp_path):
    keys = {"curve_key": str(tmp_path / "no"), "curve_clients": str(tmp_path)}
    with pytest.raises(ConfigError, match="curve_key"):
        building.forwarder(config(**keys))


def turned(rotate):
    """What a line without a pipeline makes of an image, asked to turn it or not."""
    start, handed_on = Start(rotate=rotate), []
    plain = Image(
        number=0, frame=0, shape=(1, 2), dtype="uint8", encoding="none", blobs=(b"ab",)
    )
    workers = building.workers(config(), handed_on.append)
    workers.submit(Batch([plain], [], start, plain, start, 2))
    workers.stop()
    workers.run()
    return handed_on[0].live.shape


@pytest.mark.parametrize(("rotate", "shape"), [(0, (1, 2)), (1, (2, 1))])
def test_workers_turn_images_as_their_header_asks(rotate, shape):
    assert turned(rotate) == shape
