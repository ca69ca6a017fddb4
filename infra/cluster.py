"""The cluster a stack runs on, and the Kubernetes providers that everything else uses.

The kind "existing" takes a cluster somebody else made: a kubeconfig file and a context, or whatever kubectl would use.
It makes no cloud resource, so nothing here imports pulumi_gcp before a stack asks for the kind "gke".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi
from pulumi_kubernetes import Provider

from infra import settings
from infra.component import Component


class Identity(Protocol):
    """An identity outside the cluster that pods take on.

    Attributes:
        email: how the outside knows it.
    """

    email: pulumi.Output[str]


class Cluster(Component):
    """A cluster, and the providers that talk to it.

    Attributes:
        provider: for objects in the program's own namespaces. It takes over an object that is there already, so that an
            `up` which was killed after making one and before recording it is finished by the next.
        new_only: for the namespaces themselves. It refuses one that is there already: that is somebody else's, and
            would be deleted with all that is in it by `destroy`.
        connect: the command that points kubectl at the cluster.
    """

    provider: Provider
    new_only: Provider
    connect: pulumi.Input[str]

    def bucket_reader(self, model: str, path: str, namespace: str) -> "Identity | None":  # noqa: ARG002
        """Make the identity by which a model's pods read its path; None where the cluster has none to give."""
        return None

    def guard(self, last: Sequence[pulumi.Resource]) -> None:
        """Keep `destroy` from what it deletes first, where the stack's config protects the cluster."""

    def _hand_on(
        self,
        kubeconfig: pulumi.Input[str] | None,
        identifier: pulumi.Input[str] | None,
        opts: pulumi.ResourceOptions,
        context: str | None = None,
    ) -> None:
        def connected(name: str, *, upsert_existing_objects: bool) -> Provider:
            return Provider(
                name,
                kubeconfig=kubeconfig,
                context=context,
                # A kubeconfig that changes is no other cluster, for which every object would be replaced.
                cluster_identifier=identifier,
                # istiod watches `cacerts`, which must change in place: between delete and create it would have no CA.
                enable_secret_mutable=True,
                upsert_existing_objects=upsert_existing_objects,
                opts=opts,
            )

        self.provider = connected(f"{self._name}-kubernetes", upsert_existing_objects=True)
        self.new_only = connected(f"{self._name}-kubernetes-new-only", upsert_existing_objects=False)


@dataclass(frozen=True)
class ExistingClusterArgs:
    """Where the cluster is.

    Attributes:
        access: kubeconfig and context, from the stack's config.
    """

    access: settings.ExistingCluster


class ExistingCluster(Cluster):
    """A cluster that is there already; owns nothing but the providers."""

    def __init__(self, name: str, args: ExistingClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ExistingCluster", name, opts)
        context = args.access.context
        # With a context the cluster is known by that name, wherever the kubeconfig file is moved to.
        self._hand_on(args.access.kubeconfig, context, self.child(), context=context)
        self.connect = f"kubectl config use-context {context}" if context else "kubectl config current-context"
        self.register_outputs({})


def cluster_of(access: settings.ClusterSettings, name: str) -> Cluster:
    """Return the cluster that a stack's config asks for."""
    if isinstance(access, settings.ExistingCluster):
        return ExistingCluster(name, ExistingClusterArgs(access))
    from infra.gke.cluster import GkeCluster, GkeClusterArgs  # pulumi_gcp costs more than all the rest

    return GkeCluster(name, GkeClusterArgs(access))
