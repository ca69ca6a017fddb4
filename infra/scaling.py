"""How many pods a version has, and how many of them may be missing at a time."""

from typing import Any

from infra.config_models import Autoscaling
from infra.model_server import CONTAINER
from infra.settings import VersionSettings


def has_several_pods(version: VersionSettings) -> bool:
    """Whether a version ever has more than one pod."""
    most = version.autoscaling.max if version.autoscaling else version.replicas
    return most > 1


def autoscaler(deployment: str, wanted: Autoscaling) -> dict[str, Any]:
    """Return the spec of the HorizontalPodAutoscaler of a Deployment."""
    return {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
        "minReplicas": wanted.min,
        "maxReplicas": wanted.max,
        "metrics": [
            {
                # The server's CPU alone: the proxy's beside it would be counted against the server's request.
                "type": "ContainerResource",
                "containerResource": {
                    "name": "cpu",
                    "container": CONTAINER,
                    "target": {"type": "Utilization", "averageUtilization": wanted.cpu_percent},
                },
            }
        ],
    }


def disruption_budget(selector: dict[str, str]) -> dict[str, Any]:
    """Return the spec of the PodDisruptionBudget of a version's pods: a drained node takes one of them at a time."""
    return {
        "maxUnavailable": 1,
        "selector": {"matchLabels": selector},
        # A pod that is not ready serves nobody, and must not hold up the node it crashes on.
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }
