"""GKE clusters. Each of them is the sandbox: its address and its certificate authority are the sandbox's."""

from __future__ import annotations

import base64
import re
from typing import Any

from sandbox.plugins.gcp.cloud import Cloud, CloudError
from sandbox.plugins.gcp.google.grants import CLUSTER, require_account
from sandbox.plugins.gcp.google.networks import SUBNETWORK, network_id, relative, require_network, subnetwork_id
from sandbox.plugins.gcp.google.resource import CONTAINER, Api, PlanError, Request, fingerprint, not_found
from sandbox.plugins.gcp.kubeconfig import NoSandboxError, access
from sandbox.plugins.gcp.values import UNKNOWN, Tree, Value, at, name_of

NODE_POOL = "gcp:container/nodePool:NodePool"
NEWEST = "1.35"
"""The minor version that a cluster gets which asks for none: the sandbox's."""
_PATCH = "4-gke.1027000"
_VERSION = re.compile(r"(\d+)\.(\d+)(\.\d+(-gke\.\d+)?)?")


class ClusterApi(Api):
    """Clusters."""

    token = CLUSTER
    service = "container.googleapis.com"
    service_title = "Kubernetes Engine API"

    def plan(self, request: Request) -> Tree:
        """Refuse a version of the nodes that are not to be kept. Its project is not looked for before it is made."""
        if request.text("nodeVersion") and request.inputs.get("removeDefaultNodePool"):
            raise PlanError("node_version can only be specified if remove_default_node_pool is not true")
        return {"project": request.inputs.get("project", UNKNOWN), "deletionPolicy": "DELETE"}

    def identity(self, request: Request) -> str:
        """`projects/PROJECT/locations/LOCATION/clusters/NAME`."""
        return f"projects/{request.project}/locations/{self._location(request)}/clusters/{request.text('name')}"

    def admit(self, request: Request) -> None:
        """Refuse networks, ranges and accounts that are not there, and a cluster without the first nodes."""
        inputs, location = request.inputs, self._location(request)
        if not request.before and location in (inputs.get("nodeLocations") or []):
            raise CloudError("when using a multi-zonal cluster, node_locations should not contain the original 'zone'")
        if not inputs.get("enableAutopilot") and not inputs.get("initialNodeCount") and not inputs.get("nodePools"):
            raise CloudError.of(400, "Cluster.initial_node_count must be greater than zero.", "badRequest")
        if inputs.get("initialNodeCount") and inputs.get("nodePools"):
            raise CloudError.of(
                400, "Cluster.initial_node_count and Cluster.node_pools may not be set together.", "badRequest"
            )
        require_network(network_id(request.project, request.text("network")), request.cloud)
        self._require_ranges(request)
        if email := at(inputs, "nodeConfig.serviceAccount"):
            require_account(str(email), request.cloud)
        self.version(request)

    def outputs(self, request: Request) -> Tree:
        """Return where the cluster is reached, and what Google fills in."""
        identity, location, version = self.identity(request), self._location(request), self.version(request)
        host, authority = self._sandbox(request)
        inputs = request.inputs
        return {
            "project": request.project,
            "location": location,
            "selfLink": CONTAINER + identity,
            "endpoint": host,
            "masterVersion": version,
            "nodeVersion": version,
            "emulatedVersion": version.rpartition(".")[0] if version.count(".") == 1 else "",
            "labelFingerprint": fingerprint(inputs.get("resourceLabels"))[:8],
            "operation": "",
            "servicesIpv4Cidr": self._range(request, "services"),
            "clusterIpv4Cidr": self._range(request, "cluster"),
            "tpuIpv4CidrBlock": "",
            "effectiveLabels": {**(inputs.get("resourceLabels") or {}), **request.setting.labels},
            "pulumiLabels": {**(inputs.get("resourceLabels") or {}), **request.setting.labels},
            "masterAuth": {
                "clientCertificate": "",
                "clientKey": "",
                "clusterCaCertificate": authority,
                "clientCertificateConfig": {"issueClientCertificate": False},
            },
            "controlPlaneEndpointsConfig": {
                "dnsEndpointConfig": {"endpoint": host, "allowExternalTraffic": False},
                "ipEndpointsConfig": {"enabled": True},
            },
            "privateClusterConfig": {
                "privateEndpoint": host,
                "publicEndpoint": host,
                "peeringName": "",
                "masterGlobalAccessConfig": {"enabled": False},
            },
            "nodePools": [] if inputs.get("removeDefaultNodePool") else [{"name": "default-pool"}],
            "nodeLocations": [],
            "networkingMode": "VPC_NATIVE" if inputs.get("ipAllocationPolicy") else "ROUTES",
            "releaseChannel": {"channel": "REGULAR"},
            "loggingService": "logging.googleapis.com/kubernetes",
            "monitoringService": "monitoring.googleapis.com/kubernetes",
            "datapathProvider": "LEGACY_DATAPATH",
            "defaultMaxPodsPerNode": 110,
        }

    def dismiss(self, identity: str, cloud: Cloud) -> None:
        """Take its node pools along."""
        for pool in [each for each in cloud.all(NODE_POOL) if each.startswith(f"{identity}/")]:
            cloud.remove(NODE_POOL, pool)

    def conflict(self, identity: str) -> CloudError:
        """Return GKE's own words."""
        return CloudError.of(409, f"Already exists: {identity}.", "alreadyExists")

    def version(self, request: Request) -> str:
        """Return a version of Kubernetes that is at least the wanted one, and no older than before.

        Raises:
            CloudError: GKE has no such version.
        """
        wanted, before = request.text("minMasterVersion"), str(request.before.get("masterVersion") or "")
        if not wanted or wanted == "latest":
            return before or f"{NEWEST}.{_PATCH}"
        match = _VERSION.fullmatch(wanted)
        if not match or (int(match[1]), int(match[2])) > tuple(int(part) for part in NEWEST.split(".")):
            raise CloudError.of(400, f'Master version "{wanted}" is unsupported.', "badRequest")
        found = wanted if match[4] else f"{wanted}-gke.1027000" if match[3] else f"{wanted}.{_PATCH}"
        return before if before and _numbers(before) >= _numbers(found) else found

    def _location(self, request: Request) -> str:
        found = request.text("location") or str(request.before.get("location") or "")
        found = found or request.setting.region or request.setting.zone
        if not found:
            raise CloudError("Unable to determine location: region/zone not configured in resource/provider config")
        return name_of(found)

    def _sandbox(self, request: Request) -> tuple[str, str]:
        try:
            found = access(request.environ)
        except NoSandboxError as error:
            raise CloudError(f"a cluster of this stand-in is the sandbox: {error}") from error
        return found.host, base64.b64encode(found.authority).decode()

    def _subnetwork(self, request: Request) -> Tree | None:
        reference = request.text("subnetwork")
        if not reference:
            return None
        location = self._location(request)
        region = location if location.count("-") == 1 else location.rpartition("-")[0]
        identity = subnetwork_id(request.project, region, reference)
        found = request.cloud.get(SUBNETWORK, identity)
        if found is None:
            if name_of(identity) == "default":
                return None
            raise not_found(identity)
        if relative(identity).split("/")[3] != region:
            raise CloudError.of(400, f"Subnetwork {identity} is not in region {region}.", "badRequest")
        return found

    def _require_ranges(self, request: Request) -> None:
        subnetwork = self._subnetwork(request)
        for purpose, word in (("cluster", "Pod"), ("services", "Services")):
            name = at(request.inputs, f"ipAllocationPolicy.{purpose}SecondaryRangeName")
            if name and subnetwork is not None and _secondary(subnetwork, name) is None:
                raise CloudError.of(
                    400,
                    f'{word} secondary range "{name}" does not exist in subnetwork "{subnetwork["name"]}".',
                    "badRequest",
                )

    def _range(self, request: Request, purpose: str) -> Value:
        subnetwork = self._subnetwork(request)
        name = at(request.inputs, f"ipAllocationPolicy.{purpose}SecondaryRangeName")
        return _secondary(subnetwork, name) if subnetwork is not None and name else ""


def _secondary(subnetwork: dict[str, Any], name: str) -> str | None:
    ranges = {each["rangeName"]: each.get("ipCidrRange") for each in subnetwork.get("secondaryIpRanges") or []}
    return ranges.get(name)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
