"""Monitoring by kind: what is registered, what it may read, and what stays out of sight."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from infra.metrics import series
from tests.components.conftest import Program, Record
from tests.components.test_program import DEPLOYMENT, RELEASE, deploy

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
    assert "defaultConfig" not in istiod(program)["meshConfig"]


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
    def measuring(weight: int) -> list[Any]:
        program = deploy(record, v2Weight=weight, monitoring={"kind": "bundled"})
        return [(each.name, each.inputs) for each in program.resources if HOME in json.dumps(each.inputs)]

    assert measuring(5) == measuring(50)
