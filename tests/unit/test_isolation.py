"""The NetworkPolicy of the models' namespace, by what it lets a packet do; the sandbox shows that it holds."""

import ipaddress
from typing import Any

import pytest

from infra.config_egress import EgressSettings
from infra.isolation import network_policy

KUBE_SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}
Peer = str | tuple[dict[str, str], dict[str, str]]
DNS: Peer = (KUBE_SYSTEM, {"k8s-app": "kube-dns"})
ISTIOD: Peer = ({"kubernetes.io/metadata.name": "istio-system"}, {"app": "istiod"})


def matches(rule_peer: dict[str, Any], peer: Peer) -> bool:
    if isinstance(peer, str):
        block = rule_peer.get("ipBlock")
        return block is not None and ipaddress.ip_address(peer) in ipaddress.ip_network(block["cidr"])
    if "namespaceSelector" not in rule_peer:
        return False
    namespace, pod = peer
    wanted = [
        rule_peer[name].get("matchLabels", {}) for name in ("namespaceSelector", "podSelector") if name in rule_peer
    ]
    return all(labels.items() <= {**namespace, **pod}.items() for labels in wanted)


def allows(settings: EgressSettings, direction: str, peer: Peer, port: int, protocol: str = "TCP") -> bool:
    policy = network_policy(settings)
    assert policy["podSelector"] == {}, "some pods are left out"
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}, "not everything is denied that no rule allows"
    end = {"egress": "to", "ingress": "from"}[direction]
    return any(
        (end not in rule or any(matches(each, peer) for each in rule[end]))
        and ("ports" not in rule or {"protocol": protocol, "port": port} in rule["ports"])
        for rule in policy[direction]
    )


@pytest.mark.parametrize(
    ("peer", "port", "protocol"),
    [
        (DNS, 53, "UDP"),
        (DNS, 53, "TCP"),
        ("169.254.20.10", 53, "UDP"),
        ((KUBE_SYSTEM, {"k8s-app": "node-local-dns"}), 53, "UDP"),
        ("169.254.169.254", 53, "UDP"),
        (ISTIOD, 15012, "TCP"),
        ("169.254.169.254", 80, "TCP"),
        ("169.254.169.252", 988, "TCP"),
        ("199.36.153.8", 443, "TCP"),
        ("199.36.153.11", 443, "TCP"),
    ],
)
def test_a_model_on_cloud_storage_gets_what_it_needs(peer: Peer, port: int, protocol: str) -> None:
    assert allows(EgressSettings(), "egress", peer, port, protocol)


@pytest.mark.parametrize(
    ("peer", "port", "protocol"),
    [
        ("203.0.113.7", 443, "TCP"),
        ("203.0.113.7", 53, "UDP"),
        ("199.36.153.12", 443, "TCP"),
        ("199.36.153.8", 443, "UDP"),
        ("199.36.153.8", 80, "TCP"),
        ("169.254.169.254", 443, "TCP"),
        (DNS, 8181, "TCP"),
        (ISTIOD, 15010, "TCP"),
        (({"kubernetes.io/metadata.name": "default"}, {"k8s-app": "kube-dns"}), 53, "UDP"),
        (({"kubernetes.io/metadata.name": "default"}, {"app": "istiod"}), 15012, "TCP"),
    ],
)
def test_and_nothing_beside_it(peer: Peer, port: int, protocol: str) -> None:
    assert not allows(EgressSettings(), "egress", peer, port, protocol)


def test_without_cloud_storage_there_is_no_way_to_google() -> None:
    nothing = EgressSettings(gcs=False)
    for peer, port in (("199.36.153.8", 443), ("169.254.169.254", 80), ("169.254.169.252", 988)):
        assert not allows(nothing, "egress", peer, port)
    assert allows(nothing, "egress", DNS, 53, "UDP")


def test_listed_addresses_are_reached_on_443_and_no_other_port() -> None:
    listed = EgressSettings.model_validate({"addresses": [{"cidr": "203.0.113.0/24", "reason": "a registry"}]})
    assert allows(listed, "egress", "203.0.113.7", 443)
    assert not allows(listed, "egress", "203.0.113.7", 8443)
    assert not allows(listed, "egress", "203.0.114.7", 443)


def test_an_open_policy_of_the_mesh_holds_nothing_that_leaves() -> None:
    everywhere = EgressSettings(policy="ALLOW_ANY")
    assert allows(everywhere, "egress", "203.0.113.7", 25)
    assert not allows(everywhere, "ingress", DNS, 15000)


@pytest.mark.parametrize(("port", "open_"), [(8500, True), (8501, True), (15020, True), (15090, True), (15006, False)])
def test_pods_reach_a_models_ports_and_no_other(port: int, open_: bool) -> None:  # noqa: FBT001 # a row of the table
    caller: Peer = ({"kubernetes.io/metadata.name": "callers"}, {"app": "caller"})
    assert allows(EgressSettings(), "ingress", caller, port) is open_
    assert not allows(EgressSettings(), "ingress", "203.0.113.7", port), "an address that is no pod's"
