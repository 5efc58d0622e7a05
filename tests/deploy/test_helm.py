"""The Helm chart: Kubernetes takes what it makes, and the service can run in it."""

import re
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from srx_service import config
from srx_service.config_types import parse_size
from tests.blocks import ROOT, blocks
from tests.deploy.chart import CHART, Refused, helm

KUBERNETES = ("1.25", "1.37")
"""The oldest that Chart.yaml allows, and the newest whose schemas there are."""
EIGER = {
    "class": "Eiger",
    "dcu_host_purple": "172.18.14.6",
    "data_port": 21001,
    "dset_name": "/entry/instrument/eiger/data",
    "write_root": "/data/visitors",
}
EVERYTHING = {
    "hostNetwork": True,
    "extraEnv": [{"name": "LOG_LEVEL", "value": "DEBUG"}],
    "storage": {"hostPath": "/data", "mountPath": "/data", "subPath": "eiger"},
    "state": {"existingClaim": "journal"},
    "service": {"type": "LoadBalancer", "annotations": {"a": "b"}},
    "ingress": {
        "enabled": True,
        "className": "nginx",
        "host": "eiger.example.org",
        "annotations": {"a": "b"},
        "tlsSecretName": "certificate",
    },
    "serviceMonitor": {
        "enabled": True,
        "labels": {"release": "prometheus"},
        "authorization": {"credentials": {"name": "tokens", "key": "read"}},
    },
    "tokens": {"secretName": "tokens", "key": "all"},
    "nodeSelector": {"beamline": "cosaxs"},
    "tolerations": [{"key": "daq", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "daq",
    "serviceAccountName": "daq",
    "podAnnotations": {"k8s.v1.cni.cncf.io/networks": "detector"},
    "podLabels": {"beamline": "cosaxs"},
    "resources": {"limits": {"memory": "20Gi"}},
    "extraVolumes": [{"name": "keys", "secret": {"secretName": "curve"}}],
    "extraVolumeMounts": [{"name": "keys", "mountPath": "/etc/srx/keys"}],
}
"""Each setting of a detector, but for networkPolicy, which hostNetwork excludes."""
POLICY = {
    "httpFrom": [{"podSelector": {}}],
    "dataFrom": [{"ipBlock": {"cidr": "10.0.0.0/8"}}],
    "egress": [{"ports": [{"port": 2049}]}],
}
PREDECESSOR = """
daq:
  pipeline:
    template: streaming_receiver
    override:
      extraEnv:
        - name: LOG_LEVEL
          value: DEBUG
"""
"""The values that sites of the predecessor have."""


@pytest.fixture(scope="module")
def chart():
    with helm() as found:
        yield found


@pytest.fixture(scope="module")
def family(chart):
    """All of detectors.yaml as one release, with the predecessor's values."""
    return chart.render(FAMILY | yaml.safe_load(PREDECESSOR))


def detector(keys=None, **settings):
    return {"detectors": {"eiger": {"config": EIGER | (keys or {}), **settings}}}


def pod(rendered, end="eiger"):
    return rendered.one("Deployment", end)["spec"]["template"]["spec"]


def container(rendered, end="eiger"):
    [found] = pod(rendered, end)["containers"]
    return found


def environment(rendered, end="eiger"):
    return {item["name"]: item.get("value") for item in container(rendered, end)["env"]}


def entry_of(rendered, folder, name="eiger"):
    """Return what the service reads in the pod."""
    [path, arguments] = [folder / "detectors.yaml", container(rendered, name)["args"]]
    path.write_text(rendered.one("ConfigMap", name)["data"]["detectors.yaml"])
    assert arguments[:2] == ["run", "/etc/srx/detectors.yaml"]
    return config.load_one(path, arguments[2])


SITES = config.load(ROOT / "detectors.yaml")
VALUES = {
    "nothing": {},
    "one": detector(),
    "everything": detector({"state_dir": "/srv/state"}, **EVERYTHING),
    "policy": detector(networkPolicy=POLICY),
    "host name": detector({"dcu_host_purple": ["eiger-dcu", "172.18.14.6"]}),
    "predecessor": yaml.safe_load(PREDECESSOR),
}
FAMILY = {
    "detectorsFile": (ROOT / "detectors.yaml").read_text(),
    "detectors": {name: {} for name in SITES},
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_helm_finds_nothing_to_complain_of(chart, values):
    assert chart.lint(values) == []


@pytest.mark.parametrize("version", KUBERNETES)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_kubernetes_takes_all_of_it(chart, values, version):
    objects = chart.render(values).objects
    assert {"Deployment", "Service", "ConfigMap", "Pod"} <= {o["kind"] for o in objects}
    for found in objects:
        if found["kind"] != "ServiceMonitor":  # the Prometheus operator's, see below
            kubernetes_validate.validate(found, version, strict=True)


def test_what_kubernetes_does_not_take_is_found(chart):
    wrong = chart.render(detector(podSecurityContext={"runAsUser": "root"}))
    with pytest.raises(kubernetes_validate.ValidationError, match="root"):
        kubernetes_validate.validate(wrong.one("Deployment"), "1.37", strict=True)


def test_every_setting_there_is_was_used_in_these_tests():
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())["defaults"]
    used = {*EVERYTHING, "networkPolicy"}
    rest = {"podSecurityContext", "securityContext", "startupSeconds"}
    assert used | rest == set(defaults)


# -- what runs -------------------------------------------------------------------------


def test_a_detectors_yaml_is_taken_as_it_is(family, tmp_path):
    for name, entry in SITES.items():
        assert entry_of(family, tmp_path, f"srx-{name}") == entry


@pytest.mark.parametrize(
    "keys",
    [
        "buffer_limit: 8589934592, max_gap: 1000000",
        "buffer_limit: 8 GiB, file_mode: 0o640, checksum: on",
        "file_mode: 0640, dir_mode: '0o2770', rotate: yes, tot: ~",
        "dcu_host_purple: [a, b], dcu_port_purple: [9998, 9999]",
        "frames_per_chunk: auto, fill_value: -1, gap_timeout: .5",
        "pipeline: PilatusPipeline, mask: [[0, 2], [5, 9]]",
        "class: my_site.slowcam:Decoder, shutdown_timeout: 0",
    ],
)
def test_a_key_reaches_the_service_as_it_was_written(chart, tmp_path, keys):
    entry = {k: v for k, v in EIGER.items() if k not in keys}
    text = (
        f"eiger: {{ {yaml.safe_dump(entry, default_flow_style=True)[1:-2]}, {keys} }}"
    )
    source = tmp_path / "source.yaml"
    source.write_text(text)
    expected = config.load_one(source, "eiger")
    values = {"detectors": {"eiger": {"config": chart.read(text)["eiger"]}}}
    for given in (values, {"detectors": {"eiger": {}}, "detectorsFile": text}):
        assert entry_of(chart.render(given), tmp_path) == expected


def test_there_is_a_deployment_and_a_service_for_each_detector(family):
    names = [f"srx-{name}" for name in sorted(SITES)]
    for kind in ("Deployment", "Service", "ConfigMap", "NetworkPolicy"):
        assert [o["metadata"]["name"] for o in family.of(kind)] == names
    for service, runs in zip(
        family.of("Service"), family.of("Deployment"), strict=True
    ):
        chosen = service["spec"]["selector"].items()
        assert chosen <= runs["spec"]["template"]["metadata"]["labels"].items()
        assert chosen == runs["spec"]["selector"]["matchLabels"].items()


def test_a_service_leads_to_the_ports_the_entry_names(chart):
    rendered = chart.render(detector({"api_port": 5001}))
    ports = {p["name"]: p["containerPort"] for p in container(rendered)["ports"]}
    assert ports == {"http": 5001, "data": 21001}
    for port in rendered.one("Service")["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]


def test_a_port_that_publishes_is_opened_like_the_others(chart):
    file = yaml.safe_dump({"eiger": EIGER | {"pub_port": 21003}})
    rendered = chart.render({"detectors": {"eiger": {}}, "detectorsFile": file})
    assert {"name": "pub", "containerPort": 21003} in container(rendered)["ports"]
    service = rendered.one("Service")["spec"]["ports"]
    assert {"name": "pub", "port": 21003, "targetPort": "pub"} in service
    _, data = rendered.one("NetworkPolicy")["spec"]["ingress"]
    assert [port["port"] for port in data["ports"]] == ["data", "pub"]


def test_two_never_receive_at_a_time(chart):
    spec = chart.render(detector()).one("Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_a_stop_may_take_as_long_as_all_stages_together(chart):
    for keys, seconds in (({}, 45), ({"shutdown_timeout": 60.5}, 197)):
        spec = pod(chart.render(detector(keys)))
        assert spec["terminationGracePeriodSeconds"] == seconds


def test_another_configuration_is_another_pod(chart):
    one, same, other = (
        chart.render(detector({"nworkers": n})).one("Deployment") for n in (1, 1, 2)
    )
    assert one == same
    annotations = [
        found["spec"]["template"]["metadata"]["annotations"] for found in (one, other)
    ]
    assert annotations[0] != annotations[1]


def test_all_probes_ask_whether_it_is_ready(chart):
    found = container(chart.render(detector()))
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert found[probe]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_a_start_may_take_as_long_as_the_repair_of_files(chart):
    probe = container(chart.render(detector(startupSeconds=1800)))["startupProbe"]
    assert probe["failureThreshold"] * probe["periodSeconds"] == 1800


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"buffer_limit": "8 GiB", "forward_limit": "1.5 GB"},
        {"buffer_limit": 123_456_789, "reorder_limit": "512 MiB"},
    ],
)
def test_memory_is_enough_for_what_the_buffers_hold(chart, tmp_path, keys):
    rendered = chart.render(detector(keys))
    entry = entry_of(rendered, tmp_path)
    buffers = entry.buffer_limit + entry.forward_limit + entry.reorder_limit
    resources = container(rendered)["resources"]
    size = parse_size(resources["limits"]["memory"].replace("Mi", " MiB"))
    assert isinstance(size, int)
    assert buffers + (640 << 20) <= size < buffers + (641 << 20)
    assert resources["requests"] == {"cpu": "1", "memory": f"{size >> 20}Mi"}


def test_resources_of_ones_own_win(chart):
    rendered = chart.render(detector(resources={"limits": {"memory": "20Gi"}}))
    resources = container(rendered)["resources"]
    assert resources == {"requests": {"cpu": "1"}, "limits": {"memory": "20Gi"}}


def test_it_runs_with_no_rights(chart):
    rendered = chart.render(detector())
    assert pod(rendered)["securityContext"]["runAsNonRoot"] is True
    assert pod(rendered)["automountServiceAccountToken"] is False
    assert container(rendered)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_a_detector_may_differ_from_the_defaults(chart):
    values = detector(nodeSelector={"beamline": "cosaxs"})
    values["detectors"]["zyla"] = {"config": EIGER}
    values["defaults"] = {"nodeSelector": {"daq": "yes"}, "hostNetwork": True}
    rendered = chart.render(values)
    assert pod(rendered)["nodeSelector"] == {"daq": "yes", "beamline": "cosaxs"}
    assert pod(rendered, "zyla")["nodeSelector"] == {"daq": "yes"}
    assert pod(rendered)["dnsPolicy"] == "ClusterFirstWithHostNet"


def test_the_image_is_that_of_the_version(chart):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"]) == (version, version)
    assert container(chart.render())["image"] == f"srx:{version}"
    other = chart.render({"image": {"repository": "example.org/srx", "tag": "2.0"}})
    assert container(other)["image"] == "example.org/srx:2.0"


# -- where it writes -------------------------------------------------------------------


def mounts(rendered):
    volumes = {volume["name"]: volume for volume in pod(rendered)["volumes"]}
    return {
        mount["mountPath"]: {
            k: v for k, v in volumes[mount["name"]].items() if k != "name"
        }
        for mount in container(rendered)["volumeMounts"]
    }


def test_without_a_word_a_claim_is_made_that_outlives_the_release(chart):
    rendered = chart.render(detector(storage={"size": "2Ti", "storageClassName": "g"}))
    claim = {"persistentVolumeClaim": {"claimName": "srx-eiger-data"}}
    assert mounts(rendered)["/data"] == claim
    made = rendered.one("PersistentVolumeClaim", "data")
    assert made["spec"]["resources"] == {"requests": {"storage": "2Ti"}}
    assert made["spec"]["storageClassName"] == "g"
    assert made["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    ("storage", "volume"),
    [
        ({"existingClaim": "c"}, {"persistentVolumeClaim": {"claimName": "c"}}),
        ({"hostPath": "/d"}, {"hostPath": {"path": "/d", "type": "Directory"}}),
        ({"size": ""}, {"emptyDir": {}}),
    ],
)
def test_what_is_there_is_used(chart, storage, volume):
    rendered = chart.render(detector(storage=storage, state=storage))
    assert mounts(rendered)["/data"] == mounts(rendered)["/state"] == volume
    assert rendered.of("PersistentVolumeClaim") == []


def test_all_that_it_writes_to_is_mounted(chart, tmp_path):
    rendered = chart.render(detector({"state_dir": "/srv/journal"}))
    found = mounts(rendered)
    entry = entry_of(rendered, tmp_path)
    assert str(entry.state_dir) in found
    assert environment(rendered)["NUMBA_CACHE_DIR"] in found
    assert "/tmp" in found
    assert any(entry.write_root.is_relative_to(path) for path in found)


def test_without_a_state_dir_the_journal_is_on_a_volume(chart):
    rendered = chart.render(detector())
    assert environment(rendered)["XDG_STATE_HOME"] in mounts(rendered)


def test_a_write_root_that_is_on_no_volume_is_told(chart):
    for root, is_told in (("/data", False), ("/data/a", False), ("/database", True)):
        notes = chart.render(detector({"write_root": root})).notes
        assert ("is not below storage.mountPath" in notes) is is_told


# -- who may ---------------------------------------------------------------------------


def test_tokens_come_from_a_secret(chart):
    rendered = chart.render(detector(tokens={"secretName": "daq", "key": "all"}))
    [volume] = [v for v in pod(rendered)["volumes"] if v["name"] == "tokens"]
    assert volume["secret"]["secretName"] == "daq"
    [item] = volume["secret"]["items"]
    [mount] = [
        m for m in container(rendered)["volumeMounts"] if m["name"] == volume["name"]
    ]
    path = Path(mount["mountPath"], item["path"])
    assert (item["key"], environment(rendered)["SRX_API_TOKEN_FILE"]) == (
        "all",
        str(path),
    )


def test_without_tokens_that_is_told(chart):
    assert "whoever reaches its ports may do everything" in chart.render().notes
    safe = chart.render(detector(tokens={"secretName": "daq"}))
    assert "may do everything" not in safe.notes


def test_it_may_connect_to_its_detector_and_nothing_else(chart):
    rendered = chart.render(detector({"dcu_host_purple": ["172.18.1.5", "172.18.1.6"]}))
    names, detectors = rendered.one("NetworkPolicy")["spec"]["egress"]
    assert {p["port"] for p in names["ports"]} == {53}
    addresses = [peer["ipBlock"]["cidr"] for peer in detectors["to"]]
    assert addresses == ["172.18.1.5/32", "172.18.1.6/32"]


def test_a_host_by_name_may_be_anywhere(chart):
    rendered = chart.render(VALUES["host name"])
    assert rendered.one("NetworkPolicy")["spec"]["egress"][1:] == [{}]


def test_who_may_connect_is_chosen_port_by_port(chart):
    rendered = chart.render(detector(networkPolicy=POLICY))
    http, data = rendered.one("NetworkPolicy")["spec"]["ingress"]
    assert (http["ports"][0]["port"], http["from"]) == ("http", POLICY["httpFrom"])
    assert (data["ports"][0]["port"], data["from"]) == ("data", POLICY["dataFrom"])


def test_the_network_of_the_node_has_no_policy(chart):
    assert chart.render(detector(hostNetwork=True)).of("NetworkPolicy") == []
    off = chart.render(detector(networkPolicy={"enabled": False}))
    assert off.of("NetworkPolicy") == []


# -- what looks at it ------------------------------------------------------------------


def test_the_prometheus_operator_finds_its_metrics(chart):
    rendered = chart.render(VALUES["everything"])
    monitor, service = rendered.one("ServiceMonitor"), rendered.one("Service")
    assert monitor["apiVersion"] == "monitoring.coreos.com/v1"
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    labels = service["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["spec"]["jobLabel"] in labels
    [endpoint] = monitor["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert endpoint["path"] == "/metrics"
    assert endpoint["authorization"]["credentials"]["key"] == "read"
    [label] = endpoint["relabelings"]
    assert label == {"targetLabel": "instance", "replacement": "beamline/eiger"}


def test_alerts_are_those_of_any_prometheus(chart):
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    values = {"alerts": {"enabled": True, "labels": {"release": "prometheus"}}}
    made = chart.render(detector() | values).one("PrometheusRule")
    assert made["spec"] == rules
    assert made["metadata"]["labels"]["release"] == "prometheus"
    # which they ask for, and which the monitor takes from the Service
    job = chart.render(detector()).one("Service")["metadata"]["labels"]
    assert f'job="{job["app.kubernetes.io/name"]}"' in str(rules)


def test_rules_are_made_only_where_they_are_wanted(chart):
    assert chart.render(detector()).of("PrometheusRule") == []


def test_a_monitor_is_made_only_where_it_is_wanted(chart):
    assert chart.render(detector()).of("ServiceMonitor") == []


def test_a_browser_outside_finds_the_page(chart):
    rendered = chart.render(VALUES["everything"])
    ingress = rendered.one("Ingress")["spec"]
    [rule] = ingress["rules"]
    [path] = rule["http"]["paths"]
    service = rendered.one("Service")
    backend = {"name": service["metadata"]["name"], "port": {"name": "http"}}
    assert (rule["host"], path["backend"]["service"]) == ("eiger.example.org", backend)
    assert ingress["tls"][0]["hosts"] == ["eiger.example.org"]


# -- the predecessor's values ----------------------------------------------------------


def test_the_predecessors_values_are_taken_as_they_are(chart, family):
    alone = chart.render(chart.read(PREDECESSOR))
    assert environment(alone)["LOG_LEVEL"] == "DEBUG"
    for name in SITES:
        assert environment(family, f"srx-{name}")["LOG_LEVEL"] == "DEBUG"


LEVEL = [{"name": "LOG_LEVEL", "value": "DEBUG"}]


@pytest.mark.parametrize(
    "override",
    [
        {"extraEnv": {"LOG_LEVEL": "DEBUG"}},
        {"streaming_receiver": {"extraEnv": LEVEL}},
        {"template": {"containers": [{"extraEnv": LEVEL}]}},
    ],
)
def test_extra_env_may_stand_anywhere_in_the_override(chart, override):
    pipeline = {"template": "streaming_receiver", "override": override}
    for daq in ({"pipeline": pipeline}, {"pipeline": [pipeline]}):
        rendered = chart.render({"daq": daq})
        assert environment(rendered)["LOG_LEVEL"] == "DEBUG"
        assert "without effect" not in rendered.notes


def test_what_is_known_of_the_override_holds_and_the_rest_is_told(chart):
    override = {"hostNetwork": True, "replicas": 2, "storage": {"hostPath": "/d"}}
    pipeline = {"template": "streaming_receiver", "override": override}
    rendered = chart.render(detector() | {"daq": {"pipeline": pipeline}})
    assert pod(rendered)["hostNetwork"] is True
    assert mounts(rendered)["/data"]["hostPath"]["path"] == "/d"
    assert "override: replicas: not known here, without effect" in rendered.notes


def test_the_environment_of_a_detector_wins_over_the_defaults(chart):
    values = detector(extraEnv={"LOG_LEVEL": "WARNING", "NUMBER": 1_000_000})
    values["defaults"] = {"extraEnv": [*LEVEL, {"name": "OTHER", "value": True}]}
    found = environment(chart.render(values))
    assert found["LOG_LEVEL"] == "WARNING"
    assert (found["NUMBER"], found["OTHER"]) == ("1000000", "true")
    names = [item["name"] for item in container(chart.render(values))["env"]]
    assert len(names) == len(set(names))


def test_an_environment_variable_may_come_from_a_secret(chart):
    source = {"secretKeyRef": {"name": "daq", "key": "token"}}
    item = {"name": "SRX_API_TOKEN", "valueFrom": source}
    assert item in container(chart.render(detector(extraEnv=[item])))["env"]


# -- what is refused -------------------------------------------------------------------


REFUSED = {
    "a key that detectors.yaml does not know": (
        detector({"nworker": 4}),
        "nworker",
    ),
    "a value that a key cannot have": (detector({"api_port": 70_000}), "65,?535"),
    "a setting that the chart does not know": (detector(replicas=2), "replicas"),
    "a whole key that the chart does not know": ({"detector": {}}, "detector"),
    "an entry for all detectors": ({"defaults": {"config": EIGER}}, "defaults"),
    "no configuration": (
        {"detectors": {"eiger": {}}, "detectorsFile": "zyla: {class: Detector}"},
        "no entry of this name; there are: zyla",
    ),
    "a file that is not YAML": (
        {"detectors": {"eiger": {}}, "detectorsFile": "{"},
        "detectorsFile is not YAML",
    ),
    "any free port": (detector({"data_port": 0}), "data_port is 0"),
    "a port for probes that they cannot reach": (
        detector({"api_host": "127.0.0.1"}),
        "api_host 127.0.0.1 is reached from inside the pod only",
    ),
    "two names that are one": (
        {"detectors": {"a_b": {"config": EIGER}, "a-b": {"config": EIGER}}},
        "both called a-b in Kubernetes",
    ),
    "a name that is none in Kubernetes": (
        {"detectors": {"Ä": {"config": EIGER}}},
        "has no letter or digit",
    ),
    "another program's values": (
        {"daq": {"pipeline": {"template": "dranspose"}}},
        "should be streaming_receiver",
    ),
    "a page without a name": (
        detector(ingress={"enabled": True}),
        "ingress.host is missing",
    ),
}


@pytest.mark.parametrize(("values", "text"), REFUSED.values(), ids=REFUSED)
def test_values_that_cannot_be_used_are_refused_in_words(chart, values, text):
    with pytest.raises(Refused, match=text):
        chart.render(values)


# -- what is told ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        block
        for block in blocks("yaml")
        if block.file in ("docs/how-to/deploy.md", "deploy/helm/srx/README.md")
        and re.search(r"^(detectors|daq|defaults):", block.text, re.M)
    ],
    ids=lambda block: f"{block.file}:{block.line}",
)
def test_values_in_the_documents_are_taken(chart, block):
    values = chart.read(block.text)
    assert chart.lint(values) == []
    assert chart.render(values).of("Deployment")
