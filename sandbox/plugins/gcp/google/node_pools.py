"""GKE's node pools. They have no nodes: the sandbox's node is there whatever pools say."""

from __future__ import annotations

from sandbox.plugins.gcp.cloud import CloudError
from sandbox.plugins.gcp.google.clusters import NODE_POOL
from sandbox.plugins.gcp.google.grants import CLUSTER, require_account
from sandbox.plugins.gcp.google.resource import COMPUTE, Api, Request, digits, not_found
from sandbox.plugins.gcp.values import Tree, at, name_of

_BY_ZONE = ("minNodeCount", "maxNodeCount")
_IN_TOTAL = ("totalMinNodeCount", "totalMaxNodeCount")


class NodePoolApi(Api):
    """Node pools."""

    token = NODE_POOL
    service = "container.googleapis.com"
    service_title = "Kubernetes Engine API"

    def identity(self, request: Request) -> str:
        """`CLUSTER/nodePools/NAME`."""
        return f"{self._cluster(request)}/nodePools/{request.text('name')}"

    def admit(self, request: Request) -> None:
        """Refuse a cluster or an account that is not there, and counts that contradict each other."""
        inputs = request.inputs
        if request.cloud.get(CLUSTER, self._cluster(request)) is None:
            raise not_found(self._cluster(request))
        if inputs.get("initialNodeCount") is not None and inputs.get("nodeCount") is not None and not request.before:
            raise CloudError(f"Cannot set both initial_node_count and node_count on node pool {request.text('name')}")
        scaling = inputs.get("autoscaling") or {}
        if any(scaling.get(name) for name in _BY_ZONE) and any(scaling.get(name) for name in _IN_TOTAL):
            raise CloudError.of(
                400, "Autoscaling takes node counts per zone or in total, and not both of them.", "badRequest"
            )
        for low, high in (_BY_ZONE, _IN_TOTAL):
            if (scaling.get(low) or 0) > (scaling.get(high) or 0):
                raise CloudError.of(400, f"Autoscaling: {low} is greater than {high}.", "badRequest")
        if (email := at(inputs, "nodeConfig.serviceAccount")) and email != "default":
            require_account(str(email), request.cloud)

    def outputs(self, request: Request) -> Tree:
        """Return its instance groups and what Google fills in."""
        identity = self.identity(request)
        cluster = request.cloud.get(CLUSTER, self._cluster(request)) or {}
        location = identity.split("/")[3]
        zones = request.inputs.get("nodeLocations") or (
            [location] if location.count("-") == 2 else [f"{location}-{letter}" for letter in "bcd"]
        )
        groups = [
            f"{COMPUTE}projects/{request.project}/zones/{zone}/instanceGroupManagers/"
            f"gke-{request.text('name')[:30]}-{digits(identity + zone, 8)}-grp"
            for zone in zones
        ]
        version = str(cluster.get("masterVersion") or "")
        count = request.inputs.get("initialNodeCount")
        count = at(request.inputs, "autoscaling.minNodeCount") or 0 if count is None else count
        return {
            "project": request.project,
            "location": location,
            "instanceGroupUrls": groups,
            "managedInstanceGroupUrls": [group.replace("Managers", "s") for group in groups],
            "version": version,
            "nodeCount": count,
            "initialNodeCount": count,
            "maxPodsPerNode": 110,
            "nodeLocations": zones,
            "namePrefix": "",
            "operation": "",
            "management": {"autoRepair": True, "autoUpgrade": True},
            "upgradeSettings": {"maxSurge": 1, "maxUnavailable": 0, "strategy": "SURGE"},
            "nodeConfig": {
                "machineType": "e2-medium",
                "diskSizeGb": 100,
                "diskType": "pd-balanced",
                "imageType": "COS_CONTAINERD",
                "serviceAccount": "default",
                "loggingVariant": "DEFAULT",
                "effectiveTaints": [],
            },
        }

    def conflict(self, identity: str) -> CloudError:
        """Return the provider's own words: it looks before it asks."""
        return CloudError(f"resource - {identity} - already exists")

    def _cluster(self, request: Request) -> str:
        reference = request.text("cluster")
        if "projects/" in reference:
            return reference[reference.find("projects/") :]
        location = request.text("location") or str(request.before.get("location") or "")
        location = location or request.setting.region or request.setting.zone
        return f"projects/{request.project}/locations/{name_of(location)}/clusters/{reference}"
