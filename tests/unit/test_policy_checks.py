"""What the policies say of single resources; that the engine asks them is shown in tests/engine/test_policies.py."""

import copy
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import egress, images, injection, networks, protection, routes, sealing
from policy.resource import Resource, Unknown, walk

CHECKS: Final = (
    networks.violations,
    protection.violations,
    partial(egress.violations, allowed={}),
    images.violations,
    routes.violations,
    injection.violations,
    sealing.violations,
)
DIGEST: Final = "sha256:" + "0123456789abcdef" * 4
GOOD: Final[dict[str, dict[str, Any]]] = {
    networks.CLUSTER: {
        "deletionProtection": True,
        "privateClusterConfig": {"enablePrivateEndpoint": True},
        "controlPlaneEndpointsConfig": {"ipEndpointsConfig": {"enabled": False}},
        "masterAuthorizedNetworksConfig": {"cidrBlocks": [{"cidrBlock": "203.0.113.0/24"}]},
    },
    "kubernetes:networking.istio.io/v1:ServiceEntry": {"spec": {"hosts": ["api.example.com"]}},
    "kubernetes:networking.istio.io/v1:Sidecar": {"spec": {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}}},
    "kubernetes:networking.istio.io/v1:VirtualService": {
        "spec": {
            "http": [{"route": [{"weight": 95}, {"weight": 5}]}],
            "tcp": [{"route": [{"weight": 100}, {}]}],
            "tls": [{"route": [{}]}],
        }
    },
    "kubernetes:apps/v1:Deployment": {
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"image": "nginx:1.29"}],
                    "ephemeralContainers": [{"image": f"nginx@{DIGEST}"}],
                    "volumes": [{"image": {"reference": "models:3"}}, {"emptyDir": {}}],
                }
            }
        }
    },
    "kubernetes:helm.sh/v3:Release": {
        "chart": "oci://example.com/charts/istiod",
        "values": {
            "global": {"proxy": {"autoInject": "disabled"}},
            "meshConfig": {"outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"}},
            "sidecarInjectorWebhook": {"enableNamespacesByDefault": False, "alwaysInjectSelector": []},
            "extra": [{"apiVersion": "v1", "kind": "Secret", "stringData": {}}],
        },
    },
}


def found(token: str, props: dict[str, Any], stack: str = "prod") -> list[str]:
    resource = Resource(token, "thing", props, protected=True, stack=stack)
    return [message for check in CHECKS for message in check(resource)]


def places(tree: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for step, value in steps:
        yield (*path, step)
        yield from places(value, *path, step)


def replaced(tree: dict[str, Any], place: tuple[Any, ...], value: object) -> dict[str, Any]:
    changed = inner = copy.deepcopy(tree)
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return changed


@pytest.mark.parametrize("token", GOOD)
def test_what_only_an_update_can_tell_is_not_reported(token: str) -> None:
    assert found(token, GOOD[token]) == []
    for place in places(GOOD[token]):
        assert found(token, replaced(GOOD[token], place, Unknown.UNKNOWN)) == [], place


odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(Unknown.UNKNOWN),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "endpoint",
    [
        {"privateClusterConfig": {"enablePrivateEndpoint": Unknown.UNKNOWN}},
        {"privateClusterConfig": Unknown.UNKNOWN},
        {"controlPlaneEndpointsConfig": {"ipEndpointsConfig": Unknown.UNKNOWN}},
    ],
)
def test_an_endpoint_that_may_turn_out_closed_is_not_reported(endpoint: dict[str, Any]) -> None:
    assert found(networks.CLUSTER, {"deletionProtection": True, **endpoint}) == []
    assert found(networks.CLUSTER, {"deletionProtection": True})


@given(odd, odd)
def test_no_odd_endpoint_stops_the_policy_from_answering(enabled: object, private: object) -> None:
    endpoints = {"ipEndpointsConfig": {"enabled": enabled}}
    private_cluster = {"enablePrivateEndpoint": private}
    props = {"controlPlaneEndpointsConfig": endpoints, "privateClusterConfig": private_cluster}
    assert len(found(networks.CLUSTER, {"deletionProtection": True, **props})) <= 1


