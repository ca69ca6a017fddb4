"""The cluster without its nodes: a GKE Standard cluster whose control plane only the invited reach."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_gcp import compute, container

from infra import naming
from infra.component import Component
from infra.config_gke import GkeSettings
from infra.gke.network import PODS_RANGE, SERVICES_RANGE, Network

# GKE opens 443 and 10250 from the control plane to nodes; Istio's injector listens on this port of istiod's pods.
WEBHOOK_PORT = 15017
# UTC, every day, for four hours: GKE's own upgrades of control plane and nodes.
MAINTENANCE_START = "03:00"


@dataclass(frozen=True)
class ControlPlaneArgs:
    """The cluster.

    Attributes:
        settings: from the stack's config.
        network: where it lives.
        node_account: email of the service account that nodes run as.
    """

    settings: GkeSettings
    network: Network
    node_account: pulumi.Input[str]


def resource_labels(settings: GkeSettings) -> dict[str, str]:
    """Return the Google Cloud labels of the cluster and its nodes, which the bill can be split by."""
    return {"part-of": naming.PROJECT, "managed-by": "pulumi", **settings.labels}


def access(settings: GkeSettings) -> dict[str, Any]:
    """Return the cluster's arguments that say who reaches the control plane.

    By DNS name every request passes Google's IAM before it reaches the API server, and the public address does not
    exist. By address, the public one answers the authorized networks and no other, not even Google Cloud's own.
    """
    by_dns = settings.endpoint == "dns"
    return {
        "private_cluster_config": {
            "enable_private_nodes": True,
            "enable_private_endpoint": by_dns,
            "master_ipv4_cidr_block": settings.ranges.control_plane,
        },
        "control_plane_endpoints_config": {"dns_endpoint_config": {"allow_external_traffic": by_dns}},
        "master_authorized_networks_config": {
            "cidr_blocks": [
                {"cidr_block": network.cidr, "display_name": network.name} for network in settings.authorized_networks
            ],
            "gcp_public_cidrs_access_enabled": False,
        },
    }


class ControlPlane(Component):
    """The cluster, and the firewall rule that lets its API server call the sidecar injector.

    Attributes:
        cluster: GKE's cluster, without node pools.
        webhook_access: the firewall rule; before it is there, an injected pod's creation times out.
    """

    cluster: container.Cluster
    webhook_access: compute.Firewall

    def __init__(self, name: str, args: ControlPlaneArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ControlPlane", name, opts)
        settings = args.settings
        self.cluster = container.Cluster(
            name,
            location=settings.location,
            network=args.network.network,
            subnetwork=args.network.subnetwork,
            networking_mode="VPC_NATIVE",
            ip_allocation_policy={
                "cluster_secondary_range_name": PODS_RANGE,
                "services_secondary_range_name": SERVICES_RANGE,
            },
            datapath_provider="ADVANCED_DATAPATH",
            release_channel={"channel": settings.channel},
            min_master_version=settings.kubernetes_version,
            workload_identity_config={"workload_pool": f"{settings.project}.svc.id.goog"},
            enable_shielded_nodes=True,
            maintenance_policy={"daily_maintenance_window": {"start_time": MAINTENANCE_START}},
            resource_labels=resource_labels(settings),
            deletion_protection=settings.deletion_protection,
            # GKE makes no cluster without a pool. This one is gone once the cluster is there, and node pools of their
            # own can be changed without it. Until then its node, too, runs as the account that may do little.
            remove_default_node_pool=True,
            initial_node_count=1,
            node_config={"service_account": args.node_account},
            **access(settings),
            opts=self.child(
                pulumi.ResourceOptions(
                    # What Google reports here later is of whichever pool comes first, and would replace the cluster.
                    ignore_changes=["nodeConfig"],
                    # Google's protection is asked last, when all that the cluster runs would be deleted already;
                    # Pulumi's refuses the whole `destroy`.
                    protect=settings.deletion_protection,
                )
            ),
        )
        self.webhook_access = compute.Firewall(
            f"{name}-injector",
            network=args.network.network,
            direction="INGRESS",
            source_ranges=[settings.ranges.control_plane],
            target_service_accounts=[args.node_account],
            allows=[{"protocol": "tcp", "ports": [str(WEBHOOK_PORT)]}],
            description="The API server calls Istio's sidecar injector",
            opts=self.child(),
        )
        self.register_outputs({})
