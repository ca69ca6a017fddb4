"""Kinds of resources in plain words, and what is lost with one of them that holds something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rollout.review_plan import Change


@dataclass(frozen=True)
class Kind:
    """One kind of resource.

    Attributes:
        word: what a reader calls it.
        loss: what is lost when one of them goes; "" for a kind that holds nothing.
        anew: what a replacement does after that.
        deletable: whether a deletion alone is no loss: nothing refers to one that goes for good.
    """

    word: str
    loss: str = ""
    anew: str = ""
    deletable: bool = False


# By Pulumi type, without the version of a Kubernetes API group. First comes what would take most with it.
KINDS: Final[Mapping[str, Kind]] = {
    "gcp:container/cluster:Cluster": Kind("cluster", "everything on it is lost", "and made anew"),
    "gcp:compute/network:Network": Kind("network", "what is in it loses its connection", "until it is made anew"),
    "gcp:compute/subnetwork:Subnetwork": Kind("subnetwork", "the nodes in it have to go first"),
    "gcp:container/nodePool:NodePool": Kind("node pool", "its nodes go, and every pod on them moves or waits"),
    "pulumi:providers:kubernetes": Kind("connection to the cluster", "every object behind it counts as lost"),
    "kubernetes:Namespace": Kind("namespace", "everything in it is deleted", "and made anew"),
    "kubernetes:PersistentVolume": Kind("volume", "the data on it may be lost"),
    "kubernetes:PersistentVolumeClaim": Kind("volume claim", "the data on its volume may be lost"),
    "kubernetes:StatefulSet": Kind("StatefulSet", "all of its pods stop", "and start anew"),
    "kubernetes:CustomResourceDefinition": Kind("object definition", "every object of that kind is deleted with it"),
    "kubernetes:Release": Kind("Helm release", "what it runs is uninstalled", "and installed anew"),
    "pulumi:index:Stash": Kind("kept key (Stash)", "the CA key that it keeps is gone", "and another one is made"),
    "kubernetes:Secret": Kind("Secret", "what reads it has none", "until it is made anew"),
    "kubernetes:Service": Kind("Service", "its callers fail", "until it is made anew, at another address"),
    "gcp:storage/bucket:Bucket": Kind("bucket", "the files in it are lost"),
    "gcp:serviceaccount/account:Account": Kind("Google service account", "what is granted to it ends"),
    "gcp:compute/router:Router": Kind("router", "nodes without an address of their own lose the internet"),
    "gcp:compute/routerNat:RouterNat": Kind("NAT", "nodes without an address of their own lose the internet"),
    "gcp:dns/managedZone:ManagedZone": Kind("DNS zone", "models do not find their buckets", "until it is made anew"),
    "gcp:dns/recordSet:RecordSet": Kind("DNS record", "models do not find their buckets", "until it is made anew"),
    "gcp:projects/service:Service": Kind("Google API", "the API may be switched off"),
    "kubernetes:VirtualService": Kind(
        "route (VirtualService)", "its weights end and requests go to all versions alike", "until it is made anew"
    ),
    "kubernetes:DestinationRule": Kind(
        "subset (DestinationRule)", "requests for this version fail", "until it is made anew", deletable=True
    ),
    "kubernetes:NetworkPolicy": Kind(
        "network policy", "models' pods reach everything, and everything reaches them", "until it is made anew"
    ),
    "kubernetes:AuthorizationPolicy": Kind(
        "access rules (AuthorizationPolicy)",
        "whoever reaches a pod may call it",
        "until it is made anew",
        deletable=True,
    ),
    "kubernetes:PeerAuthentication": Kind(
        "mutual TLS (PeerAuthentication)",
        "callers without a sidecar are refused, or let in",
        "until it is made anew",
        deletable=True,
    ),
    "kubernetes:ServiceEntry": Kind("egress (ServiceEntry)"),
    "gcp:compute/firewall:Firewall": Kind("firewall rule"),
    "scaling": Kind("note of who scales (Stash)"),
    "pulumi:pulumi:Stack": Kind("stack"),
}
_RANKS: Final = {kind: rank for rank, kind in enumerate(KINDS)}
_CA_SECRET: Final = Kind("Secret of the mesh's CA", "istiod has no CA", "until it is made anew")
_GRANT: Final = Kind("access grant (IAM)", "who relies on it has no access", "until it is made anew")
_ADDRESS: Final = Kind("IP address", "Google may give it to somebody else")


def _key(change: Change) -> str:
    if change.type == "pulumi:index:Stash" and change.name.endswith("-scaling"):
        return "scaling"
    package, _, rest = change.type.partition(":")
    return f"kubernetes:{rest.rsplit(':', 1)[-1]}" if package == "kubernetes" else change.type


def kind_of(change: Change) -> Kind:
    """Return the kind of a resource; one that is not known is called by the last word of its type."""
    key = _key(change)
    if key == "kubernetes:Secret" and object_name(change).endswith("cacerts"):
        return _CA_SECRET
    if key in KINDS:
        return KINDS[key]
    package, _, rest = key.partition(":")
    module, _, word = rest.rpartition(":")
    if package == "gcp" and "iam" in word.lower():
        return _GRANT
    if package == "gcp" and word in {"Address", "GlobalAddress"}:
        return _ADDRESS
    if package == "pulumi" and module == "providers":
        return Kind(f"connection ({word})")
    return Kind(word[:1].upper() + word[1:] if word else key)


def rank(change: Change) -> int:
    """Return how much goes with a resource, the most first."""
    return _RANKS.get(_key(change), len(_RANKS))


def object_name(change: Change) -> str:
    """Return what a reader finds a resource by: NAMESPACE/NAME of a Kubernetes object, else its name in the program.

    An object whose name is generated has its name in the program as well, since the other one changes with it.
    """
    metadata = change.inputs.get("metadata")
    if isinstance(metadata, Mapping) and change.type.startswith("kubernetes:"):
        name, namespace = metadata.get("name"), metadata.get("namespace")
        annotations = metadata.get("annotations")
        generated = isinstance(annotations, Mapping) and "pulumi.com/autonamed" in annotations
        if isinstance(name, str) and not generated:
            return f"{namespace}/{name}" if isinstance(namespace, str) else name
    return change.name
