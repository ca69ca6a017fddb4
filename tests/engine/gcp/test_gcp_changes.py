"""What a change does: an update in place, a replacement, or nothing; and what of that the tables know."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from sandbox.plugins.gcp import forms
from sandbox.plugins.gcp.rules import Rules, rules_of
from sandbox.plugins.gcp.schema import TYPES, Kind, Shape, schema_of
from tests.engine.gcp.protocol import Plugin
from tests.engine.gcp.test_gcp_inputs import (
    ABSENT,
    ACCOUNT,
    CLUSTER,
    FIREWALL,
    GOOD,
    NAT,
    NETWORK,
    NODE_POOL,
    PROJECT_GRANT,
    ROUTER,
    SERVICE,
    SUBNETWORK,
    changed,
)
from tests.engine.kubernetes.protocol import UNKNOWN, Difference, Resource, Tree

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("stand_in")]


def compare(plugin: Plugin, token: str, news: Tree, state: Tree | None = None) -> Difference:
    """How new inputs differ from a resource that was made of the good ones."""
    inputs = plugin.check(token, "x", GOOD[token])
    known = Resource(token, "x", "some-id", state or copy.deepcopy(inputs), inputs)
    return plugin.diff(known, plugin.check(token, "x", news, olds=inputs))


@pytest.mark.parametrize(
    ("token", "path", "value", "kinds"),
    [
        (CLUSTER, "releaseChannel.channel", "STABLE", {"releaseChannel.channel": "update"}),
        (CLUSTER, "resourceLabels.team", "research", {"resourceLabels.team": "update"}),
        (CLUSTER, "resourceLabels.cost", "7", {"resourceLabels.cost": "add"}),
        (CLUSTER, "resourceLabels.team", ABSENT, {"resourceLabels.team": "delete"}),
        (CLUSTER, "minMasterVersion", "1.34", {"minMasterVersion": "add"}),
        (CLUSTER, "deletionProtection", False, {"deletionProtection": "update"}),
        (
            CLUSTER,
            "masterAuthorizedNetworksConfig.cidrBlocks.0.cidrBlock",
            "198.51.100.0/24",
            {
                "masterAuthorizedNetworksConfig.cidrBlocks[0]": "delete",
            },
        ),
        (CLUSTER, "privateClusterConfig.enablePrivateEndpoint", True,
         {"privateClusterConfig.enablePrivateEndpoint": "add"}),
        (NODE_POOL, "autoscaling.maxNodeCount", 9, {"autoscaling.maxNodeCount": "update"}),
        (NODE_POOL, "nodeConfig.machineType", "e2-standard-8", {"nodeConfig.machineType": "add"}),
        (NODE_POOL, "nodeConfig.diskSizeGb", 100, {"nodeConfig.diskSizeGb": "update"}),
        (NODE_POOL, "nodeConfig.labels", {"pool": "cpu"}, {"nodeConfig.labels": "add"}),
        (NODE_POOL, "nodeConfig.resourceLabels", {"team": "ml"}, {"nodeConfig.resourceLabels": "add"}),
        (SUBNETWORK, "ipCidrRange", "10.0.0.0/19", {"ipCidrRange": "update"}),
        (SUBNETWORK, "privateIpGoogleAccess", True, {"privateIpGoogleAccess": "add"}),
        (NAT, "logConfig.filter", "ALL", {"logConfig.filter": "update"}),
        (FIREWALL, "description", "webhook", {"description": "add"}),
        (ACCOUNT, "displayName", "GKE nodes", {"displayName": "update"}),
    ],
)  # fmt: skip
def test_changes_that_google_makes_in_place(
    checker: Plugin, token: str, path: str, value: Any, kinds: dict[str, str]
) -> None:
    found = compare(checker, token, changed(token, path, value))
    assert found.changes
    assert found.replaces == []
    assert kinds.items() <= found.kinds.items()


@pytest.mark.parametrize(
    ("token", "path", "value"),
    [
        (CLUSTER, "location", "us-central1"),
        (CLUSTER, "name", "other"),
        (CLUSTER, "network", "other"),
        (CLUSTER, "network", UNKNOWN),
        (CLUSTER, "subnetwork", "nodes"),
        (CLUSTER, "initialNodeCount", 2),
        (CLUSTER, "datapathProvider", "ADVANCED_DATAPATH"),
        (CLUSTER, "ipAllocationPolicy.clusterSecondaryRangeName", "more-pods"),
        (CLUSTER, "privateClusterConfig.masterIpv4CidrBlock", "172.16.1.0/28"),
        (NODE_POOL, "cluster", "projects/my-project/locations/us-central1/clusters/mesh"),
        (NODE_POOL, "initialNodeCount", 2),
        (NODE_POOL, "nodeConfig.spot", True),
        (NODE_POOL, "nodeConfig.serviceAccount", "b@my-project.iam.gserviceaccount.com"),
        (NODE_POOL, "nodeConfig.guestAccelerators", [{"type": "nvidia-tesla-t4", "count": 1}]),
        (NODE_POOL, "nodeConfig.shieldedInstanceConfig", {"enableSecureBoot": True}),
        (NODE_POOL, "nodeConfig.confidentialNodes", {"enabled": True, "confidentialInstanceType": "TDX"}),
        (NETWORK, "autoCreateSubnetworks", True),
        (SUBNETWORK, "region", "us-central1"),
        (SUBNETWORK, "ipCidrRange", "10.0.0.0/24"),
        (ROUTER, "network", "other"),
        (NAT, "router", "other"),
        (FIREWALL, "direction", "EGRESS"),
        (ACCOUNT, "accountId", "other-nodes"),
        (SERVICE, "service", "iam.googleapis.com"),
        (PROJECT_GRANT, "role", "roles/editor"),
    ],
)
def test_changes_that_need_a_new_one(checker: Plugin, token: str, path: str, value: Any) -> None:
    found = compare(checker, token, changed(token, path, value))
    assert found.replaces == [path.partition(".")[0]], found.kinds


@pytest.mark.parametrize(
    ("token", "path", "value"),
    [
        (CLUSTER, "network", "projects/my-project/global/networks/vpc"),
        (CLUSTER, "releaseChannel", ABSENT),
        (CLUSTER, "enableLegacyAbac", False),
        (SUBNETWORK, "network", "https://www.googleapis.com/compute/v1/projects/my-project/global/networks/vpc"),
        (FIREWALL, "allows.0.protocol", "TCP"),
        (SUBNETWORK, "privateIpGoogleAccess", False),
    ],
)
def test_what_is_the_same_to_google_is_no_change(checker: Plugin, token: str, path: str, value: Any) -> None:
    found = compare(checker, token, changed(token, path, value))
    assert (found.changes, found.kinds) == (False, {})


def test_the_order_of_authorized_networks_means_nothing(checker: Plugin) -> None:
    blocks = [{"cidrBlock": f"203.0.113.{host}/32"} for host in range(3)]
    news = changed(CLUSTER, "masterAuthorizedNetworksConfig.cidrBlocks", blocks)
    state = checker.check(CLUSTER, "x", news)
    state["masterAuthorizedNetworksConfig"]["cidrBlocks"].reverse()
    assert not compare(checker, CLUSTER, news, state).kinds


def test_what_google_filled_in_is_no_change(checker: Plugin) -> None:
    state = checker.check(CLUSTER, "x", GOOD[CLUSTER]) | {"nodeVersion": "1.33.4-gke.1", "endpoint": "10.0.0.9"}
    state["privateClusterConfig"] |= {"privateEndpoint": "10.0.0.9", "masterGlobalAccessConfig": {"enabled": False}}
    assert not compare(checker, CLUSTER, GOOD[CLUSTER], state).kinds


def test_a_label_that_someone_added_by_hand_is_taken_away(checker: Plugin) -> None:
    state = checker.check(CLUSTER, "x", GOOD[CLUSTER])
    state["resourceLabels"]["by"] = "hand"
    assert compare(checker, CLUSTER, GOOD[CLUSTER], state).kinds == {"resourceLabels.by": "delete"}


def test_what_cannot_be_switched_off_again_replaces_the_cluster(checker: Plugin) -> None:
    state = checker.check(CLUSTER, "x", GOOD[CLUSTER]) | {"enableL4IlbSubsetting": True}
    off = compare(checker, CLUSTER, changed(CLUSTER, "enableL4IlbSubsetting", value=False), state)
    assert off.replaces == ["enableL4IlbSubsetting"]
    on = compare(checker, CLUSTER, changed(CLUSTER, "enableL4IlbSubsetting", value=True))
    assert (on.changes, on.replaces) == (True, [])


def test_a_fixed_name_is_free_before_it_is_taken_again(checker: Plugin) -> None:
    named = GOOD[CLUSTER] | {"name": "mesh"}
    inputs = checker.check(CLUSTER, "x", named)
    known = Resource(CLUSTER, "x", "some-id", inputs, inputs)
    elsewhere = checker.check(CLUSTER, "x", named | {"location": "us-central1"})
    assert checker.diff(known, elsewhere).delete_before_replace
    assert not compare(checker, CLUSTER, changed(CLUSTER, "location", "us-central1")).delete_before_replace


def _paths(kind: Kind, prefix: str = "") -> Iterator[str]:
    for name, inner in kind.fields.items():
        yield prefix + name
        while inner.shape in {Shape.LIST, Shape.MAP} and inner.element:
            inner = inner.element
        yield from _paths(inner, f"{prefix}{name}.")


@pytest.mark.parametrize("token", sorted(TYPES))
def test_every_path_of_the_tables_is_a_property_of_the_installed_classes(token: str) -> None:
    rules, known = rules_of(token), set(_paths(schema_of(token).inputs))
    groups = [path for group in (*rules.exactly_one, *rules.at_least_one, *rules.excludes.values()) for path in group]
    outputs = {path for path in rules.secret if path.partition(".")[0] in known}
    named = {
        *rules.replace, *rules.computed, *rules.read_only, *rules.sets, *rules.links, *rules.caseless, *rules.defaults,
        *rules.values, *rules.checks, *rules.most, *rules.least, *rules.excludes, *rules.include, *groups,
        *([rules.name.property] if rules.name else []),
    }  # fmt: skip
    assert rules != Rules(), "every type has a table"
    assert named - known - outputs == set()


@pytest.mark.parametrize("token", sorted(TYPES))
def test_every_form_of_the_tables_is_known(token: str) -> None:
    for form in rules_of(token).checks.values():
        forms.faults(form, "x", 1 if form.startswith(("atLeast", "between", "asn", "fraction")) else "x")
