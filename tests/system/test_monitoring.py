"""Metrics, dashboard and alerts, each against a service that runs.

What Prometheus itself makes of them is asked of a Prometheus.
"""

import re
import subprocess

import httpx
import pytest
import yaml
import zmq
from prometheus_client.parser import text_string_to_metric_families

from srx_service.messages import End, Start
from srx_service.metrics import COUNTERS, GAUGES, HISTOGRAMS
from tests.blocks import ROOT
from tests.conftest import pick_port
from tests.system.monitoring import (
    DEPLOY,
    dashboard,
    panels,
    queries,
    rules,
    scraping,
    selectors,
    tool,
)
from tests.system.sources import image, sender_on, series

REFERENCE = ROOT / "docs/reference/metrics.md"
GUIDE = ROOT / "docs/how-to/monitor.md"
PROMETHEUS = DEPLOY / "prometheus"


def send_faults(sender, name):
    """A series with a loss, an image unlike the others, and a message nobody reads."""
    sender.send(Start(filename=name), image(0), image(1))
    sender.number += 1
    sender.send(image(3), image(4, shape=(3, 8), blobs=(bytes(48),)))
    sender.send_parts(b"not JSON")
    sender.send(End())


@pytest.fixture(scope="module")
def sent(shared_programs):
    """A service with all that can be counted, and a source it is connected to."""
    port = pick_port()
    entry = {"dcu_port_purple": port, "gap_timeout": 0.1, "pub_port": pick_port()}
    service = shared_programs.service(entry)
    with sender_on(port) as sender:
        yield service, sender


@pytest.fixture(scope="module")
def busy(sent, shared_programs):
    """One that has written, lost and refused; with a client."""
    service, sender = sent
    with zmq.Context() as context, context.socket(zmq.PULL) as client:
        client.linger = 0
        client.connect(f"tcp://127.0.0.1:{service.ports['data_port']}")
        service.wait_until(lambda: service.get("/status")["clients"] == 1)
        sender.send(*series(str(shared_programs.data / "whole.h5"), 5))
        send_faults(sender, str(shared_programs.data / "faults.h5"))
        service.wait_until(lambda: ended(service) == 2)
        yield service


def ended(service):
    told = service.get("/api/v1/acquisitions")["acquisitions"]
    return sum(each["state"] == "done" for each in told)


def scrape(service):
    return httpx.get(f"{service.url}/metrics", timeout=10.0, verify=False).text


@pytest.fixture(scope="module")
def families(busy):
    """By name, as Prometheus' own client for Python reads them."""
    text = scrape(busy)
    return {each.name: each for each in text_string_to_metric_families(text)}


@pytest.fixture
def figure(families):
    """Ask for a sample by family, kind, and how its name goes on."""

    def figure(name, kind=None, ending=""):
        labels = {} if kind is None else {"kind": kind}
        [value] = [
            sample.value
            for sample in families[name].samples
            if sample.name == name + ending and sample.labels == labels
        ]
        return value

    return figure


# -- what is told ----------------------------------------------------------------------


def test_it_tells_what_became_of_every_image(figure):
    frames = {
        kind: figure("srx_frames", kind, "_total")
        for kind in ("received", "written", "missing", "rejected", "late")
    }
    assert frames == {
        "received": 9.0,
        "written": 8.0,
        "missing": 1.0,
        "rejected": 1.0,
        "late": 0.0,
    }
    assert figure("srx_rejected", "unfit", "_total") == 1.0
    assert figure("srx_images", ending="_total") == 9.0
    assert figure("srx_image_bytes", ending="_total") >= 8 * 96 + 48
    assert figure("srx_acquisition_frames", "written") == 3.0
    assert figure("srx_acquisitions", "done", "_total") == 2.0


def test_it_tells_what_could_not_be_read(families, figure):
    kinds = {s.labels["kind"]: s.value for s in families["srx_undecodable"].samples}
    assert sum(kinds.values()) == figure("srx_undecodable_messages", ending="_total")
    assert [*kinds.values()] == [1.0]


@pytest.mark.parametrize("name", HISTOGRAMS)
def test_it_tells_how_long_the_disk_took(figure, name):
    assert figure(f"srx_{name}", ending="_count") > 0
    assert figure(f"srx_{name}", ending="_sum") > 0


def test_it_tells_of_clients_queues_and_disk(figure):
    assert figure("srx_clients") == figure("srx_ready") == 1.0
    assert figure("srx_state", "idle") == 1.0
    assert 0.0 <= figure("srx_queued_bytes") < figure("srx_queue_limit_bytes")
    assert figure("srx_disk_free_bytes") > 0
    assert figure("srx_disk_is_short") in {0.0, 1.0}


