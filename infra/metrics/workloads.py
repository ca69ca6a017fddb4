"""The pods that measure: the exporter of weights, Prometheus, and Grafana, as Kubernetes' specs. No Pulumi import.

None of them has a sidecar, none runs as root, and none writes outside of its own volume.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra import naming
from infra.config_fields import octets
from infra.config_monitoring import GrafanaSettings, PrometheusSettings
from infra.metrics.rules import EXPORTER_JOB
from infra.metrics.scrape import EXPORTER_PORT

PROMETHEUS: Final = "prometheus"
PROMETHEUS_PORT: Final = 9090
GRAFANA: Final = "grafana"
GRAFANA_PORT: Final = 3000
GRAFANA_PATH: Final = "/grafana"
_NOBODY: Final = 65534
_GRAFANA_USER: Final = 472  # the image's own
# Old data goes when it fills this much of the disk: Prometheus counts neither what it writes nor what it merges.
_FULL: Final = 0.8


def selector(name: str) -> dict[str, str]:
    """Return the labels that a workload's pods are found by."""
    return {"app": name, "app.kubernetes.io/part-of": naming.PROJECT}


def exporter(image: str, models: str, config: Any, account: Any) -> dict[str, Any]:  # noqa: ANN401 # names may be Outputs
    """Return the spec of the exporter's Deployment; `config` and `account` are names."""
    command = ["python3", "/etc/exporter/exporter.py", models, str(EXPORTER_PORT), naming.PROJECT]
    container = {
        **_container(EXPORTER_JOB, image, EXPORTER_PORT, "/healthz"),
        "command": command,
        "env": [{"name": "PYTHONDONTWRITEBYTECODE", "value": "1"}],
        "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/exporter", "readOnly": True}],
    }
    pod = {"serviceAccountName": account, **_pod(_NOBODY, [container], {"config": {"configMap": {"name": config}}})}
    return _workload(EXPORTER_JOB, pod)


def prometheus(settings: PrometheusSettings, config: Any, account: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the spec of Prometheus' StatefulSet; its volume outlives it."""
    size = f"{int(octets(settings.storage) * int(_FULL * 10) / 10)}B"
    container = {
        **_container(PROMETHEUS, settings.image, PROMETHEUS_PORT, "/-/ready"),
        "args": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--storage.tsdb.retention.time={settings.retention_days}d",
            f"--storage.tsdb.retention.size={size}",
        ],
        "resources": {
            "requests": settings.resources.filled().requests.by_name(),
            "limits": settings.resources.filled().limits.by_name(),
        },
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/prometheus", "readOnly": True},
            {"name": "data", "mountPath": "/prometheus"},
        ],
    }
    volumes: dict[str, Any] = {"config": {"configMap": {"name": config}}}
    if not settings.persistent:
        volumes["data"] = {"emptyDir": {"sizeLimit": settings.storage}}
    pod = {"serviceAccountName": account, **_pod(_NOBODY, [container], volumes)}
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": settings.storage}}},
    }
    claims = {"volumeClaimTemplates": [claim]} if settings.persistent else {}
    return {"serviceName": PROMETHEUS, **_workload(PROMETHEUS, pod), **claims}


def grafana(
    settings: GrafanaSettings,
    url: str,
    *,
    provisioning: Any,  # noqa: ANN401
    dashboards: Any,  # noqa: ANN401
    password: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Return the spec of Grafana's Deployment.

    Args:
        settings: its image.
        url: where browsers find it, with `GRAFANA_PATH`.
        provisioning: the name of the ConfigMap with its data source and where its dashboards are.
        dashboards: the name of the ConfigMap with the dashboards.
        password: the name of the Secret with the password of `admin`.
    """
    environment = {
        "GF_SERVER_ROOT_URL": f"{url}/",
        "GF_SERVER_SERVE_FROM_SUB_PATH": "true",
        "GF_SECURITY_COOKIE_SECURE": "true" if url.startswith("https:") else "false",
        "GF_AUTH_ANONYMOUS_ENABLED": "false",
        "GF_USERS_ALLOW_SIGN_UP": "false",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_PATHS_PROVISIONING": "/etc/grafana-provisioning",
    }
    secret = {"secretKeyRef": {"name": password, "key": "password"}}
    container = {
        **_container(GRAFANA, settings.image, GRAFANA_PORT, f"{GRAFANA_PATH}/api/health"),
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            {"name": "GF_SECURITY_ADMIN_PASSWORD", "valueFrom": secret},
        ],
        "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [
            {"name": "provisioning", "mountPath": "/etc/grafana-provisioning", "readOnly": True},
            {"name": "dashboards", "mountPath": "/etc/grafana-dashboards", "readOnly": True},
            {"name": "data", "mountPath": "/var/lib/grafana"},
        ],
    }
    items = [{"key": key, "path": key.replace("_", "/", 1)} for key in grafana_provisioning()]
    volumes = {
        "provisioning": {"configMap": {"name": provisioning, "items": items}},
        "dashboards": {"configMap": {"name": dashboards}},
        "data": {"emptyDir": {}},  # all that is worth keeping comes from the program
    }
    return _workload(GRAFANA, _pod(_GRAFANA_USER, [container], volumes))


def grafana_provisioning() -> dict[str, dict[str, Any]]:
    """Return Grafana's provisioning files: by name, with its folder and an underscore before it."""
    source = {
        "name": "Prometheus",
        "uid": PROMETHEUS,
        "type": "prometheus",
        "access": "proxy",
        "url": f"http://{PROMETHEUS}:{PROMETHEUS_PORT}",
        "isDefault": True,
    }
    provider = {
        "name": naming.PROJECT,
        "type": "file",
        "folder": "Models",
        "allowUiUpdates": False,
        "options": {"path": "/etc/grafana-dashboards"},
    }
    return {
        "datasources_prometheus.yaml": {"apiVersion": 1, "datasources": [source]},
        "dashboards_models.yaml": {"apiVersion": 1, "providers": [provider]},
    }


def grafana_route(host: str, namespace: str) -> dict[str, Any]:
    """Return the spec of the VirtualService that leads from the models' gateway to Grafana."""
    backend = {"host": naming.service_host(GRAFANA, namespace), "port": {"number": GRAFANA_PORT}}
    matches = [{"uri": {"exact": GRAFANA_PATH}}, {"uri": {"prefix": f"{GRAFANA_PATH}/"}}]
    return {
        "hosts": [host],
        "gateways": [naming.INGRESS],
        "http": [{"match": matches, "route": [{"destination": backend}]}],
    }


def service(name: str, port: int) -> dict[str, Any]:
    """Return the spec of a workload's Service."""
    return {"selector": selector(name), "ports": [{"name": "http", "port": port, "targetPort": port}]}


def _workload(name: str, pod: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "replicas": 1,
        "selector": {"matchLabels": selector(name)},
        "template": {"metadata": {"labels": {**selector(name), "sidecar.istio.io/inject": "false"}}, "spec": dict(pod)},
    }


def _pod(user: int, containers: Sequence[Mapping[str, Any]], volumes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": list(containers),
        "volumes": [{"name": name, **source} for name, source in volumes.items()],
    }


def _container(name: str, image: str, port: int, ready: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": "http", "containerPort": port}],
        "readinessProbe": {"httpGet": {"path": ready, "port": port}, "periodSeconds": 2},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
