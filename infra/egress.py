"""What may leave the models' namespace: one ServiceEntry for each thing a model server reads from.

With the mesh's outbound policy at REGISTRY_ONLY a sidecar refuses every host that no ServiceEntry names. The entries
are visible in their own namespace only (`exportTo: ["."]`), so they open nothing for the rest of the mesh. This is no
security boundary by itself: a pod that bypasses its sidecar is not held.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.component import Component
from infra.objects import KubernetesObject
from infra.settings import EgressSettings

# TensorFlow reads objects from the first and lists and stats them through the second.
GCS_HOSTS = ("storage.googleapis.com", "www.googleapis.com")
# Tokens of Workload Identity; "metadata" is what older clients ask for.
METADATA_HOSTS = ("metadata.google.internal", "metadata")
METADATA_ADDRESS = "169.254.169.254"


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
    return {
        "hosts": list(hosts),
        "exportTo": ["."],
        "location": "MESH_EXTERNAL",
        "resolution": "DNS",
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
    for host in allowed.hosts:
        entries[f"host.{host}"] = https_entry([host])
    return entries


class EgressRules(Component):
    """The ServiceEntries of the models' namespace."""

    def __init__(self, name: str, args: EgressRulesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("EgressRules", name, opts)
        for entry, spec in service_entries(args.allowed).items():
            KubernetesObject(
                f"{name}-{entry}",
                {
                    "apiVersion": naming.ISTIO_NETWORKING,
                    "kind": "ServiceEntry",
                    "metadata": {"name": entry, "namespace": args.namespace, "labels": naming.part_of()},
                    "spec": spec,
                },
                opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
            )
        self.register_outputs({})
