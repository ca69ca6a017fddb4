"""Which cluster a stack is on. Two of them may well have models of the same names, so none is taken by chance."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rollout.cluster_api import ClusterApi
from rollout.errors import RolloutError
from rollout.kubeconfig import contexts

if TYPE_CHECKING:
    from rollout.stack import Stack


def cluster_of(stack: Stack, context: str | None) -> ClusterApi:
    """Reach a stack's cluster as Pulumi does.

    Args:
        stack: whose config says where its cluster is.
        context: of the kubeconfig; None is the config's, or, for a cluster on GKE, the one that gcloud made for it.

    Raises:
        RolloutError: the kubeconfig does not have it.
    """
    cluster = stack.settings.cluster
    if cluster.kind == "existing":
        path = str(stack.folder / Path(cluster.kubeconfig).expanduser()) if cluster.kubeconfig else None
        return ClusterApi.of(path, context or cluster.context)
    if context is None:
        prefix = f"gke_{cluster.project}_{cluster.location}_"
        current, known = contexts()
        fitting = [name for name in known if name.startswith(prefix)]
        context = current if current in fitting else fitting[0] if len(fitting) == 1 else None
        if context is None:
            names = f" ({', '.join(fitting)})" if fitting else ""
            raise RolloutError(
                f"which context of the kubeconfig is the cluster of {stack.name} cannot be told{names}; name it with "
                f'--context. Run: eval "$(pulumi stack output connect --stack {stack.name})"'
            )
    return ClusterApi.of(None, context)
