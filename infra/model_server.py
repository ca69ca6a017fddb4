"""How TF Serving is run: its configuration files, its command line, its probes, and how it leaves.

Facts this rests on: `GET /v1/models/NAME` answers 200 in every state while `/metadata` answers only once the model is
AVAILABLE; the server ignores SIGTERM (tensorflow/serving#1853); a missing base path is polled for ever, so only a
failing startup probe ends such a container, and its last log lines then become its termination message, which
`pulumi up` shows.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.cluster import Identity
from infra.config_models import Batching
from infra.first_token import METADATA_HOST, SCRIPT_FILE, first_token_script
from infra.isolation import METADATA_ADDRESS
from infra.revisions import PLAIN
from infra.settings import ModelSettings, VersionSettings
from infra.warmup import startup_command, warmup_files

CONFIG_FOLDER = "/etc/tfserving"
PROBE_PERIOD = 2  # seconds
# Seconds of `up`'s patience beyond the load timeout: scheduling, pulling, and the kill that brings the reason to light.
AWAIT_MARGIN = 40
# Seconds between two looks at the base path. The version is pinned, so a look finds nothing new; each costs GCS calls.
POLL_PERIOD = 60
# TensorFlow logs why it cannot reach a bucket only after its last retry: with its own ten that takes three minutes and
# more, longer than a short load timeout, and nobody would learn the reason. With three it takes 7-10 seconds; the
# server loads again by itself when that was too few.
BUCKET_RETRIES = {"name": "GCS_RETRY_CONFIG_MAX_RETRIES", "value": "3"}
# Tokens come straight from the metadata server, which a NetworkPolicy allows or not: a proxy that hears of its rule too
# late would make the server cache "no token" for good.
PAST_THE_PROXY = {"traffic.sidecar.istio.io/excludeOutboundIPRanges": f"{METADATA_ADDRESS}/32"}
# Seconds a pod goes on serving after its removal began: endpoints, then every proxy, have to hear of it first.
DRAIN_PERIOD = 10
# Seconds a pod has to be ready before it counts as available: by then every proxy knows its address, so that no route
# names pods that a proxy has yet to hear of, and no old pod goes before its successor is known.
AVAILABLE_PERIOD = 2
GPU_RESOURCE = "nvidia.com/gpu"
# The taint that keeps pods without a GPU off the nodes that have them.
GPU_TOLERATION = {"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}
CONTAINER = "serving"
# The image's own entry point is a shell script without exec.
SERVER = "/usr/bin/tensorflow_model_server"


@dataclass(frozen=True)
class ModelVersionArgs:
    """One version of a model.

    Attributes:
        model: the model; its name is TF Serving's model name as well.
        version: the version; its name, e.g. "v2", is the subset's as well.
        namespace: the models' namespace.
        measured: whether the proxy hands on the server's own metrics.
        outside: who its pods are to the outside, when they are somebody there.
    """

    model: ModelSettings
    version: VersionSettings
    namespace: str
    measured: bool = False
    outside: Identity | None = None


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


def batching_config(batching: Batching) -> str:
    """Return TF Serving's `--batching_parameters_file` (BatchingParameters in text format), of what is given."""
    given = batching.model_dump(exclude_none=True)
    return "".join(f"{name} {{ value: {value} }}\n" for name, value in given.items())


def config_files(args: ModelVersionArgs) -> dict[str, str]:
    """Return the files of `CONFIG_FOLDER` by name."""
    files = {
        "models.config": model_config(args.model.name, args.model.path, args.version.model),
        "monitoring.config": monitoring_config(),
    }
    if args.version.batching is not None:
        files["batching.config"] = batching_config(args.version.batching)
    if args.outside is not None:
        files[SCRIPT_FILE] = first_token_script(SERVER)
    if args.version.warmup is not None:
        files |= warmup_files(args.model.name, args.version.model, args.version.warmup, CONFIG_FOLDER)
    return files


def grace_period(model: ModelSettings) -> int:
    """Return the seconds until a pod that is removed is killed: what began as the last proxy heard of it may end.

    TF Serving ignores SIGTERM, so the server works on for all of it.
    """
    return DRAIN_PERIOD + model.timeout_seconds


def patience(args: ModelVersionArgs) -> int:
    """Return the seconds that `up` waits for a version to come, or to go."""
    return max(args.version.load_timeout_seconds, grace_period(args.model)) + AWAIT_MARGIN


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def arguments(args: ModelVersionArgs) -> list[str]:
    """Return the server's command line arguments; it gives up a REST request when the route does."""
    batching = ["--enable_batching", f"--batching_parameters_file={CONFIG_FOLDER}/batching.config"]
    return [
        f"--port={naming.GRPC_PORT}",
        f"--rest_api_port={naming.HTTP_PORT}",
        f"--model_config_file={CONFIG_FOLDER}/models.config",
        f"--monitoring_config_file={CONFIG_FOLDER}/monitoring.config",
        f"--file_system_poll_wait_seconds={POLL_PERIOD}",
        f"--rest_api_timeout_in_ms={args.model.timeout_seconds * 1000}",
        *(batching if args.version.batching is not None else []),
    ]


