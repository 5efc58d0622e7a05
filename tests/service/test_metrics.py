"""Prometheus text."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from srx_service.metrics import COUNTERS, GAUGES, render


def families(metrics):
    text = render(metrics).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_what_only_grows_is_a_counter():
    family = families({"messages": 3})["srx_messages"]
    assert (family.type, family.documentation) == ("counter", COUNTERS["messages"])
    assert [(s.name, s.value) for s in family.samples] == [("srx_messages_total", 3.0)]


@pytest.mark.parametrize("name", ["queued_bytes", "of_tomorrow"])
def test_any_other_is_a_gauge(name):
    family = families({name: 2.5})[f"srx_{name}"]
    assert (family.type, family.samples[0].value) == ("gauge", 2.5)


def test_a_dict_becomes_one_sample_for_each_kind_whatever_its_letters():
    kinds = {'not "JSON"\n\\': 2, "äöü": 1}
    family = families({"undecodable": kinds})["srx_undecodable"]
    assert {s.labels["kind"]: s.value for s in family.samples} == kinds


def test_no_name_is_both():
    assert not COUNTERS.keys() & GAUGES.keys()


def test_the_process_tells_its_memory():
    assert "process_resident_memory_bytes" in families({})
