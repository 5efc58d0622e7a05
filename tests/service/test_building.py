"""What one configuration makes of each stage."""

import subprocess
import sys

import pytest
import zmq

from srx_service import building
from srx_service.config import DetectorConfig
from srx_service.ordering import CounterOrdering, SeriesOrdering

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