def _pod_metadata(args: ModelVersionArgs) -> dict[str, Any]:
    labels = naming.version_labels(args.model.name, args.version.name)
    if not args.model.mesh:
        return {"labels": {**labels, "sidecar.istio.io/inject": "false"}}
    proxy = {
        # The server's first token request must find the proxy up, or it caches "no token" for good.
        "holdApplicationUntilProxyStarts": True,
        # A sidecar that is a plain container gets SIGTERM with the server, and would leave 5 s later, before the
        # server's last answers. A native one is told to leave after the server, and heeds this not at all.
        "terminationDrainDuration": f"{grace_period(args.model)}s",
    }
    # Another revision's istiod gives the pods their proxies when they are made anew, so they have to be.
    revision = {} if args.model.revision == PLAIN else {naming.ISTIO_REVISION: args.model.revision}
    return {
        "labels": {**labels, "sidecar.istio.io/inject": "true", **revision},
        "annotations": {
            "proxy.istio.io/config": json.dumps(proxy),
            **(PAST_THE_PROXY if args.model.path.startswith("gs://") else {}),
            **(scraped() if args.measured else {}),
        },
    }


def scraped() -> dict[str, str]:
    """Return the annotations by which the proxy's agent knows where the server's metrics are.

    It hands them on at its own port, which the mesh leaves alone, so mutual TLS may be strict.
    """
    return {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(naming.HTTP_PORT),
        "prometheus.io/path": naming.METRICS_PATH,
    }


def _spread(args: ModelVersionArgs) -> list[dict[str, Any]]:
    # The pods of one rollout, over nodes and zones as far as there are any; a full node is no reason not to run.
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": naming.version_selector(args.model.name, args.version.name)},
            "matchLabelKeys": ["pod-template-hash"],
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def deployment_spec(args: ModelVersionArgs, config: pulumi.Input[str]) -> dict[str, Any]:
    """Return the Deployment's spec; `config` is the ConfigMap's name."""
    return {
        # What an autoscaler starts from; the route moves when so many are ready.
        "replicas": args.version.autoscaling.min if args.version.autoscaling else args.version.replicas,
        "minReadySeconds": AVAILABLE_PERIOD,
        "progressDeadlineSeconds": args.version.load_timeout_seconds,
        # A pod goes only after its successor's model is AVAILABLE.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "selector": {"matchLabels": naming.version_selector(args.model.name, args.version.name)},
        "template": {
            "metadata": _pod_metadata(args),
            "spec": {
                "serviceAccountName": args.model.name,
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": grace_period(args.model),
                "topologySpreadConstraints": _spread(args),
                "securityContext": {
                    "runAsNonRoot": True,
                    "runAsUser": 1000,
                    "runAsGroup": 1000,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [_container(args)],
                "volumes": [{"name": "config", "configMap": {"name": config}}],
                **({"tolerations": [GPU_TOLERATION]} if args.version.gpu else {}),
            },
        },
    }


def _container(args: ModelVersionArgs) -> dict[str, Any]:
    available = {
        "path": f"/v1/models/{args.model.name}/versions/{args.version.model}/metadata",
        "port": naming.HTTP_PORT,
    }
    started: dict[str, Any] = {"httpGet": available, "timeoutSeconds": PROBE_PERIOD}
    if args.version.warmup is not None:
        # The script ends by itself, with the reason when a request fails; cut off, it would have none.
        started = {"exec": startup_command(CONFIG_FOLDER), "timeoutSeconds": args.version.load_timeout_seconds}
    gpus = {GPU_RESOURCE: str(args.version.gpu)} if args.version.gpu else {}
    env = [BUCKET_RETRIES] if args.model.path.startswith("gs://") else []
    env += [METADATA_HOST] if args.outside else []
    return {
        "name": CONTAINER,
        "image": args.version.image,
        "imagePullPolicy": "IfNotPresent",  # tags are pinned, and a rollback must not wait for a registry
        "command": ["/bin/bash", f"{CONFIG_FOLDER}/{SCRIPT_FILE}"] if args.outside else [SERVER],
        "args": arguments(args),
        **({"env": env} if env else {}),
        "ports": [
            {"name": naming.GRPC_PORT_NAME, "containerPort": naming.GRPC_PORT},
            {"name": naming.HTTP_PORT_NAME, "containerPort": naming.HTTP_PORT},
        ],
        "startupProbe": {
            **started,
            "periodSeconds": PROBE_PERIOD,
            "failureThreshold": math.ceil(args.version.load_timeout_seconds / PROBE_PERIOD),
            "terminationGracePeriodSeconds": 1,  # it serves nobody, and its reason is wanted within `up`'s patience
        },
        "readinessProbe": {
            "httpGet": available,
            "periodSeconds": PROBE_PERIOD,
            "timeoutSeconds": PROBE_PERIOD,
            # The threads that answer requests answer it too, late when they are busy. Were that a failure, overload
            # would take all pods out of the route together. Who is dead is left out by the callers' proxies.
            "failureThreshold": math.ceil(args.model.timeout_seconds / PROBE_PERIOD) + 3,
        },
        "lifecycle": {"preStop": {"sleep": {"seconds": DRAIN_PERIOD}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": {
            "requests": args.version.resources.requests.by_name(),
            "limits": {**args.version.resources.limits.by_name(), **gpus},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "config", "mountPath": CONFIG_FOLDER, "readOnly": True}],
    }
