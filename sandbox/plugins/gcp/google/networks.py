"""Compute Engine's networks: what refers to what has to exist first, and goes first."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import ClassVar

from sandbox.plugins.gcp.cloud import Cloud, CloudError
from sandbox.plugins.gcp.google.resource import BORN, COMPUTE, Api, PlanError, Request, digits, fingerprint, not_found
from sandbox.plugins.gcp.values import Tree, at, name_of

NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
ROUTER = "gcp:compute/router:Router"
FIREWALL = "gcp:compute/firewall:Firewall"
NAT = "gcp:compute/routerNat:RouterNat"
CLUSTER = "gcp:container/cluster:Cluster"


def relative(reference: str) -> str:
    """Return a reference from its project on: `projects/P/...`."""
    return reference[reference.find("projects/") :] if "projects/" in reference else reference


def network_id(project: str, reference: str) -> str:
    """Return a network's ID, from an ID, a self link or a name."""
    if "projects/" in reference:
        return relative(reference)
    return f"projects/{project}/global/networks/{reference}"


def subnetwork_id(project: str, region: str, reference: str) -> str:
    """Return a subnetwork's ID, from an ID, a self link or a name."""
    if "projects/" in reference:
        return relative(reference)
    return f"projects/{project}/regions/{region}/subnetworks/{reference}"


def require_network(identity: str, cloud: Cloud) -> None:
    """Refuse to refer to a network that is not there; each project has one called default.

    Raises:
        CloudError: as Compute Engine says it.
    """
    if name_of(identity) != "default" and cloud.get(NETWORK, identity) is None:
        raise not_found(identity)


class _ComputeApi(Api):
    service = "compute.googleapis.com"
    service_title = "Compute Engine API"

    def _in_use(self, identity: str, user: str) -> CloudError:
        kind = identity.split("/")[-2].removesuffix("s")
        return CloudError.of(
            400,
            f"The {kind} resource '{identity}' is already being used by '{user}'",
            "resourceInUseByAnotherResource",
        )


class NetworkApi(_ComputeApi):
    """VPC networks."""

    token = NETWORK

    def identity(self, request: Request) -> str:
        """`projects/PROJECT/global/networks/NAME`."""
        return network_id(request.project, request.text("name"))

    def outputs(self, request: Request) -> Tree:
        """Return its link and numbers."""
        identity = self.identity(request)
        number = digits(identity, 19)
        return {
            "project": request.project,
            "selfLink": COMPUTE + identity,
            "networkId": number,
            "numericId": number,
            "gatewayIpv4": "",
            "routingMode": "REGIONAL",
            "bgpBestPathSelectionMode": "LEGACY",
            "mtu": 0,
        }

    def dismiss(self, identity: str, cloud: Cloud) -> None:
        """Refuse while anything lies in it."""
        for user in self._users(identity, cloud):
            raise self._in_use(identity, user)

    def _users(self, identity: str, cloud: Cloud) -> Iterator[str]:
        for token in (SUBNETWORK, ROUTER, FIREWALL):
            for user, properties in cloud.all(token).items():
                if network_id(str(properties["project"]), str(properties.get("network"))) == identity:
                    yield user


class _InNetworkApi(_ComputeApi):
    """What lies in a network, with its folder among a project's resources."""

    folder: ClassVar[str]

    def identity(self, request: Request) -> str:
        """`projects/PROJECT/REGION-OR-GLOBAL/KIND/NAME`."""
        return f"projects/{request.project}/{self._place(request)}/{self.folder}/{request.text('name')}"

    def admit(self, request: Request) -> None:
        """Refuse a network that is not there."""
        if reference := request.text("network"):
            require_network(network_id(request.project, reference), request.cloud)

    def outputs(self, request: Request) -> Tree:
        """Return its link."""
        link = COMPUTE + self.identity(request)
        return {"project": request.project, "selfLink": link, "creationTimestamp": BORN}

    def _place(self, request: Request) -> str:
        return f"regions/{request.region}"


