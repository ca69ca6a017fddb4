"""The cluster's own network: private addresses only, and one way out.

Nodes have no public address. What they pull and call leaves through Cloud NAT, except for Google's own APIs, which
Private Google Access reaches directly.
"""

from dataclasses import dataclass

import pulumi
from pulumi_gcp import compute

from infra.component import Component
from infra.config_gke import Ranges

PODS_RANGE = "pods"
SERVICES_RANGE = "services"


@dataclass(frozen=True)
class NetworkArgs:
    """Where the network is, and its addresses.

    Attributes:
        region: Compute Engine's region.
        ranges: addresses of nodes, pods and Services.
    """

    region: str
    ranges: Ranges


class Network(Component):
    """A VPC with one subnetwork for a VPC-native cluster, and NAT.

    Attributes:
        network: the VPC's ID.
        subnetwork: the subnetwork's ID; its secondary ranges are PODS_RANGE and SERVICES_RANGE.
        way_out: the NAT; private nodes cannot pull an image before it is there.
    """

    network: pulumi.Output[str]
    subnetwork: pulumi.Output[str]
    way_out: compute.RouterNat

    def __init__(self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Network", name, opts)
        network = compute.Network(f"{name}-vpc", auto_create_subnetworks=False, opts=self.child())
        subnetwork = compute.Subnetwork(
            f"{name}-nodes",
            network=network.id,
            region=args.region,
            ip_cidr_range=args.ranges.nodes,
            secondary_ip_ranges=[
                {"range_name": PODS_RANGE, "ip_cidr_range": args.ranges.pods},
                {"range_name": SERVICES_RANGE, "ip_cidr_range": args.ranges.services},
            ],
            private_ip_google_access=True,
            # Its ranges are its own: a successor in another region could not be made beside it.
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )
        router = compute.Router(f"{name}-router", network=network.id, region=args.region, opts=self.child())
        self.way_out = compute.RouterNat(
            f"{name}-nat",
            router=router.name,
            region=args.region,
            nat_ip_allocate_option="AUTO_ONLY",
            source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
            log_config={"enable": True, "filter": "ERRORS_ONLY"},  # a full port table is otherwise silent
            opts=self.child(),
        )
        self.network = network.id
        self.subnetwork = subnetwork.id
        self.register_outputs({})
