"""The cluster a stack runs on, and the Kubernetes provider that everything else uses.

The kind "existing" takes a cluster somebody else made: a kubeconfig file and a context, or whatever kubectl would use.
It makes no cloud resource, so nothing here imports pulumi_gcp.
"""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import Provider

from infra import settings
from infra.component import Component


@dataclass(frozen=True)
class ExistingClusterArgs:
    """Where the cluster is.

    Attributes:
        access: kubeconfig and context, from the stack's config.
    """

    access: settings.ExistingCluster


class ExistingCluster(Component):
    """A cluster that is there already; owns nothing but the provider that talks to it."""

    provider: Provider

    def __init__(self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ExistingCluster", name, opts)
        self.provider = Provider(
            f"{name}-kubernetes",
            kubeconfig=args.access.kubeconfig,
            context=args.access.context,
            # Without an identifier, moving the kubeconfig file would replace every object in the cluster.
            cluster_identifier=args.access.context,
            # `cacerts` is watched by istiod and must change in place: between delete and create it would have no CA.
            enable_secret_mutable=True,
            opts=self.child(),
        )
        self.register_outputs({})