def test_it_tells_which_detector_it_is(families):
    [info] = families["srx_info"].samples
    assert (info.labels["detector"], info.labels["class"]) == ("detector", "Detector")


def test_each_figure_is_described(families):
    names = {f"srx_{name}" for name in (COUNTERS | HISTOGRAMS | GAUGES)}
    ours = {name for name in families if name.startswith("srx_")} - {"srx_info"}
    assert ours == names


def test_the_reference_names_each_figure_and_no_other(families):
    named = set(re.findall(r"^\| `(srx_\w+)", REFERENCE.read_text(), re.M))
    told = {
        name + "_total" * (family.type == "counter")
        for name, family in families.items()
        if name.startswith("srx_")
    }
    assert named == told


# -- what Prometheus makes of it -------------------------------------------------------


def promtool(*words, text=""):
    done = subprocess.run(
        [tool("promtool"), *words],
        cwd=PROMETHEUS,
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_finds_no_fault_with_the_metrics(busy):
    promtool("check", "metrics", text=scrape(busy))


def test_the_configuration_is_one():
    promtool("check", "config", "prometheus.yaml")


def test_each_alert_fires_when_it_has_to_and_only_then():
    promtool("test", "rules", "alerts_test.yaml")
    examples = yaml.safe_load((PROMETHEUS / "alerts_test.yaml").read_text())["tests"]
    fired = {
        alert["alertname"]
        for example in examples
        for alert in example.get("alert_rule_test", [])
        if alert["exp_alerts"]
    }
    assert fired == {rule.name for rule in rules()}


@pytest.fixture(scope="module")
def prometheus(busy, sent, shared_programs):
    """One that saw frames being written and lost."""
    _, sender = sent
    target = busy.url.removeprefix("http://")
    with scraping(target, shared_programs.folder) as prometheus:
        prometheus.wait_for('srx_acquisitions_total{kind="done"} == 2')
        send_faults(sender, str(shared_programs.data / "more_faults.h5"))
        prometheus.wait_for('srx_acquisitions_total{kind="done"} == 3')
        prometheus.wait_for("srx_acquisitions_total offset 250ms")
        yield prometheus


@pytest.mark.parametrize("query", panels())
def test_each_panel_shows_something(prometheus, query):
    for selector in selectors(query):
        assert prometheus.query(selector), selector
    # panels of losses show nothing where there are none
    assert prometheus.query(query.removesuffix(" > 0"))


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_each_alert_looks_for_what_is_there(prometheus, rule):
    looked_for = [*selectors(rule.expression)]
    assert looked_for
    for selector in looked_for:
        assert prometheus.query(selector), selector


def test_alerts_are_tried_out_on_series_that_are_there(prometheus):
    examples = yaml.safe_load((PROMETHEUS / "alerts_test.yaml").read_text())["tests"]
    series = {each["series"] for test in examples for each in test["input_series"]}
    for each in series - {'up{job="node",instance="eiger:9100"}'}:
        ours = re.sub(r'instance="[^"]*"', 'instance=~".*"', each)
        assert prometheus.query(ours), each


def test_a_loss_alerts(prometheus):
    for name in ("SrxFramesMissing", "SrxFramesNotWritten"):
        prometheus.wait_for(f'ALERTS{{alertname="{name}",alertstate="firing"}}')
    # two looks in succession: by then all rules of the group were looked at
    prometheus.wait_for('count_over_time(ALERTS{alertname="SrxFramesMissing"}[1m]) > 1')
    [group] = prometheus.ask("rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    firing = {r["name"] for r in group["rules"] if r["state"] == "firing"}
    assert not {"SrxDown", "SrxNotReady", "SrxAcquisitionFailed"} & firing


# -- the dashboard, the guide ----------------------------------------------------------


def test_panels_have_their_own_place_and_number():
    ids = [panel["id"] for panel in dashboard()["panels"]]
    assert len(ids) == len(set(ids))
    taken = set()
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        columns = range(at["x"], at["x"] + at["w"])
        cells = {(x, at["y"] + k) for x in columns for k in range(at["h"])}
        assert max(columns) < 24
        assert not taken & cells
        taken |= cells


def test_queries_ask_for_what_can_be_chosen():
    names = {each["name"] for each in dashboard()["templating"]["list"]}
    for query in queries():
        assert "$instance" in query
        asked = set(re.findall(r"\$(\w+)", query))
        assert asked <= names | {"__rate_interval"}


def test_the_guide_says_what_to_do_about_each_alert():
    named = set(re.findall(r"^\| `(Srx\w+)`", GUIDE.read_text(), re.M))
    assert named == {rule.name for rule in rules()}
