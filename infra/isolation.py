"""The NetworkPolicy of the models' namespace: what its pods reach and what reaches them, with or without a proxy.

A proxy refuses a host that no ServiceEntry names, but a process can go around its proxy: as the proxy's own user, by
UDP, before there is a proxy. What it cannot go around is the node, which drops what the policy does not allow. A policy
knows addresses and pods and no host names, so a host that shares an allowed address is the proxy's to tell apart.

It holds where the cluster enforces NetworkPolicies, as GKE's Dataplane V2 does; elsewhere it says what should be.
"""

from collections.abc import Iterator
from typing import Any

from infra import naming
from infra.config_egress import EgressSettings

METADATA_ADDRESS = "169.254.169.254"
# A request to the metadata server as a policy sees it: on GKE's Dataplane V2, and where the older dataplane has turned
# it to GKE's own server already.
METADATA_PORTS = {METADATA_ADDRESS: (80, 8080), "169.254.169.252": (987, 988)}
NODE_DNS = "169.254.20.10"  # NodeLocal DNSCache, on nodes that have it
DNS_PORT = 53
ISTIOD_PORT = 15012
# The proxy's agent answers scrapes and the kubelet's probes, the proxy itself scrapes of its own figures.
SCRAPE_PORTS = (15020, 15090)


def network_policy(allowed: EgressSettings) -> dict[str, Any]:
    """Return the NetworkPolicy's spec; it is for every pod, and what no rule allows is dropped."""
    pods: list[dict[str, Any]] = [{"namespaceSelector": {}}]  # wherever they are: who may call is told by who they are
    return {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            _rule("from", pods, (naming.GRPC_PORT, naming.HTTP_PORT)),
            _rule("from", pods, SCRAPE_PORTS),
        ],
        "egress": list(_egress(allowed)),
    }


def _egress(allowed: EgressSettings) -> Iterator[dict[str, Any]]:
    """Generate what pods reach; what the config adds comes last, so that a preview shows it as an addition."""
    if allowed.policy == "ALLOW_ANY":
        yield {}
        return
    resolvers = [_pods("kube-system", {"k8s-app": name}) for name in ("kube-dns", "node-local-dns")]
    resolvers.append(_address(f"{NODE_DNS}/32"))
    if allowed.gcs:
        resolvers.append(_address(f"{METADATA_ADDRESS}/32"))  # Cloud DNS, on clusters that resolve by it
    yield _rule("to", resolvers, (DNS_PORT,), ("UDP", "TCP"))
    yield _rule("to", [_pods(naming.ISTIO_NAMESPACE, {"app": "istiod"})], (ISTIOD_PORT,))
    if allowed.gcs:
        for address, ports in METADATA_PORTS.items():
            yield _rule("to", [_address(f"{address}/32")], ports)
    if allowed.cidrs:
        yield _rule("to", [_address(cidr) for cidr in allowed.cidrs], (443,))


def _rule(
    direction: str, peers: list[dict[str, Any]], ports: tuple[int, ...], protocols: tuple[str, ...] = ("TCP",)
) -> dict[str, Any]:
    numbers = [{"protocol": protocol, "port": port} for port in ports for protocol in protocols]
    return {direction: peers, "ports": numbers}


def _pods(namespace: str, labels: dict[str, str]) -> dict[str, Any]:
    # The control plane itself gives every namespace the label of its name.
    in_namespace = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    return {"namespaceSelector": in_namespace, "podSelector": {"matchLabels": labels}}


def _address(cidr: str) -> dict[str, Any]:
    return {"ipBlock": {"cidr": cidr}}