@given(st.data())
def test_no_odd_value_stops_a_policy_from_answering(data: st.DataObject) -> None:
    token = data.draw(st.sampled_from(sorted(GOOD)))
    place = data.draw(st.sampled_from(list(places(GOOD[token]))))
    for message in found(token, replaced(GOOD[token], place, data.draw(odd))):
        assert message.startswith("thing: ")
        assert "; " in message


@pytest.mark.parametrize("stack", ["prod", "Production", "prod-eu", "eu-prod2", "team.production", "prod_2"])
def test_a_stack_is_production_when_it_is_called_so(stack: str) -> None:
    assert protection.is_production(stack)


@pytest.mark.parametrize(
    "stack", ["dev", "product", "nonprod", "non-prod", "pre-prod", "a-prod-b", "reproduction", "-"]
)
def test_other_stacks_are_not_production(stack: str) -> None:
    assert not protection.is_production(stack)


@pytest.mark.parametrize(("cidr", "wide"), [("10.0.0.0/8", False), ("10.0.0.0/7", True), ("0.0.0.0/1", True)])
@pytest.mark.parametrize("host_bits", [False, True])
def test_a_network_wider_than_anybody_has_is_open_to_the_world(cidr: str, *, wide: bool, host_bits: bool) -> None:
    written = cidr.replace(".0.0/", ".0.9/") if host_bits else cidr
    config = {"masterAuthorizedNetworksConfig": {"cidrBlocks": [{"cidrBlock": written}]}, "deletionProtection": True}
    assert bool(found(networks.CLUSTER, config)) is wide


@pytest.mark.parametrize(("cidr", "wide"), [("2000::/13", False), ("2000::/12", True), ("::/0", True)])
def test_a_wide_network_of_ipv6_is_open_as_well(cidr: str, *, wide: bool) -> None:
    config = {"masterAuthorizedNetworksConfig": {"cidrBlocks": [{"cidrBlock": cidr}]}, "deletionProtection": True}
    assert bool(found(networks.CLUSTER, config)) is wide


@pytest.mark.parametrize(
    "chart", ["istiod", ".sandbox/charts/istiod/", "istiod-1.30.4.tgz", "oci://example.com/istiod"]
)
def test_istiod_is_known_wherever_its_chart_comes_from(chart: str) -> None:
    egress_message, injection_message = found("kubernetes:helm.sh/v3:Release", {"chart": chart, "values": {}})
    assert "values.meshConfig.outboundTrafficPolicy.mode is missing" in egress_message
    assert "values.global.proxy.autoInject is missing" in injection_message


@pytest.mark.parametrize(
    "mesh",
    [
        None,
        {},
        {"outboundTrafficPolicy": None},
        {"outboundTrafficPolicy": {}},
        {"outboundTrafficPolicy": {"mode": None}},
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}},
        {"outboundTrafficPolicy": {"mode": "registry_only"}},
    ],
)
def test_a_mesh_that_is_not_closed_lets_every_host_out(mesh: object) -> None:
    token = "kubernetes:helm.sh/v3:Release"
    props = replaced(GOOD[token], ("values", "meshConfig"), mesh)
    [message] = found(token, props)
    assert message.startswith("thing: values.meshConfig.outboundTrafficPolicy.mode is ")
    assert "policy:allowedWildcards does not list it" in message
    resource = Resource(token, "thing", props, protected=True, stack="prod")
    assert list(egress.violations(resource, {"*": "a trial"})) == []


@pytest.mark.parametrize("chart", ["gateway", "base", "istiod-remote"])
def test_another_chart_is_not_taken_for_istiod(chart: str) -> None:
    assert found("kubernetes:helm.sh/v3:Release", {"chart": chart, "values": {}}) == []


@pytest.mark.parametrize("text", [None, "", "no JSON", "[]", '"*"'])
def test_a_list_of_wildcards_that_is_no_object_allows_none(text: str | None) -> None:
    assert egress.allowed_wildcards(text) == {}


def test_a_patch_is_held_to_what_its_object_is_held_to() -> None:
    spec = {"spec": {"hosts": ["*.example.com"]}}
    assert found("kubernetes:networking.istio.io/v1beta1:ServiceEntryPatch", spec)


def test_a_path_leads_to_where_the_value_stands() -> None:
    assert dict(walk({"a": [{"b": 1}]}))["a[0].b"] == 1
