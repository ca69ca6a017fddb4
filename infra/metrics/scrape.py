"""What is scraped, for a Prometheus of the stack's own and for an operator's. No Pulumi import.

A proxy is scraped at its agent's port, which the mesh leaves alone, so mutual TLS may be strict. The agent hands on
what the model server beside it measures. Samples carry the labels namespace and pod of the proxy, and model and version
where the pod is a model's.
"""

from collections.abc import Sequence
from typing import Any, Final

from infra import naming
from infra.metrics.rules import EXPORTER_JOB, ISTIOD_JOB, PROXIES_JOB, SERVERS_JOB

AGENT_PORT: Final = 15020
AGENT_PATH: Final = "/stats/prometheus"
EXPORTER_PORT: Final = 9099
# Istio's injector gives a proxy this port, by which its pod is known to have one.
_PROXY_PORT_NAME: Final = "http-envoy-prom"
_ISTIOD_PORT_NAME: Final = "http-monitoring"
_POD: Final = "__meta_kubernetes_pod_"
_COMPONENT: Final = f"{_POD}label_app_kubernetes_io_component"

Relabeling = dict[str, Any]


def proxies() -> list[Relabeling]:
    """Return the relabeling that picks the proxies among all pods."""
    return [
        _keep(f"{_POD}container_port_name", _PROXY_PORT_NAME),
        _drop(f"{_POD}phase", "Succeeded|Failed"),
        _address(AGENT_PORT),
        *_labels(),
    ]


def servers() -> list[Relabeling]:
    """Return the relabeling that picks the model servers without a proxy among the pods of the models' namespace."""
    return [
        _keep(_COMPONENT, "model-server"),
        _keep(f"{_POD}container_port_name", naming.HTTP_PORT_NAME),
        _drop(f"{_POD}annotationpresent_sidecar_istio_io_status", "true"),
        _drop(f"{_POD}phase", "Succeeded|Failed"),
        _address(naming.HTTP_PORT),
        *_labels(),
    ]


def istiod() -> list[Relabeling]:
    """Return the relabeling that picks istiod among the pods of its namespace."""
    return [
        _keep(f"{_POD}label_app", "istiod"),
        _keep(f"{_POD}container_port_name", _ISTIOD_PORT_NAME),
        _drop(f"{_POD}phase", "Succeeded|Failed"),
    ]


def prometheus_config(models: str, own: str, interval: int) -> dict[str, Any]:
    """Return prometheus.yml.

    Args:
        models: the models' namespace.
        own: the monitoring's, where the exporter is.
        interval: seconds between two scrapes.
    """

    def job(name: str, relabeling: Sequence[Relabeling], namespace: str | None = None, path: str = "/metrics") -> Any:  # noqa: ANN401 # JSON
        where = {"namespaces": {"names": [namespace]}} if namespace else {}
        return {
            "job_name": name,
            "metrics_path": path,
            "kubernetes_sd_configs": [{"role": "pod", **where}],
            "relabel_configs": list(relabeling),
        }

    exporter = {
        "job_name": EXPORTER_JOB,
        "honor_labels": True,  # its samples say which namespace they are of
        "static_configs": [{"targets": [f"{EXPORTER_JOB}.{own}.svc:{EXPORTER_PORT}"]}],
    }
    return {
        "global": {
            "scrape_interval": f"{interval}s",
            "scrape_timeout": f"{interval}s",
            "evaluation_interval": f"{interval}s",
        },
        "rule_files": ["/etc/prometheus/rules.yml"],
        "scrape_configs": [
            job(PROXIES_JOB, proxies(), path=AGENT_PATH),
            job(SERVERS_JOB, servers(), models, naming.METRICS_PATH),
            job(ISTIOD_JOB, istiod(), naming.ISTIO_NAMESPACE),
            exporter,
        ],
    }


def _keep(label: str, regex: str) -> Relabeling:
    return {"source_labels": [label], "regex": regex, "action": "keep"}


def _drop(label: str, regex: str) -> Relabeling:
    return {"source_labels": [label], "regex": regex, "action": "drop"}


def _address(port: int) -> Relabeling:
    return {"source_labels": [f"{_POD}ip"], "target_label": "__address__", "replacement": f"$1:{port}"}


def _labels() -> list[Relabeling]:
    own = [
        {"source_labels": [f"__meta_kubernetes_{name}"], "target_label": label}
        for name, label in (("namespace", "namespace"), ("pod_name", "pod"))
    ]
    models = [
        {"source_labels": [_COMPONENT, f"{_POD}label_{name}"], "regex": "model-server;(.+)", "target_label": label}
        for name, label in (("app", "model"), ("version", "version"))
    ]
    return [*own, *models]
