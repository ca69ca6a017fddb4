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
    """A cluster that is there already; owns nothing but the providers that talk to it.

    Attributes:
        provider: for objects in the program's own namespaces. It takes over an object that is there already, so that an
            `up` which was killed after making one and before recording it is finished by the next.
        new_only: for the namespaces themselves. It refuses one that is there already: that is somebody else's, and
            would be deleted with all that is in it by `destroy`.
    """

    provider: Provider
    new_only: Provider

    def __init__(self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ExistingCluster", name, opts)
        self.provider = self._connect(f"{name}-kubernetes", args.access, upsert_existing_objects=True)
        self.new_only = self._connect(f"{name}-kubernetes-new-only", args.access, upsert_existing_objects=False)
        self.register_outputs({})

    def _connect(self, name: str, access: settings.ExistingCluster, *, upsert_existing_objects: bool) -> Provider:
        return Provider(
            name,
            kubeconfig=access.kubeconfig,
            context=access.context,
            # With a context the cluster is known by that name: a kubeconfig file that moved is then no other cluster,
            # for which every object would be replaced.
            cluster_identifier=access.context,
            # `cacerts` is watched by istiod and must change in place: between delete and create it would have no CA.
            enable_secret_mutable=True,
            upsert_existing_objects=upsert_existing_objects,
            opts=self.child(),
        )
