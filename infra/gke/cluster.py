"""A GKE cluster as this program wants one: network, control plane and nodes in order, and how to reach it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra.cluster import Cluster
from infra.config_gke import GkeSettings
from infra.gke.control_plane import ControlPlane, ControlPlaneArgs
from infra.gke.identity import BucketReader, BucketReaderArgs, NodeIdentity, bucket_of
from infra.gke.kubeconfig import kubeconfig
from infra.gke.network import Network, NetworkArgs
from infra.gke.node_pools import NodePools, NodePoolsArgs
from infra.gke.private_google import PrivateGoogleApis
from infra.gke.project import ProjectApis


@dataclass(frozen=True)
class GkeClusterArgs:
    """The cluster to make.

    Attributes:
        settings: from the stack's config.
    """

    settings: GkeSettings


class GkeCluster(Cluster):
    """A private, VPC-native GKE Standard cluster with node pools of its own."""

    def __init__(self, name: str, args: GkeClusterArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("GkeCluster", name, opts)
        self._settings = settings = args.settings
        self._apis = ProjectApis(f"{name}-apis", self.child())
        after_apis = self.child(pulumi.ResourceOptions(depends_on=[self._apis]))
        network = Network(f"{name}-network", NetworkArgs(settings.region, settings.ranges), after_apis)
        google = PrivateGoogleApis(f"{name}-google", network.network, after_apis)
        nodes = NodeIdentity(f"{name}-nodes", settings.project, after_apis)
        self._control_plane = ControlPlane(name, ControlPlaneArgs(settings, network, nodes.email), after_apis)
        cluster = self._control_plane.cluster
        pools = NodePools(
            f"{name}-pool",
            NodePoolsArgs(settings, cluster.id, nodes.email),
            self.child(pulumi.ResourceOptions(depends_on=[network.way_out])),
        )
        authority: pulumi.Output[Any]
        if settings.endpoint == "dns":
            server = cluster.control_plane_endpoints_config.dns_endpoint_config.endpoint
            authority = pulumi.Output.from_input(None)
        else:
            server = cluster.endpoint
            authority = cluster.master_auth.cluster_ca_certificate
        config = pulumi.Output.all(cluster.name, server, authority).apply(lambda parts: kubeconfig(*parts))
        # What runs in the cluster is made after its nodes and gone before them.
        ready = pulumi.ResourceOptions(depends_on=[*pools.pools, self._control_plane.webhook_access, *google.records])
        self._hand_on(config, cluster.id, self.child(ready))
        flag = " --dns-endpoint" if settings.endpoint == "dns" else ""
        self.connect = pulumi.Output.format(
            "gcloud container clusters get-credentials {0} --location {1} --project {2}{3}",
            cluster.name,
            settings.location,
            settings.project,
            flag,
        )
        self.register_outputs({})

    def bucket_reader(self, model: str, path: str, namespace: str) -> BucketReader | None:
        """Make the identity that lets a model's pods read its bucket; None for a model on no bucket of Google's."""
        bucket = bucket_of(path)
        if bucket is None:
            return None
        return BucketReader(
            f"{model}-reader",
            BucketReaderArgs(model=model, namespace=namespace, bucket=bucket, project=self._settings.project),
            # The pool of identities comes into being with the project's first cluster.
            self.child(pulumi.ResourceOptions(depends_on=[self._apis, self._control_plane])),
        )

    def guard(self, last: Sequence[pulumi.Resource]) -> None:
        """Make a resource that `destroy` would have to delete before all others, and may not while it is protected.

        Pulumi asks a protected resource only when its turn comes. The cluster's comes after that of all that runs in
        it, so protecting it alone would leave a protected cluster with nothing on it.

        Args:
            last: what nothing else depends on; together they need all that the stack has.
        """
        protect = self._settings.deletion_protection
        pulumi.Stash(
            f"{self._name}-guard",
            input="destroy begins here",
            opts=self.child(pulumi.ResourceOptions(depends_on=list(last), protect=protect)),
        )
