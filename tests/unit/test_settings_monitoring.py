"""What a stack may say of monitoring, and what is said of what it may not."""

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]


def test_nothing_is_measured_unless_asked_for(stack: Make, inception: dict[str, Any]) -> None:
    monitoring = stack(models=inception).parse().monitoring
    assert (monitoring.kind, monitoring.is_on) == ("none", False)


def test_a_kind_is_enough(stack: Make, inception: dict[str, Any]) -> None:
    monitoring = stack(models=inception, monitoring={"kind": "bundled"}).parse().monitoring
    assert monitoring.is_on
    assert (monitoring.telemetry, monitoring.interval_seconds, monitoring.grafana.enabled) == ("istio", 15, True)
    assert (monitoring.prometheus.persistent, monitoring.prometheus.retention_days) == (True, 15)


@pytest.mark.parametrize(
    ("given", "key", "fix"),
    [
        ({"kind": "bundeld"}, "kind", "pulumi config set --path monitoring.kind none"),
        ({"kind": "bundled", "telemetry": "otel"}, "telemetry", "pulumi config set --path monitoring.telemetry istio"),
        ({"kind": "bundled", "intervalSeconds": 60}, "intervalSeconds",
         "pulumi config set --path monitoring.intervalSeconds 15"),
        ({"kind": "bundled", "prometheus": {"image": "prom/prometheus"}}, "prometheus.image",
         "pulumi config set --path monitoring.prometheus.image prom/prometheus:2.20.0"),
        ({"kind": "operator", "grafana": {"enabled": True}}, "grafana", "pulumi config rm --path monitoring.grafana"),
        ({"kind": "bundled", "labels": {"release": "x"}}, "labels", "pulumi config rm --path monitoring.labels"),
        ({"kind": "bundled", "namespace": "models"}, "namespace", "pulumi config rm --path monitoring.namespace"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_with_what_mends_it(
    stack: Make, inception: dict[str, Any], given: dict[str, Any], key: str, fix: str
) -> None:
    broken = stack(models=inception, monitoring=given)
    problem = broken.only()
    assert (problem.key, problem.fix) == (f"monitoring.{key}", fix)
    broken.mend()


def test_labels_are_kubernetes_labels(stack: Make, inception: dict[str, Any]) -> None:
    good = stack(models=inception, monitoring={"kind": "operator", "labels": {"release": "kube-prometheus-stack"}})
    assert good.parse().monitoring.labels == {"release": "kube-prometheus-stack"}
    broken = stack(models=inception, monitoring={"kind": "operator", "labels": {"release": "two words"}})
    assert broken.only().key == "monitoring.labels"
