"""How TF Serving is run: its configuration files, its command line, its probes, and how it leaves.

Facts this rests on: `GET /v1/models/NAME` answers 200 in every state while `/metadata` answers only once the model is
AVAILABLE; the server ignores SIGTERM (tensorflow/serving#1853); a missing base path is polled for ever, so only a
failing startup probe ends such a container, and its last log lines then become its termination message, which
`pulumi up` shows.
"""

import math
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.settings import ModelSettings, VersionSettings

CONFIG_FOLDER = "/etc/tfserving"
PROBE_PERIOD = 2  # seconds
# Seconds of `up`'s patience beyond the load timeout: scheduling, pulling, and the kill that brings the reason to light.
AWAIT_MARGIN = 30
# Seconds between two looks at the base path. The version is pinned, so a look finds nothing new; each costs GCS calls.
POLL_PERIOD = 60
# Seconds a pod goes on serving after its removal began: endpoints, then every proxy, have to hear of it first.
DRAIN_PERIOD = 10
# Seconds until the kill: TF Serving ignores SIGTERM, so the drain period is all that helps, and the rest is waiting.
GRACE_PERIOD = DRAIN_PERIOD + 5


@dataclass(frozen=True)
class ModelVersionArgs:
    """One version of a model.

    Attributes:
        model: the model; its name is TF Serving's model name as well.
        version: the version; its name, e.g. "v2", is the subset's as well.
        namespace: the models' namespace.
    """

    model: ModelSettings
    version: VersionSettings
    namespace: str


def model_config(model: str, path: str, model_version: int) -> str:
    """Return TF Serving's `--model_config_file` (ModelServerConfig in text format), pinned to one version number."""
    return f"""\
model_config_list {{
  config {{
    name: {_quoted(model)}
    base_path: {_quoted(path)}
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {model_version} }} }}
  }}
}}
"""


def monitoring_config() -> str:
    """Return TF Serving's `--monitoring_config_file`, with metrics at TF Serving's usual path."""
    return f'prometheus_config {{ enable: true, path: "{naming.METRICS_PATH}" }}\n'


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def arguments(timeout_seconds: int) -> list[str]:
    """Return the server's command line arguments; it gives up a REST request when the route does."""
    return [
        f"--port={naming.GRPC_PORT}",
        f"--rest_api_port={naming.HTTP_PORT}",
        f"--model_config_file={CONFIG_FOLDER}/models.config",
        f"--monitoring_config_file={CONFIG_FOLDER}/monitoring.config",
        f"--file_system_poll_wait_seconds={POLL_PERIOD}",
        f"--rest_api_timeout_in_ms={timeout_seconds * 1000}",
    ]


def deployment_spec(args: ModelVersionArgs, config: pulumi.Input[str]) -> dict[str, Any]:
    """Return the Deployment's spec; `config` is the ConfigMap's name."""
    return {
        "replicas": args.version.replicas,
        "progressDeadlineSeconds": args.version.load_timeout_seconds,
        # A pod goes only after its successor's model is AVAILABLE.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": naming.version_selector(args.model.name, args.version.name)},
        "template": {
            "metadata": {
                "labels": {
                    **naming.version_labels(args.model.name, args.version.name),
                    "sidecar.istio.io/inject": "true",
                },
                # The server's first token request must find the proxy up, or it caches "no token" for good.
                "annotations": {"proxy.istio.io/config": '{"holdApplicationUntilProxyStarts": true}'},
            },
            "spec": {
                "serviceAccountName": args.model.name,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": GRACE_PERIOD,
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                    "runAsGroup": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_container(args)],
                "volumes": [{"name": "config", "configMap": {"name": config}}],
            },
        },
    }


def _container(args: ModelVersionArgs) -> dict[str, Any]:
    available = {
        "path": f"/v1/models/{args.model.name}/versions/{args.version.model}/metadata",
        "port": naming.HTTP_PORT,
    }
    return {
        "name": "serving",
        "image": args.version.image,
        "imagePullPolicy": "IfNotPresent",  # tags are pinned, and a rollback must not wait for a registry
        # The image's own entry point is a shell script without exec.
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": arguments(args.model.timeout_seconds),
        "ports": [
            {"name": naming.GRPC_PORT_NAME, "containerPort": naming.GRPC_PORT},
            {"name": naming.HTTP_PORT_NAME, "containerPort": naming.HTTP_PORT},
        ],
        "startupProbe": {
            "httpGet": available,
            "periodSeconds": PROBE_PERIOD,
            "timeoutSeconds": PROBE_PERIOD,
            "failureThreshold": math.ceil(args.version.load_timeout_seconds / PROBE_PERIOD),
            "terminationGracePeriodSeconds": 1,  # it serves nobody, and its reason is wanted within `up`'s patience
        },
        "readinessProbe": {
            "httpGet": available,
            "periodSeconds": PROBE_PERIOD,
            "timeoutSeconds": PROBE_PERIOD,
            "failureThreshold": 3,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_PERIOD}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": args.version.resources.requests.by_name(),
            "limits": args.version.resources.limits.by_name(),
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}],
    }
