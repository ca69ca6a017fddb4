"""The nodes: a pool for everything, and on request one with accelerators for the models that use them."""

from dataclasses import dataclass

import pulumi
from pulumi_gcp import container

from infra.component import Component
from infra.config_gke import GkeSettings, GpuNodes, Nodes
from infra.gke.control_plane import resource_labels


@dataclass(frozen=True)
class NodePoolsArgs:
    """The pools of a cluster.

    Attributes:
        settings: from the stack's config.
        cluster: the cluster's ID.
        account: email of the service account that nodes run as.
    """

    settings: GkeSettings
    cluster: pulumi.Input[str]
    account: pulumi.Input[str]


def node_config(
    pool: Nodes | GpuNodes, settings: GkeSettings, account: pulumi.Input[str]
) -> container.NodePoolNodeConfigArgs:
    """Return what the nodes of a pool are made of."""
    config = container.NodePoolNodeConfigArgs(
        machine_type=pool.machine_type,
        spot=pool.spot,
        disk_size_gb=pool.disk_gb,
        disk_type="pd-balanced",
        image_type="COS_CONTAINERD",
        service_account=account,
        # The account's roles say what a node may do; scopes are the older way, and this one leaves it to the roles.
        oauth_scopes=["https://www.googleapis.com/auth/cloud-platform"],
        # Pods get their own identity's token, never the node's.
        workload_metadata_config=container.NodePoolNodeConfigWorkloadMetadataConfigArgs(mode="GKE_METADATA"),
        resource_labels=resource_labels(settings),
        # Secure boot refuses drivers that are not signed, as those of accelerators may be.
        shielded_instance_config=container.NodePoolNodeConfigShieldedInstanceConfigArgs(
            enable_secure_boot=isinstance(pool, Nodes), enable_integrity_monitoring=True
        ),
    )
    if isinstance(pool, GpuNodes):
        driver = container.NodePoolNodeConfigGuestAcceleratorGpuDriverInstallationConfigArgs(
            gpu_driver_version="DEFAULT"
        )
        config.guest_accelerators = [
            container.NodePoolNodeConfigGuestAcceleratorArgs(
                type=pool.accelerator, count=pool.count, gpu_driver_installation_config=driver
            )
        ]
    elif pool.labels:
        config.labels = pool.labels
    return config


class NodePools(Component):
    """The node pools.

    Attributes:
        pools: all of them; workloads need them.
    """

    pools: list[container.NodePool]

    def __init__(self, name: str, args: NodePoolsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("NodePools", name, opts)
        settings = args.settings
        cpu = self._pool(f"{name}-cpu", args, settings.nodes)
        self.pools = [cpu]
        if settings.gpu is not None and settings.gpu.enabled:
            zones = [f"{settings.region}-{letter}" for letter in settings.gpu.zones]
            # A cluster whose only pool is tainted has no place for GKE's own pods.
            self.pools.append(self._pool(f"{name}-gpu", args, settings.gpu, zones or None, [cpu]))
        self.register_outputs({})

    def _pool(
        self,
        name: str,
        args: NodePoolsArgs,
        pool: Nodes | GpuNodes,
        node_locations: list[str] | None = None,
        depends_on: list[container.NodePool] | None = None,
    ) -> container.NodePool:
        return container.NodePool(
            name,
            cluster=args.cluster,
            initial_node_count=pool.min,
            autoscaling={"min_node_count": pool.min, "max_node_count": pool.max},
            node_locations=node_locations,
            node_config=node_config(pool, args.settings, args.account),
            management={"auto_repair": True, "auto_upgrade": True},
            # A new node is there before an old one is drained.
            upgrade_settings={"max_surge": 1, "max_unavailable": 0},
            opts=self.child(
                pulumi.ResourceOptions(
                    depends_on=depends_on,
                    # It says how the pool began; another number would replace the pool.
                    ignore_changes=["initialNodeCount"],
                )
            ),
        )
