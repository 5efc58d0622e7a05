"""Hosts and ports make endpoints, and none is used twice."""

import pytest

from srx_service.endpoints import pair, problems

OWN = {"data_port": 26001, "api_port": 5000}


@pytest.mark.parametrize(
    ("hosts", "ports", "endpoints"),
    [
        (["dcu"], [9999], ["tcp://dcu:9999"]),
        (["dcu"], [1, 2], ["tcp://dcu:1", "tcp://dcu:2"]),
        (["a", "b"], [9999], ["tcp://a:9999", "tcp://b:9999"]),
        (["a", "a"], [1, 2], ["tcp://a:1", "tcp://a:2"]),
        (["[fe80::1]"], [5], ["tcp://[fe80::1]:5"]),
        (["a"], [], []),
    ],
)
def test_the_shorter_list_is_repeated(hosts, ports, endpoints):
    assert pair(hosts, ports) == tuple(endpoints)
    assert problems(hosts, ports, OWN) == []


def test_each_module_has_an_endpoint_of_its_own():
    assert problems(["a"], [1, 2], OWN, modules=2) == []
    (problem,) = problems(["a"], [1, 2, 3], OWN, modules=4)
    assert problem.startswith("3 endpoints of dcu_host_purple")
    assert problem.endswith("give 4 hosts or ports")


@pytest.mark.parametrize(
    ("hosts", "ports", "own", "problem"),
    [
        (
            ["d"],
            [1],
            {"data_port": 5, "api_port": 5},
            "port 5 is used twice: data_port",
        ),
        (
            ["localhost"],
            [5000],
            OWN,
            "port 5000 is used twice: api_port and the detector",
        ),
        (["[::1]"], [26001], OWN, "port 26001 is used twice: data_port and the detec"),
        (["d"], [7, 7], OWN, "tcp://d:7 is connected to twice; nworkers is what makes"),
        (
            ["a", "b"],
            [1, 2, 3],
            OWN,
            "2 hosts in dcu_host_purple but 3 ports in dcu_po",
        ),
    ],
)
def test_what_cannot_be_is_told(hosts, ports, own, problem):
    [found] = problems(hosts, ports, own)
    assert found.startswith(problem)


def test_the_same_port_elsewhere_is_another_port():
    assert problems(["dcu"], [5000], OWN) == []


def test_any_free_port_is_never_used_twice():
    assert problems(["localhost"], [1], {"data_port": 0, "api_port": 0}) == []
