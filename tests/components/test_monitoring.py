"""Monitoring by kind: what is registered, what it may read, and what stays out of sight."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from infra.metrics import series
from infra.monitoring import grafana_url, port_forward
from tests.components.conftest import Program, Record
from tests.components.test_program import (
    DEPLOYMENT,
    RELEASE,
    SECRET,
    SERVICE,
    STASH,
    VIRTUAL_SERVICE,
    deploy,
    strings,
)

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
HOME = "tfserving-monitoring"


@pytest.fixture
def bundled(record: Record) -> Program:
    return deploy(record, monitoring={"kind": "bundled"})


def istiod(program: Program) -> dict[str, Any]:
    (found,) = [each for each in program.of(RELEASE) if each.name == "istio-istiod"]
    return dict(found.inputs["values"])


def files(program: Program, name: str) -> dict[str, str]:
    (found,) = [each for each in program.of(CONFIG_MAP) if each.name == name]
    return dict(found.inputs["data"])


def test_a_stack_that_says_nothing_of_monitoring_has_none_of_it(record: Record) -> None:
    program = deploy(record)
    assert not [each for each in program.resources if "onitoring" in each.token or HOME in json.dumps(each.inputs)]
    for each in program.of(DEPLOYMENT):
        assert "prometheus.io/scrape" not in each.inputs["spec"]["template"]["metadata"]["annotations"]
    assert "proxyStatsMatcher" not in istiod(program)["meshConfig"]["defaultConfig"]


def test_prometheus_has_its_config_and_the_rules(bundled: Program) -> None:
    given = files(bundled, "prometheus-config")
    jobs = [job["job_name"] for job in yaml.safe_load(given["prometheus.yml"])["scrape_configs"]]
    assert jobs == ["tfserving-proxies", "tfserving-servers", "tfserving-istiod", "tfserving-exporter"]
    recorded = [rule.get("record") for group in yaml.safe_load(given["rules.yml"])["groups"] for rule in group["rules"]]
    assert series.SHARE in recorded


def test_prometheus_may_read_pods_and_nothing_else(bundled: Program) -> None:
    role = bundled.one("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole")
    assert role.inputs["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]


def test_the_exporter_may_list_routes_and_pods_of_the_models_alone(bundled: Program) -> None:
    role = bundled.one("kubernetes:rbac.authorization.k8s.io/v1:Role")
    assert role.inputs["metadata"]["namespace"] == "models"
    assert {verb for rule in role.inputs["rules"] for verb in rule["verbs"]} == {"list"}
    (config,) = [each for each in bundled.of(CONFIG_MAP) if each.name == "tfserving-exporter-config"]
    compile(config.inputs["data"]["exporter.py"], "exporter.py", "exec")


@pytest.mark.parametrize("persistent", [True, False])
def test_prometheus_keeps_its_data_on_a_volume_unless_told_not_to(record: Record, *, persistent: bool) -> None:
    prometheus = {"persistent": persistent, "storage": "10Gi", "retentionDays": 30}
    spec = deploy(record, monitoring={"kind": "bundled", "prometheus": prometheus}).one(STATEFUL_SET).inputs["spec"]
    volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}
    if persistent:
        assert spec["volumeClaimTemplates"][0]["spec"]["resources"]["requests"] == {"storage": "10Gi"}
        assert "data" not in volumes
    else:
        assert "volumeClaimTemplates" not in spec
        assert volumes["data"]["emptyDir"] == {"sizeLimit": "10Gi"}
    arguments = spec["template"]["spec"]["containers"][0]["args"]
    assert "--storage.tsdb.retention.time=30d" in arguments
    assert f"--storage.tsdb.retention.size={8 * 2**30}B" in arguments


def test_no_measuring_pod_has_a_sidecar_or_runs_as_root(bundled: Program) -> None:
    pods = [each.inputs["spec"]["template"] for kind in (DEPLOYMENT, STATEFUL_SET) for each in bundled.of(kind)
            if each.inputs["metadata"]["namespace"] == HOME]  # fmt: skip
    assert pods
    for pod in pods:
        assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize(("telemetry", "counted"), [("istio", False), ("envoy", True)])
def test_proxies_keep_the_statistics_that_the_rules_read(record: Record, telemetry: str, *, counted: bool) -> None:
    program = deploy(record, monitoring={"kind": "bundled", "telemetry": telemetry})
    kept = istiod(program)["meshConfig"]["defaultConfig"]["proxyStatsMatcher"]["inclusionRegexps"]
    assert matches(kept, "cluster.outbound|8501|v1|inception.models.svc.cluster.local.upstream_rq_active")
    for name in ("outbound|8501|v1|inception.models.svc.cluster.local", "inbound|8501||"):
        assert matches(kept, f"cluster.{name}.upstream_rq_503") is counted
        assert matches(kept, f"cluster.{name}.upstream_rq_time") is counted
    assert not matches(kept, "cluster.outbound|80||other.default.svc.cluster.local.upstream_rq_200")


def matches(patterns: list[str], name: str) -> bool:

    return any(re.fullmatch(pattern, name) for pattern in patterns)


def test_a_models_pods_hand_on_their_servers_metrics(bundled: Program) -> None:
    for name in ("inception-v1", "inception-v2"):
        annotations = bundled.one(DEPLOYMENT, name).inputs["spec"]["template"]["metadata"]["annotations"]
        assert annotations["prometheus.io/path"] == "/monitoring/prometheus/metrics"
        assert annotations["prometheus.io/port"] == "8501"


def test_a_step_changes_nothing_that_measures(record: Record) -> None:
    def measuring(weight: int) -> dict[str, Any]:
        program = deploy(record, v2Weight=weight, monitoring={"kind": "bundled"})
        made = [each for each in program.resources if HOME in json.dumps(each.inputs) and not each.secrets]
        return {each.name: each.inputs for each in made}

    assert measuring(5) == measuring(50)


def test_grafana_is_at_the_host_below_a_path_and_lets_nobody_in_without_the_password(record: Record) -> None:
    program = deploy(record, monitoring={"kind": "bundled"}, host="models.example.com", tls={"kind": "ca"})
    (container,) = program.one(DEPLOYMENT, "grafana").inputs["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["GF_SERVER_ROOT_URL"] == "https://models.example.com/grafana/"
    assert environment["GF_SECURITY_COOKIE_SECURE"] == "true"
    assert environment["GF_SERVER_SERVE_FROM_SUB_PATH"] == "true"
    assert environment["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    route = program.one(VIRTUAL_SERVICE, "grafana").inputs
    assert (route["metadata"]["namespace"], route["spec"]["hosts"]) == ("models", ["models.example.com"])
    assert route["spec"]["gateways"] == ["ingress"]
    destination = route["spec"]["http"][0]["route"][0]["destination"]
    assert destination["host"] == f"grafana.{HOME}.svc.cluster.local"


def test_no_password_travels_in_the_clear(record: Record) -> None:
    program = deploy(record, monitoring={"kind": "bundled"}, host="models.example.com", plainHttp="true")
    assert [each.inputs["metadata"]["name"] for each in program.of(VIRTUAL_SERVICE)] == ["inception"]
    (container,) = program.one(DEPLOYMENT, "grafana").inputs["spec"]["template"]["spec"]["containers"]
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["GF_SERVER_ROOT_URL"] == "http://localhost:3000/grafana/"


def test_grafanas_password_is_secret_and_kept(bundled: Program) -> None:
    (kept,) = [each for each in bundled.of(STASH) if each.name == "grafana-password"]
    assert kept.ignore_changes == ("input",)
    assert "input" in kept.secrets
    password = kept.inputs["input"]
    assert len(password) >= 32
    shown = [(each.name, path) for each in bundled.resources for path, text in strings(each.inputs) if password in text]
    assert shown == [("grafana-password", "input"), ("grafana-admin", "stringData.password")]
    (secret,) = [each for each in bundled.of(SECRET) if each.name == "grafana-admin"]
    assert "stringData.password" in secret.secrets


def test_without_a_host_grafana_is_reached_by_a_port_forward(bundled: Program) -> None:
    assert not [each for each in bundled.of(VIRTUAL_SERVICE) if each.inputs["metadata"]["name"] == "grafana"]
    assert bundled.one(SERVICE, "grafana").inputs["metadata"]["namespace"] == HOME
    assert port_forward(HOME, "grafana", 3000) == f"kubectl --namespace {HOME} port-forward service/grafana 3000"
    assert grafana_url(None) == "http://localhost:3000/grafana"


def test_grafana_finds_its_data_source_and_dashboards(bundled: Program) -> None:
    provisioning = files(bundled, "grafana-provisioning")
    (source,) = yaml.safe_load(provisioning["datasources_prometheus.yaml"])["datasources"]
    service = bundled.one(SERVICE, "prometheus").inputs["spec"]["ports"][0]
    assert source["url"] == f"http://prometheus:{service['port']}"
    shown = files(bundled, "grafana-dashboards")
    assert {panel["datasource"]["uid"] for text in shown.values() for panel in json.loads(text)["panels"]} == {
        source["uid"]
    }
    spec = bundled.one(DEPLOYMENT, "grafana").inputs["spec"]["template"]["spec"]
    volumes = {volume["name"]: volume for volume in spec["volumes"]}
    paths = {item["key"]: item["path"] for item in volumes["provisioning"]["configMap"]["items"]}
    assert paths == {
        "datasources_prometheus.yaml": "datasources/prometheus.yaml",
        "dashboards_models.yaml": "dashboards/models.yaml",
    }


def test_grafana_can_be_left_out(record: Record) -> None:
    program = deploy(record, monitoring={"kind": "bundled", "grafana": {"enabled": False}})
    assert not [each for each in program.resources if "grafana" in each.name]


def test_an_operators_prometheus_gets_the_same_jobs_and_rules(record: Record) -> None:
    program = deploy(record, monitoring={"kind": "operator", "labels": {"release": "stack"}})
    assert not program.of(STATEFUL_SET)
    own = [each for each in program.resources if "monitoring.coreos.com" in each.token]
    assert all(each.inputs["metadata"]["labels"]["release"] == "stack" for each in own)
    monitors = [each for each in own if each.token.endswith("Monitor")]
    endpoints = [
        each.inputs["spec"].get("podMetricsEndpoints") or each.inputs["spec"]["endpoints"] for each in monitors
    ]
    jobs = [endpoint[0]["relabelings"][-1] for endpoint in endpoints]
    bundled = yaml.safe_load(
        files(deploy(record, monitoring={"kind": "bundled"}), "prometheus-config")["prometheus.yml"]
    )
    assert [job["replacement"] for job in jobs] == [job["job_name"] for job in bundled["scrape_configs"]]
    assert {job["targetLabel"] for job in jobs} == {"job"}
    (rule,) = [each for each in own if each.token.endswith("PrometheusRule")]
    assert series.SHARE in [each.get("record") for group in rule.inputs["spec"]["groups"] for each in group["rules"]]
    (shown,) = [each for each in program.of(CONFIG_MAP) if each.name == "tfserving-mesh-dashboards"]
    assert shown.inputs["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert set(shown.inputs["data"]) == {"rollout.json", "mesh.json", "serving.json"}
