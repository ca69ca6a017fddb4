"""What stands in for parts of Prometheus and Grafana in the sandbox does what the real ones are documented to do."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from infra.metrics import scrape, workloads
from infra.metrics.dashboards import dashboards
from sandbox.paths import CHECKOUT


def program(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, CHECKOUT / "sandbox/images" / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DISCOVERY = program("prometheus/discovery.py")
GRAFANA = program("grafana/grafana.py")
POD = {
    "metadata": {
        "namespace": "models",
        "name": "m-v1-1",
        "labels": {"app": "m", "app.kubernetes.io/component": "model-server"},
        "annotations": {"sidecar.istio.io/status": "{}"},
    },
    "spec": {
        "containers": [{"name": "serving", "ports": [{"name": "http-serving", "containerPort": 8501}]}],
        "initContainers": [
            {"name": "istio-init"},
            {"name": "istio-proxy", "ports": [{"name": "http-envoy-prom", "containerPort": 15090}]},
        ],
    },
    "status": {"podIP": "10.0.0.7", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}


def test_each_port_of_each_container_is_a_target_with_prometheus_own_labels() -> None:
    found = {group["targets"][0]: group["labels"] for group in DISCOVERY.targets(POD)}
    assert list(found) == ["10.0.0.7:8501", "10.0.0.7", "10.0.0.7:15090"]
    proxy = found["10.0.0.7:15090"]
    assert proxy["__meta_kubernetes_pod_container_port_name"] == "http-envoy-prom"
    assert proxy["__meta_kubernetes_pod_container_init"] == "true"
    assert proxy["__meta_kubernetes_pod_label_app_kubernetes_io_component"] == "model-server"
    assert proxy["__meta_kubernetes_pod_annotationpresent_sidecar_istio_io_status"] == "true"
    assert proxy["__meta_kubernetes_pod_ready"] == "true"
    assert list(DISCOVERY.targets({**POD, "status": {"phase": "Pending"}})) == []


def test_prometheus_is_told_to_ask_for_pods_here_and_nothing_else_changes() -> None:
    before = scrape.prometheus_config("models", "home", 5)
    after = DISCOVERY.translated(scrape.prometheus_config("models", "home", 5))
    asked = [job.pop("http_sd_configs", [{}])[0].get("url") for job in after["scrape_configs"]]
    assert asked == [f"http://127.0.0.1:9089/{path}" for path in ("", "models", "istio-system")] + [None]
    for job in before["scrape_configs"]:
        job.pop("kubernetes_sd_configs", None)
    assert after == before


@pytest.fixture
def provisioned(tmp_path: Path) -> Any:
    boards = tmp_path / "boards"
    boards.mkdir()
    for name, text in dashboards().items():
        (boards / name).write_text(text)
    for key, content in workloads.grafana_provisioning().items():
        for provider in content.get("providers", []):
            provider["options"]["path"] = str(boards)
        file = tmp_path / key.replace("_", "/", 1)
        file.parent.mkdir()
        file.write_text(json.dumps(content))
    return tmp_path


def test_dashboards_are_shown_to_who_is_known(provisioned: Path) -> None:
    has = GRAFANA.Provisioned(provisioned)
    assert GRAFANA.answer("/api/health", known=False, provisioned=has)[0] == 200
    assert GRAFANA.answer("/api/search", known=False, provisioned=has)[0] == 401
    code, found = GRAFANA.answer("/api/search", known=True, provisioned=has)
    assert (code, len(found)) == (200, 3)


def test_a_panel_without_a_data_source_ends_it_with_the_reason(provisioned: Path) -> None:
    (provisioned / "datasources/prometheus.yaml").write_text(json.dumps({"apiVersion": 1, "datasources": []}))
    with pytest.raises(SystemExit, match="reads a data source that is not provisioned"):
        GRAFANA.Provisioned(provisioned)
