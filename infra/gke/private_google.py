"""Google's APIs at addresses of their own: what a network policy can allow without allowing the rest of Google.

Google answers its APIs at private.googleapis.com, four addresses that are nobody else's and that Private Google Access
reaches without a public address. A private zone has the network's DNS say so for every name under googleapis.com.
"""

import ipaddress

import pulumi
from pulumi_gcp import dns

from infra.component import Component
from infra.config_egress import PRIVATE_GOOGLE_ACCESS

NAME = "private.googleapis.com."
TTL = 300  # seconds


class PrivateGoogleApis(Component):
    """A private zone for googleapis.com; pods that may reach nothing else of Google find Cloud Storage by it.

    Attributes:
        records: what a model's bucket cannot be found without.
    """

    records: list[dns.RecordSet]

    def __init__(self, name: str, network: pulumi.Input[str], opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("PrivateGoogleApis", name, opts)
        zone = dns.ManagedZone(
            f"{name}-zone",
            dns_name="googleapis.com.",
            description="Google's APIs at the addresses of Private Google Access",
            visibility="private",
            private_visibility_config={"networks": [{"network_url": network}]},
            opts=self.child(),
        )
        addresses = [str(address) for address in ipaddress.IPv4Network(PRIVATE_GOOGLE_ACCESS)]
        self.records = [
            dns.RecordSet(
                f"{name}-{kind.lower()}",
                managed_zone=zone.name,
                name=record,
                type=kind,
                ttl=TTL,
                rrdatas=values,
                opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # a name has one set of a type
            )
            for record, kind, values in ((NAME, "A", addresses), ("*.googleapis.com.", "CNAME", [NAME]))
        ]
        self.register_outputs({})
