"""NetworkPolicies of the models' namespace: what its pods reach, and what reaches them, with or without their proxies.

A proxy refuses a host that no ServiceEntry names, but a process can go around its proxy: as the proxy's own user, by
UDP, before there is a proxy. What it cannot go around is the node, which drops what no policy allows. Policies know
addresses and pods and no host names, so a host that shares an allowed address is the proxy's to tell apart.

They hold where the cluster enforces NetworkPolicies, as GKE's Dataplane V2 does; elsewhere they say what should be.
"""

from typing import Any

from infra import naming
from infra.config_egress import EgressSettings

METADATA_ADDRESS = "169.254.169.254"
# A request to the metadata server as policies see it: on GKE's Dataplane V2, and where the older dataplane has turned
# it to GKE's own server already.
METADATA_PORTS = {METADATA_ADDRESS: (80, 8080), "169.254.169.252": (987, 988)}
NODE_DNS = "169.254.20.10"  # NodeLocal DNSCache, on nodes that have it
DNS_PORT = 53
ISTIOD_PORT = 15012
# The proxy's agent answers scrapes and the kubelet's probes, the proxy itself scrapes of its own figures.
SCRAPE_PORTS = (15020, 15090)


def network_policies(allowed: EgressSettings) -> dict[str, dict[str, Any]]:
    """Return the specs of all NetworkPolicies by object name, in a stable order; each is for every pod."""
    callers: list[dict[str, Any]] = [
        {"namespaceSelector": {}}
    ]  # pods, wherever they are: who may call is told by who they are
    ingress = {
        "callers": _rule("from", callers, (naming.GRPC_PORT, naming.HTTP_PORT)),
        "scrapes": _rule("from", callers, SCRAPE_PORTS),
    }
    policies: dict[str, dict[str, Any]] = {
        "nothing-else": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        **{name: {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [rule]} for name, rule in ingress.items()},
    }
    for name, rules in _egress(allowed).items():
        policies[name] = {"podSelector": {}, "policyTypes": ["Egress"], "egress": rules}
    return policies


def _egress(allowed: EgressSettings) -> dict[str, list[dict[str, Any]]]:
    if allowed.policy == "ALLOW_ANY":
        return {"everywhere": [{}]}
    resolvers = [_pods("kube-system", {"k8s-app": name}) for name in ("kube-dns", "node-local-dns")]
    resolvers.append(_address(f"{NODE_DNS}/32"))
    if allowed.gcs:
        resolvers.append(_address(f"{METADATA_ADDRESS}/32"))  # Cloud DNS, on clusters that resolve by it
    rules = {
        "dns": [_rule("to", resolvers, (DNS_PORT,), ("UDP", "TCP"))],
        "istiod": [_rule("to", [_pods(naming.ISTIO_NAMESPACE, {"app": "istiod"})], (ISTIOD_PORT,))],
    }
    if allowed.gcs:
        rules["gcp-metadata"] = [
            _rule("to", [_address(f"{address}/32")], ports) for address, ports in METADATA_PORTS.items()
        ]
    if allowed.cidrs:
        rules["hosts"] = [_rule("to", [_address(cidr) for cidr in allowed.cidrs], (443,))]
    return rules


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
