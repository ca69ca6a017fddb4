"""Which inputs are refused, and by which words a user finds the mistake. The real plugin has to agree."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from tests.engine.conftest import Project
from tests.engine.gcp.protocol import CONFIG, TOKEN, Plugin
from tests.engine.kubernetes.protocol import UNKNOWN, Failed, Tree, decode, encode, is_secret, secret, urn

pytestmark = pytest.mark.engine

CLUSTER = "gcp:container/cluster:Cluster"
NODE_POOL = "gcp:container/nodePool:NodePool"
NETWORK = "gcp:compute/network:Network"
SUBNETWORK = "gcp:compute/subnetwork:Subnetwork"
ROUTER = "gcp:compute/router:Router"
NAT = "gcp:compute/routerNat:RouterNat"
FIREWALL = "gcp:compute/firewall:Firewall"
ACCOUNT = "gcp:serviceaccount/account:Account"
SERVICE = "gcp:projects/service:Service"
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"
ACCOUNT_GRANT = "gcp:serviceaccount/iAMMember:IAMMember"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
ZONE = "gcp:dns/managedZone:ManagedZone"
RECORDS = "gcp:dns/recordSet:RecordSet"

MEMBER = "serviceAccount:a@my-project.iam.gserviceaccount.com"
GOOD: dict[str, Tree] = {
    CLUSTER: {
        "location": "europe-west1",
        "initialNodeCount": 1,
        "network": "vpc",
        "ipAllocationPolicy": {"clusterSecondaryRangeName": "pods", "servicesSecondaryRangeName": "services"},
        "privateClusterConfig": {"enablePrivateNodes": True, "masterIpv4CidrBlock": "172.16.0.0/28"},
        "masterAuthorizedNetworksConfig": {"cidrBlocks": [{"cidrBlock": "203.0.113.0/24"}]},
        "releaseChannel": {"channel": "REGULAR"},
        "maintenancePolicy": {"dailyMaintenanceWindow": {"startTime": "03:00"}},
        "resourceLabels": {"team": "ml"},
    },
    NODE_POOL: {
        "cluster": "projects/my-project/locations/europe-west1/clusters/mesh",
        "initialNodeCount": 1,
        "autoscaling": {"minNodeCount": 1, "maxNodeCount": 3},
        "nodeConfig": {"workloadMetadataConfig": {"mode": "GKE_METADATA"}, "diskSizeGb": 50},
    },
    NETWORK: {"autoCreateSubnetworks": False},
    SUBNETWORK: {
        "network": "vpc",
        "region": "europe-west1",
        "ipCidrRange": "10.0.0.0/20",
        "secondaryIpRanges": [{"rangeName": "pods", "ipCidrRange": "10.4.0.0/14"}],
    },
    ROUTER: {"network": "vpc", "region": "europe-west1"},
    ZONE: {
        "dnsName": "googleapis.com.",
        "visibility": "private",
        "privateVisibilityConfig": {"networks": [{"networkUrl": "vpc"}]},
    },
    RECORDS: {"managedZone": "google", "name": "a.googleapis.com.", "type": "A", "ttl": 300, "rrdatas": ["192.0.2.1"]},
    NAT: {
        "router": "router",
        "region": "europe-west1",
        "natIpAllocateOption": "AUTO_ONLY",
        "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES",
        "logConfig": {"enable": True, "filter": "ERRORS_ONLY"},
    },
    FIREWALL: {
        "network": "vpc",
        "direction": "INGRESS",
        "sourceRanges": ["172.16.0.0/28"],
        "allows": [{"protocol": "tcp", "ports": ["15017"]}],
    },
    ACCOUNT: {"accountId": "gke-nodes", "displayName": "Nodes"},
    SERVICE: {"service": "container.googleapis.com", "disableOnDestroy": False},
    PROJECT_GRANT: {"project": "my-project", "role": "roles/viewer", "member": MEMBER},
    ACCOUNT_GRANT: {
        "serviceAccountId": "projects/my-project/serviceAccounts/reader@my-project.iam.gserviceaccount.com",
        "role": "roles/iam.workloadIdentityUser",
        "member": "serviceAccount:my-project.svc.id.goog[models/inception]",
    },
    BUCKET_GRANT: {"bucket": "models", "role": "roles/storage.objectViewer", "member": MEMBER},
}
ABSENT = object()


def changed(token: str, path: str, value: Any) -> Tree:
    """Good inputs but for one value; ABSENT takes it away."""
    inputs = copy.deepcopy(GOOD[token])
    *parents, last = path.split(".")
    inner: Any = inputs
    for step in parents:
        inner = inner[int(step)] if step.isdigit() else inner.setdefault(step, {})
    if value is ABSENT:
        del inner[last]
    else:
        inner[int(last) if last.isdigit() else last] = value
    return inputs


@pytest.mark.parametrize("token", GOOD)
def test_what_this_project_uses_is_accepted(checker: Plugin, token: str) -> None:
    assert checker.failures(token, GOOD[token]) == []


@pytest.mark.parametrize(
    ("token", "path"),
    [
        (CLUSTER, "releaseChannels"),
        (CLUSTER, "privateClusterConfig.enablePrivateNode"),
        (CLUSTER, "masterAuthorizedNetworksConfig.cidrBlocks.0.cidr"),
        (NODE_POOL, "autoScaling"),
        (NODE_POOL, "nodeConfig.machinetype"),
        (SUBNETWORK, "privateGoogleAccess"),
        (NAT, "natOption"),
        (FIREWALL, "sourceServiceAccount"),
        (ACCOUNT, "accountID"),
        (SERVICE, "services"),
        (BUCKET_GRANT, "members"),
    ],
)
def test_an_unknown_property_is_named(checker: Plugin, token: str, path: str) -> None:
    (failure,) = checker.failures(token, changed(token, path, "x"))
    assert "Invalid or unknown key" in failure
    assert path.rpartition(".")[2] in failure


@pytest.mark.parametrize(
    ("token", "path", "argument"),
    [
        (CLUSTER, "releaseChannel.channel", "release_channel.0.channel"),
        (CLUSTER, "masterAuthorizedNetworksConfig.cidrBlocks.0.cidrBlock", "cidr_blocks.0.cidr_block"),
        (NODE_POOL, "cluster", "cluster"),
        (NODE_POOL, "nodeConfig.workloadMetadataConfig.mode", "node_config.0.workload_metadata_config.0.mode"),
        (SUBNETWORK, "network", "network"),
        (SUBNETWORK, "secondaryIpRanges.0.rangeName", "secondary_ip_range.0.range_name"),
        (NAT, "router", "router"),
        (NAT, "sourceSubnetworkIpRangesToNat", "source_subnetwork_ip_ranges_to_nat"),
        (NAT, "logConfig.filter", "log_config.0.filter"),
        (FIREWALL, "network", "network"),
        (FIREWALL, "allows.0.protocol", "allow.0.protocol"),
        (SERVICE, "service", "service"),
        (PROJECT_GRANT, "project", "project"),
        (ACCOUNT_GRANT, "serviceAccountId", "service_account_id"),
        (BUCKET_GRANT, "member", "member"),
    ],
)
def test_a_missing_property_is_named(checker: Plugin, token: str, path: str, argument: str) -> None:
    (failure,) = checker.failures(token, changed(token, path, ABSENT))
    assert re.search(rf'The argument "([a-z0-9_.]+\.)?{re.escape(argument)}" is required', failure), failure


@pytest.mark.parametrize(
    ("token", "path", "value", "said"),
    [
        (CLUSTER, "releaseChannel.channel", "NIGHTLY", "to be one of .*got NIGHTLY"),
        (CLUSTER, "datapathProvider", "CILIUM", "expected datapath_provider to be one of"),
        (CLUSTER, "networkingMode", "VPC", "expected networking_mode to be one of"),
        (CLUSTER, "loggingConfig.enableComponents", ["PODS"], "to be one of .*got PODS"),
        (CLUSTER, "privateClusterConfig.masterIpv4CidrBlock", "172.16.0.0/27", "between 28 and 28 significant bits"),
        (CLUSTER, "masterAuthorizedNetworksConfig.cidrBlocks.0.cidrBlock", "203.0.113.7/24", "expected 203.0.113.0/24"),
        (CLUSTER, "masterAuthorizedNetworksConfig.cidrBlocks.0.cidrBlock", "office", "valid CIDR"),
        (CLUSTER, "maintenancePolicy.dailyMaintenanceWindow.startTime", "3am", "HH:mm"),
        (CLUSTER, "name", "my_mesh", "lowercase letters, numbers and hyphens"),
        (CLUSTER, "name", "m" * 41, "40 characters"),
        (NODE_POOL, "nodeConfig.workloadMetadataConfig.mode", "GKE", "to be one of .*got GKE"),
        (NODE_POOL, "nodeConfig.diskSizeGb", 5, "at least .?10"),
        (NODE_POOL, "autoscaling.minNodeCount", -1, "at least .?0"),
        (NODE_POOL, "upgradeSettings.strategy", "ROLLING", "to be one of .*got ROLLING"),
        (NETWORK, "name", "My_Net", "match"),
        (NETWORK, "routingMode", "WORLD", "to be one of .*got WORLD"),
        (SUBNETWORK, "ipCidrRange", "10.0.0.0", "not a valid IP CIDR range"),
        (SUBNETWORK, "secondaryIpRanges.0.ipCidrRange", "10.0.0.300/8", "not a valid IP CIDR range"),
        (NAT, "natIpAllocateOption", "AUTO", "to be one of .*got AUTO"),
        (NAT, "sourceSubnetworkIpRangesToNat", "ALL", "to be one of .*got ALL"),
        (NAT, "logConfig.filter", "ERRORS", "to be one of .*got ERRORS"),
        (FIREWALL, "direction", "INWARD", "to be one of .*got INWARD"),
        (FIREWALL, "priority", 70000, "in the range"),
        (FIREWALL, "targetServiceAccounts", [f"a{n}@b.c" for n in range(11)], "Too many list items"),
        (NAT, "subnetworks", [{"name": "nodes", "sourceIpRangesToNats": []}], "Not enough list items"),
        (CLUSTER, "privateClusterConfig.privateEndpoint", "10.0.0.2", "unconfigurable attribute"),
        (ACCOUNT, "accountId", "nodes", "between 6 and 30 characters"),
        (ACCOUNT, "accountId", "gke_nodes", "match"),
        (SERVICE, "service", "container", "to be a domain"),
        (BUCKET_GRANT, "member", "ada@example.com", "ada@example.com.* for member"),
        (ACCOUNT_GRANT, "serviceAccountId", "reader@my-project.iam.gserviceaccount.com", "service_account_id"),
    ],
)
def test_a_value_that_cannot_be_is_refused(checker: Plugin, token: str, path: str, value: Any, said: str) -> None:
    (failure,) = checker.failures(token, changed(token, path, value))
    assert re.search(said, failure), failure


# Not here: two of a block that occurs once at most. The real plugin ends on that, and the session with it.
@pytest.mark.parametrize(
    ("token", "path", "value", "said"),
    [
        (CLUSTER, "location", ["europe-west1"], "must be a single value, not a list"),
        (CLUSTER, "releaseChannel.channel", {"name": "REGULAR"}, "must be a single value, not a map"),
        (CLUSTER, "resourceLabels", "team", "must be a map"),
        (CLUSTER, "masterAuthorizedNetworksConfig", "office", "Expected object, got string"),
        (CLUSTER, "masterAuthorizedNetworksConfig.cidrBlocks", ["office"], "Expected object, got string"),
        (CLUSTER, "initialNodeCount", True, "must be a whole number, got true"),
        (SUBNETWORK, "logConfig.flowSampling", "half", "cannot parse '' as float.*half"),
        (SERVICE, "disableOnDestroy", "perhaps", "cannot parse '' as bool.*perhaps"),
    ],
)
def test_a_value_of_another_type_is_refused(checker: Plugin, token: str, path: str, value: Any, said: str) -> None:
    (failure,) = checker.failures(token, changed(token, path, value))
    assert re.search(said, failure), failure


@pytest.mark.parametrize(
    ("token", "path", "value"),
    [(CLUSTER, "initialNodeCount", "many"), (NODE_POOL, "nodeConfig.diskSizeGb", "1.5")],
)
def test_a_text_that_is_no_number_ends_the_check(checker: Plugin, token: str, path: str, value: str) -> None:
    with pytest.raises(Failed, match=rf'[a-z_]+: strconv.ParseInt: parsing "{value}": invalid syntax'):
        checker.failures(token, changed(token, path, value))


@pytest.mark.parametrize(
    ("token", "more", "said"),
    [
        (CLUSTER, {"enableAutopilot": True, "removeDefaultNodePool": True}, "conflicts with enable_autopilot"),
        (CLUSTER, {"clusterIpv4Cidr": "10.0.0.0/14"}, "conflicts with"),
        (
            CLUSTER,
            {"ipAllocationPolicy": {"clusterIpv4CidrBlock": "/14", "clusterSecondaryRangeName": "pods"}},
            "conflicts with",
        ),
        (CLUSTER, {"maintenancePolicy": {}}, "one of .*must be specified"),
        (FIREWALL, {"denies": [{"protocol": "udp"}]}, "only one of"),
        (FIREWALL, {"allows": None}, "one of .*must be specified"),
        (FIREWALL, {"sourceServiceAccounts": ["a@b.c"], "targetTags": ["nodes"]}, "conflicts with"),
        (FIREWALL, {"sourceTags": ["a"], "targetServiceAccounts": ["a@b.c"]}, "conflicts with"),
        (ROUTER, {"nccGateway": "gateway"}, "conflicts with"),
    ],
)
def test_properties_that_exclude_each_other_are_refused(checker: Plugin, token: str, more: Tree, said: str) -> None:
    failures = checker.failures(token, GOOD[token] | more)
    assert any(re.search(said, failure) for failure in failures), failures


def test_what_is_not_known_yet_or_secret_is_not_held_against_anyone(checker: Plugin) -> None:
    unknown = {"releaseChannel": {"channel": UNKNOWN}, "network": UNKNOWN, "resourceLabels": {"team": secret("ml")}}
    assert checker.failures(CLUSTER, GOOD[CLUSTER] | unknown) == []
    assert checker.failures(FIREWALL, GOOD[FIREWALL] | {"allows": UNKNOWN}) == []
    assert checker.failures(FIREWALL, GOOD[FIREWALL] | {"targetServiceAccounts": UNKNOWN, "targetTags": ["a"]}) == []
    inputs = checker.check(CLUSTER, "x", GOOD[CLUSTER] | unknown)
    assert inputs["releaseChannel"]["channel"] == UNKNOWN


def test_numbers_and_booleans_may_be_written_as_text(checker: Plugin) -> None:
    inputs = checker.check(NODE_POOL, "x", changed(NODE_POOL, "nodeConfig.diskSizeGb", "50"))
    assert inputs["nodeConfig"]["diskSizeGb"] == 50
    assert checker.check(SERVICE, "x", changed(SERVICE, "disableOnDestroy", "false"))["disableOnDestroy"] is False
    one = checker.check(FIREWALL, "x", changed(FIREWALL, "sourceRanges", "172.16.0.0/28"))
    assert one["sourceRanges"] == ["172.16.0.0/28"], "and a list of one as that one"


def test_only_defaults_that_say_something_are_filled_in(checker: Plugin) -> None:
    inputs = checker.check(CLUSTER, "x", GOOD[CLUSTER])
    assert inputs["__defaults"] == ["deletionProtection", "enableShieldedNodes", "name"]
    autopilot = checker.check(CLUSTER, "x", GOOD[CLUSTER] | {"enableAutopilot": True})
    assert "enableShieldedNodes" not in autopilot, "that would exclude Autopilot"


@pytest.mark.parametrize(
    ("token", "name", "pattern"),
    [
        (NETWORK, "VPC", r"vpc-[0-9a-f]{7}"),
        (FIREWALL, "injector", r"injector-[0-9a-f]{7}"),
        (CLUSTER, "mesh", r"mesh-[0-9a-f]{7}"),
        (NODE_POOL, "cpu", r"cpu-[0-9a-f]{7}"),
    ],
)
def test_a_name_is_made_of_the_resources_own_and_kept(checker: Plugin, token: str, name: str, pattern: str) -> None:
    first = checker.check(token, name, GOOD[token], seed=b"1")
    assert re.fullmatch(pattern, first["name"])
    assert checker.check(token, name, GOOD[token], seed=b"1")["name"] == first["name"], "a preview tells the name"
    assert checker.check(token, name, GOOD[token], olds=first, seed=b"2")["name"] == first["name"]
    assert checker.check(token, name, GOOD[token], seed=b"2")["name"] != first["name"]
    assert checker.check(token, name, GOOD[token] | {"name": "fixed"}, olds=first)["name"] == "fixed"


def test_an_account_gets_an_id_of_at_most_thirty_characters(checker: Plugin) -> None:
    assert re.fullmatch(r"nodes-[0-9a-f]{7}", checker.check(ACCOUNT, "nodes", {})["accountId"])
    with pytest.raises(Failed, match="longer than maximum length 30"):
        checker.check_answer(ACCOUNT, "a-name-that-is-much-too-long", {}, seed=b"1")


def test_the_projects_own_way_of_naming_is_followed(checker: Plugin) -> None:
    modes = provider_pb2.CheckRequest.AutonamingOptions

    def named(mode: Any, proposed: str = "") -> str:
        request = provider_pb2.CheckRequest(
            urn=urn(NETWORK, "vpc"),
            news=encode(GOOD[NETWORK]),
            autonaming=modes(mode=mode, proposed_name=proposed),
        )
        return str(decode(checker.call("Check", request).inputs)["name"])

    assert named(modes.PROPOSE, "VPC-of-test") == "vpc-of-test"
    assert named(modes.ENFORCE, "vpc") == "vpc"
    with pytest.raises(Failed, match="automatic naming is disabled"):
        named(modes.DISABLE)


def test_defaults_are_filled_in(checker: Plugin) -> None:
    inputs = checker.check(CLUSTER, "x", GOOD[CLUSTER])
    assert inputs["deletionProtection"] is True
    assert inputs["ipAllocationPolicy"]["stackType"] == "IPV4"
    assert checker.check(FIREWALL, "x", GOOD[FIREWALL])["priority"] == 1000
    assert checker.check(NAT, "x", GOOD[NAT])["type"] == "PUBLIC"


def test_the_token_is_a_secret_of_the_provider_and_a_mistyped_key_is_named(checker: Plugin) -> None:
    answer = checker.check_config(CONFIG)
    assert is_secret(decode(answer.inputs)["accessToken"])
    first, *_ = checker.check_config(CONFIG | {"regoin": "europe-west1"}).failures  # there are two: google-beta's, too
    assert "`gcp:regoin` is not a valid configuration key" in first.reason
    assert "`gcp:region`" in first.reason


@pytest.mark.parametrize("token", [NETWORK, NODE_POOL, ACCOUNT])
def test_without_a_project_a_preview_says_so(plugin_path: Path, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    with Plugin(plugin_path) as plugin:
        plugin.configure(region="europe-west1", accessToken=TOKEN)
        with pytest.raises(Failed, match="project: required field is not set"):
            plugin.create(token, "x", plugin.check(token, "x", GOOD[token]), preview=True)


def test_the_cli_shows_every_mistake_of_a_resource(gcp: Project) -> None:
    gcp.program("""
        from pulumi_gcp import container
        container.Cluster("mesh", initial_node_count=1, datapath_provider="CILIUM", release_channel={"channel": "NEW"})
    """)
    outcome = gcp.preview(fails=True)
    assert "Examine values at 'mesh.releaseChannel.channel'" in outcome.text
    assert "Examine values at 'mesh.datapathProvider'" in outcome.text


def test_a_firewall_rule_says_where_from(checker: Plugin) -> None:
    inputs = checker.check(FIREWALL, "x", changed(FIREWALL, "sourceRanges", ABSENT))
    with pytest.raises(Failed, match="one of source_tags, source_ranges, or source_service_accounts must be defined"):
        checker.create(FIREWALL, "x", inputs, preview=True)


def test_what_this_plugin_does_not_know_is_refused_by_name(checker: Plugin, stand_in: None) -> None:  # noqa: ARG001
    with pytest.raises(Failed, match="gcp:redis/instance:Instance is not supported by this stand-in"):
        checker.check_answer("gcp:redis/instance:Instance", "cache", {})
