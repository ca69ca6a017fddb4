"""Cloud DNS: zones of a network, and the records in them."""

from __future__ import annotations

from typing import ClassVar

from sandbox.plugins.gcp.cloud import Cloud, CloudError
from sandbox.plugins.gcp.google.networks import network_id, require_network
from sandbox.plugins.gcp.google.resource import BORN, Api, PlanError, Request, digits, not_found
from sandbox.plugins.gcp.values import Tree, at, name_of

ZONE = "gcp:dns/managedZone:ManagedZone"
RECORDS = "gcp:dns/recordSet:RecordSet"


class _DnsApi(Api):
    service = "dns.googleapis.com"
    service_title = "Cloud DNS API"
    named: ClassVar[str]
    """The property that holds a DNS name."""

    def plan(self, request: Request) -> Tree:
        """Refuse a name without its last dot."""
        if not request.text(self.named).endswith("."):
            raise PlanError(f'"{self.named}" ("{request.text(self.named)}") must end with a dot')
        return super().plan(request)


class ManagedZoneApi(_DnsApi):
    """Zones."""

    token = ZONE
    named = "dnsName"

    def identity(self, request: Request) -> str:
        """`projects/PROJECT/managedZones/NAME`."""
        return f"projects/{request.project}/managedZones/{request.text('name')}"

    def admit(self, request: Request) -> None:
        """Refuse a network that is not there."""
        for network in at(request.inputs, "privateVisibilityConfig.networks") or []:
            require_network(network_id(request.project, str(network["networkUrl"])), request.cloud)

    def outputs(self, request: Request) -> Tree:
        """Return its numbers and servers."""
        number = digits(self.identity(request), 19)
        servers = ["ns-gcp-private.googledomains.com."] if request.text("visibility") == "private" else []
        return {
            "project": request.project,
            "managedZoneId": int(number),
            "nameServers": servers,
            "creationTime": BORN,
        }

    def dismiss(self, identity: str, cloud: Cloud) -> None:
        """Refuse while it has records of somebody's."""
        for records, other in cloud.all(RECORDS).items():
            if zone_id(str(other["project"]), str(other["managedZone"])) == identity:
                raise CloudError.of(
                    400,
                    f"The resource named '{name_of(identity)}' cannot be deleted because it contains one or more "
                    f"'resource records', {records} among them.",
                    "containerNotEmpty",
                )


class RecordSetApi(_DnsApi):
    """Records of one name and type."""

    token = RECORDS
    named = "name"

    def identity(self, request: Request) -> str:
        """`projects/PROJECT/managedZones/ZONE/rrsets/NAME/TYPE`."""
        zone = zone_id(request.project, request.text("managedZone"))
        return f"{zone}/rrsets/{request.text('name')}/{request.text('type')}"

    def admit(self, request: Request) -> None:
        """Refuse a zone that is not there, and a name that is not below it."""
        identity = zone_id(request.project, request.text("managedZone"))
        zone = request.cloud.get(ZONE, identity)
        if zone is None:
            raise not_found(identity)
        name, above = request.text("name"), str(zone["dnsName"])
        if name != above and not name.endswith(f".{above}"):
            raise CloudError.of(400, f"Invalid value for 'entity.change.additions[0].name': '{name}'", "invalid")

    def outputs(self, request: Request) -> Tree:
        """Return nothing but the project."""
        return {"project": request.project}


def zone_id(project: str, reference: str) -> str:
    """Return a zone's ID, from an ID or a name."""
    return reference if "projects/" in reference else f"projects/{project}/managedZones/{reference}"
