"""Prometheus text."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from srx_service.metrics import COUNTERS, GAUGES, HISTOGRAMS, render


def families(metrics, **about):
    text = render(metrics, about).decode()
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


def test_no_name_is_in_two_tables():
    names = [*COUNTERS, *HISTOGRAMS, *GAUGES]
    assert sorted(names) == sorted(set(names))


def test_the_process_tells_its_memory():
    assert "process_resident_memory_bytes" in families({})


def test_a_histogram_has_its_classes_their_number_and_the_sum():
    durations = {"0.1": 2.0, "+Inf": 3.0, "sum": 4.5}
    family = families({"flush_seconds": durations})["srx_flush_seconds"]
    assert (family.type, family.documentation) == (
        "histogram",
        HISTOGRAMS["flush_seconds"],
    )
    seen = {(s.name, s.labels.get("le")): s.value for s in family.samples}
    assert seen == {
        ("srx_flush_seconds_bucket", "0.1"): 2.0,
        ("srx_flush_seconds_bucket", "+Inf"): 3.0,
        ("srx_flush_seconds_count", None): 3.0,
        ("srx_flush_seconds_sum", None): 4.5,
    }


def test_it_tells_which_detector_it_is():
    about = {"detector": "eiger", "class": "Eiger", "version": "1"}
    [sample] = families({}, **about)["srx_info"].samples
    assert (sample.labels, sample.value) == (about, 1.0)