class SubnetworkApi(_InNetworkApi):
    """Subnetworks."""

    token = SUBNETWORK
    folder = "subnetworks"

    def admit(self, request: Request) -> None:
        """Refuse ranges that overlap others of the network."""
        super().admit(request)
        network = network_id(request.project, request.text("network"))
        taken = [
            (name_of(identity), block)
            for identity, other in request.cloud.all(SUBNETWORK).items()
            if network_id(str(other["project"]), str(other["network"])) == network
            for block in _blocks(other)
        ]
        for block in _blocks(request.inputs):
            for name, other in taken:
                if block.overlaps(other):
                    raise CloudError.of(
                        400,
                        f"Invalid IPCidrRange: {block} conflicts with existing subnetwork '{name}' in region "
                        f"'{request.region}'.",
                        "invalid",
                    )
            taken.append((request.text("name"), block))

    def outputs(self, request: Request) -> Tree:
        """Return its link, its gateway and what it does by default."""
        identity = self.identity(request)
        blocks = _blocks(request.inputs)
        return super().outputs(request) | {
            "region": request.region,
            "gatewayAddress": str(blocks[0].network_address + 1) if blocks else "",
            "subnetworkId": int(digits(identity, 15)),
            "fingerprint": fingerprint(request.inputs),
            "stackType": "IPV4_ONLY",
            "purpose": "PRIVATE",
            "privateIpGoogleAccess": False,
            "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
        }

    def dismiss(self, identity: str, cloud: Cloud) -> None:
        """Refuse while a cluster lies in it."""
        for cluster, other in cloud.all(CLUSTER).items():
            region = str(other["location"])
            region = region if region.count("-") == 1 else region.rpartition("-")[0]
            if subnetwork_id(str(other["project"]), region, str(other.get("subnetwork"))) == identity:
                raise self._in_use(identity, cluster)


class RouterApi(_InNetworkApi):
    """Cloud Routers."""

    token = ROUTER
    folder = "routers"

    def outputs(self, request: Request) -> Tree:
        """Return its link and region."""
        return super().outputs(request) | {"region": request.region}

    def dismiss(self, identity: str, cloud: Cloud) -> None:
        """Take its NATs along: they are part of it."""
        for nat, other in list(cloud.all(NAT).items()):
            if f"projects/{other['project']}/regions/{other['region']}/routers/{name_of(other['router'])}" == identity:
                cloud.remove(NAT, nat)


class NatApi(_ComputeApi):
    """NATs, which are parts of a router."""

    token = NAT

    def identity(self, request: Request) -> str:
        """`PROJECT/REGION/ROUTER/NAME`."""
        router = name_of(request.text("router"))
        return f"{request.project}/{request.region}/{router}/{request.text('name')}"

    def admit(self, request: Request) -> None:
        """Refuse a router that is not there."""
        router = f"projects/{request.project}/regions/{request.region}/routers/{name_of(request.text('router'))}"
        if request.cloud.get(ROUTER, router) is None:
            raise not_found(router)

    def outputs(self, request: Request) -> Tree:
        """Return what it does by default."""
        return {
            "project": request.project,
            "region": request.region,
            "endpointTypes": ["ENDPOINT_TYPE_VM"],
            "enableEndpointIndependentMapping": False,
            "enableDynamicPortAllocation": False,
            "minPortsPerVm": 0,
            "autoNetworkTier": "PREMIUM",
        }


class FirewallApi(_InNetworkApi):
    """Firewall rules."""

    token = FIREWALL
    folder = "firewalls"

    def plan(self, request: Request) -> Tree:
        """Refuse a rule for incoming traffic that does not say from where."""
        sources = ("sourceTags", "sourceRanges", "sourceServiceAccounts")
        if request.inputs.get("direction") != "EGRESS" and not any(name in request.inputs for name in sources):
            raise PlanError("one of source_tags, source_ranges, or source_service_accounts must be defined")
        if request.inputs.get("enableLogging") is False and "logConfig" in request.inputs:
            raise PlanError("log_config cannot be defined when enable_logging is false")
        return super().plan(request)

    def outputs(self, request: Request) -> Tree:
        """Return its link and what it does by default."""
        logs = at(request.inputs, "logConfig") is not None
        return super().outputs(request) | {"direction": "INGRESS", "enableLogging": logs}

    def _place(self, _request: Request) -> str:
        return "global"


def _blocks(inputs: Tree) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    ranges = [inputs.get("ipCidrRange"), *(each.get("ipCidrRange") for each in inputs.get("secondaryIpRanges") or [])]
    return [ipaddress.ip_network(block, strict=False) for block in ranges if block]
