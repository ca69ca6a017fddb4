"""What Google does with each resource type: the IDs it gives, what it fills in, and what it refuses."""

from __future__ import annotations

from functools import cache

from sandbox.plugins.gcp.google.clusters import ClusterApi
from sandbox.plugins.gcp.google.grants import AccountGrantApi, BucketGrantApi, ProjectGrantApi
from sandbox.plugins.gcp.google.networks import FirewallApi, NatApi, NetworkApi, RouterApi, SubnetworkApi
from sandbox.plugins.gcp.google.node_pools import NodePoolApi
from sandbox.plugins.gcp.google.projects import AccountApi, ServiceApi
from sandbox.plugins.gcp.google.resource import Api
from sandbox.plugins.gcp.google.zones import ManagedZoneApi, RecordSetApi

_APIS = (
    AccountApi, AccountGrantApi, BucketGrantApi, ClusterApi, FirewallApi, ManagedZoneApi, NatApi, NetworkApi,
    NodePoolApi, ProjectGrantApi, RecordSetApi, RouterApi, ServiceApi, SubnetworkApi,
)  # fmt: skip


@cache
def api_of(token: str) -> Api:
    """Return the API of one of the resource types of schema.TYPES."""
    return next(each() for each in _APIS if each.token == token)
