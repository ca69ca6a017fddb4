"""No GKE control plane that the world can reach by its IP address.

The DNS endpoint is no matter here: it lets nobody in whom IAM does not.
"""

import ipaddress
from collections.abc import Iterator
from typing import Final

from policy.resource import Resource, at, entries

CLUSTER: Final = "gcp:container/cluster:Cluster"
# A range wider than this is no one organisation's: nobody was ever given more than a /8 of IPv4, and a /12 of IPv6 is
# what a whole continent's registry has. So 0.0.0.0/1 beside 128.0.0.0/1 is refused like 0.0.0.0/0.
WIDEST: Final = {4: 8, 6: 13}
_NETWORKS: Final = "masterAuthorizedNetworksConfig"


def violations(resource: Resource) -> Iterator[str]:
    """Yield what is wrong with a cluster's endpoints and authorized networks."""
    if resource.token != CLUSTER:
        return
    networks = resource.at(_NETWORKS)
    for index, block in enumerate(entries(at(networks, "cidrBlocks"))):
        cidr = at(block, "cidrBlock")
        if _is_too_wide(cidr):
            yield resource.wrong(
                f"{_NETWORKS}.cidrBlocks[{index}].cidrBlock",
                cidr,
                f"an authorized network is somebody's own, /{WIDEST[4]} at most (IPv6: /{WIDEST[6]})",
                f"Run: pulumi config set --path 'cluster.authorizedNetworks[{index}].cidr' 203.0.113.0/24 "
                "(with the addresses you come from)",
            )
    if at(networks, "gcpPublicCidrsAccessEnabled") is True:
        yield resource.wrong(
            f"{_NETWORKS}.gcpPublicCidrsAccessEnabled",
            True,  # noqa: FBT003 - the value that is shown
            "it lets every virtual machine of every customer of Google's in",
            "Take it out where the cluster is made, in infra/gke/",
        )
    if networks is None and _has_public_address(resource):
        yield resource.wrong(
            _NETWORKS,
            None,
            "without it a public IP endpoint is open to the world",
            "Run: pulumi config set --path cluster.endpoint dns",
        )


def _has_public_address(resource: Resource) -> bool:
    enabled = resource.at("controlPlaneEndpointsConfig", "ipEndpointsConfig", "enabled")
    private = resource.at("privateClusterConfig", "enablePrivateEndpoint")
    # both have to be known not to close it; Google's defaults are true and false
    return (enabled is True or enabled is None) and (private is False or private is None)


def _is_too_wide(cidr: object) -> bool:
    if not isinstance(cidr, str):
        return False
    try:
        network = ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False  # Google refuses what is no range
    return network.prefixlen < WIDEST[network.version]
