"""Pods that are made anew, as `kubectl rollout restart` makes them."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.e2e.conftest import Cluster, wait_for

RESTARTED = "kubectl.kubernetes.io/restartedAt"


def restart(cluster: Cluster, namespace: str, deployment: str) -> None:
    """Make a Deployment's pods anew, and wait until all of them are there and available."""
    mark = {"metadata": {"annotations": {RESTARTED: datetime.now(UTC).isoformat()}}}
    cluster.apps.patch_namespaced_deployment(deployment, namespace, {"spec": {"template": mark}})

    def settled() -> bool:
        found = cluster.apps.read_namespaced_deployment(deployment, namespace)
        status, wanted = found.status, found.spec.replicas
        current = status.observed_generation == found.metadata.generation
        return bool(current and status.updated_replicas == status.replicas == status.available_replicas == wanted)

    wait_for(settled, f"{namespace}/{deployment} to be restarted", seconds=90)
