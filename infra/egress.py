"""What may leave the models' namespace: one ServiceEntry for each thing a model server reads from.

With the mesh's outbound policy at REGISTRY_ONLY a sidecar refuses every host that no ServiceEntry names. The entries
are visible in their own namespace only (`exportTo: ["."]`), so they open nothing for the rest of the mesh. A pod that
bypasses its sidecar is held by the NetworkPolicy behind them (`isolation`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.component import Component
from infra.config_egress import WILDCARD, EgressSettings
from infra.isolation import METADATA_ADDRESS, network_policy
from infra.objects import KubernetesObject

# TensorFlow reads objects from the first and lists and stats them through the second.
GCS_HOSTS = ("storage.googleapis.com", "www.googleapis.com")
# Tokens of Workload Identity; "metadata" is what older clients ask for.
METADATA_HOSTS = ("metadata.google.internal", "metadata")
# Says on a ServiceEntry why models need its host.
REASON = f"{naming.PROJECT}/reason"


@dataclass(frozen=True)
class EgressRulesArgs:
    """Who may reach what.

    Attributes:
        namespace: the models' namespace.
        allowed: the hosts. S3 and Azure serve init containers that download; TF Serving itself reads neither.
    """

    namespace: pulumi.Input[str]
    allowed: EgressSettings


def https_entry(hosts: Sequence[str]) -> dict[str, Any]:
    """Return the spec of a ServiceEntry for hosts outside the mesh that are reached by TLS on 443."""
    wild = any(host.startswith(WILDCARD) for host in hosts)
    return {
        "hosts": list(hosts),
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": "NONE" if wild else "DNS",  # a proxy cannot ask for the address of a wildcard
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
    }


def metadata_entry() -> dict[str, Any]:
    """Return the spec of a ServiceEntry for Google's metadata server, by name and by address."""
    return {
        "hosts": list(METADATA_HOSTS),
        "addresses": [METADATA_ADDRESS],
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": "STATIC",
        "endpoints": [{"address": METADATA_ADDRESS}],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    }


def service_entries(allowed: EgressSettings) -> dict[str, dict[str, Any]]:
    """Return the specs of all ServiceEntries by object name, in a stable order."""
    entries: dict[str, dict[str, Any]] = {}
    if allowed.gcs:
        entries["gcs"] = https_entry(GCS_HOSTS)
        entries["gcp-metadata"] = metadata_entry()
    for region in sorted({entry.region for entry in allowed.s3}):
        buckets = [entry.bucket for entry in allowed.s3 if entry.region == region]
        hosts = [f"s3.{region}.amazonaws.com", f"sts.{region}.amazonaws.com"]
        hosts += [f"{bucket}.s3.{region}.amazonaws.com" for bucket in buckets]
        entries[f"s3-{region}"] = https_entry(hosts)
    if allowed.azure:
        accounts = [f"{entry.account}.blob.core.windows.net" for entry in allowed.azure]
        entries["azure-blob"] = https_entry([*accounts, "login.microsoftonline.com"])
    for host in (each.host for each in allowed.hosts):
        below = host.removeprefix(WILDCARD)
        entries[f"host.{host}" if below == host else f"hosts-below.{below}"] = https_entry([host])
    return entries


class EgressRules(Component):
    """The ServiceEntries of the models' namespace, and the NetworkPolicy that holds whoever bypasses a proxy."""

    def __init__(self, name: str, args: EgressRulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("EgressRules", name, opts)
        reasons = {each.host: each.reason for each in args.allowed.hosts}
        for entry, spec in service_entries(args.allowed).items():
            why = reasons.get(spec["hosts"][0])
            self._object(entry, args, naming.ISTIO_NETWORKING, "ServiceEntry", spec, {REASON: why} if why else {})
        self._object("isolation", args, "networking.k8s.io/v1", "NetworkPolicy", network_policy(args.allowed))
        self.register_outputs({})

    def _object(
        self,
        name: str,
        args: EgressRulesArgs,
        api_version: str,
        kind: str,
        spec: dict[str, Any],
        annotations: dict[str, str] | None = None,
    ) -> None:
        metadata = {"name": name, "namespace": args.namespace, "labels": naming.part_of()}
        KubernetesObject(
            f"{self._name}-{name}",
            {
                "apiVersion": api_version,
                "kind": kind,
                "metadata": {**metadata, **({"annotations": annotations} if annotations else {})},
                "spec": spec,
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )
