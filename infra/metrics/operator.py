"""The objects of a Prometheus Operator by which its Prometheus does what a bundled one does. No Pulumi import.

Their relabeling sets the label job, as the rules know the jobs by the names that a bundled Prometheus gives them.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from infra import naming
from infra.metrics import scrape
from infra.metrics.rules import EXPORTER_JOB, ISTIOD_JOB, PROXIES_JOB, SERVERS_JOB
from infra.metrics.workloads import selector

API: Final = "monitoring.coreos.com/v1"
# By which kube-prometheus-stack's Grafana finds dashboards.
DASHBOARD_LABELS: Final = {"grafana_dashboard": "1"}


def monitors(models: str, interval: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield kind, name and spec of each object that says what to scrape.

    Args:
        models: the models' namespace.
        interval: seconds between two scrapes.
    """
    for job, relabelings, namespaces, path in (
        (PROXIES_JOB, scrape.proxies(), {"any": True}, scrape.AGENT_PATH),
        (SERVERS_JOB, scrape.servers(), {"matchNames": [models]}, naming.METRICS_PATH),
        (ISTIOD_JOB, scrape.istiod(), {"matchNames": [naming.ISTIO_NAMESPACE]}, "/metrics"),
    ):
        endpoint = {"path": path, "interval": f"{interval}s", "relabelings": _named(job, relabelings)}
        yield "PodMonitor", job, {"selector": {}, "namespaceSelector": namespaces, "podMetricsEndpoints": [endpoint]}
    exporter: dict[str, Any] = {
        "port": "http",
        "interval": f"{interval}s",
        "honorLabels": True,  # its samples say which namespace they are of
        "relabelings": _named(EXPORTER_JOB, []),
    }
    yield "ServiceMonitor", EXPORTER_JOB, {"selector": {"matchLabels": selector(EXPORTER_JOB)}, "endpoints": [exporter]}


def _named(job: str, relabelings: Sequence[scrape.Relabeling]) -> list[dict[str, Any]]:
    keys = {"source_labels": "sourceLabels", "target_label": "targetLabel"}
    operators = [{keys.get(key, key): value for key, value in each.items()} for each in relabelings]
    return [*operators, {"targetLabel": "job", "replacement": job}]
