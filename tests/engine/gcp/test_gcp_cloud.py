"""The made-up cloud refuses what Google would: what exists, what is missing, what is in use, what is not enabled."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.engine.gcp.conftest import SERVER
from tests.engine.gcp.protocol import Plugin
from tests.engine.gcp.test_gcp_inputs import (
    ACCOUNT,
    ACCOUNT_GRANT,
    BUCKET_GRANT,
    CLUSTER,
    FIREWALL,
    NAT,
    NETWORK,
    NODE_POOL,
    PROJECT_GRANT,
    RECORDS,
    ROUTER,
    SERVICE,
    SUBNETWORK,
    ZONE,
)
from tests.engine.kubernetes.protocol import UNKNOWN, Failed, Resource, Tree, is_secret

pytestmark = pytest.mark.engine

RANGES = {"clusterSecondaryRangeName": "pods", "servicesSecondaryRangeName": "services"}
SECONDARY = [
    {"rangeName": "pods", "ipCidrRange": "10.4.0.0/14"},
    {"rangeName": "services", "ipCidrRange": "10.8.0.0/20"},
]
NODES = "nodes-of@my-project.iam.gserviceaccount.com"


def enable(plugin: Plugin, *apis: str) -> None:
    for api in apis or ("compute", "container", "iam", "cloudresourcemanager"):
        plugin.made(SERVICE, api, {"service": f"{api}.googleapis.com", "disableOnDestroy": False})


@pytest.fixture
def network(plugin: Plugin) -> Resource:
    """A network, in a project with all APIs enabled."""
    enable(plugin)
    return plugin.made(NETWORK, "vpc", {"autoCreateSubnetworks": False, "name": "vpc"})


@pytest.fixture
def subnetwork(plugin: Plugin, network: Resource) -> Resource:
    """A subnetwork with ranges for a cluster."""
    inputs = {"network": network.id, "name": "nodes", "ipCidrRange": "10.0.0.0/20", "secondaryIpRanges": SECONDARY}
    return plugin.made(SUBNETWORK, "nodes", inputs)


def cluster_in(subnetwork: Resource, **more: object) -> Tree:
    """Inputs of a cluster in a subnetwork."""
    return {
        "name": "mesh",
        "location": "europe-west1",
        "network": subnetwork.state["network"],
        "subnetwork": subnetwork.id,
        "initialNodeCount": 1,
        "removeDefaultNodePool": True,
        "deletionProtection": False,
        "ipAllocationPolicy": RANGES,
        "workloadIdentityConfig": {"workloadPool": "my-project.svc.id.goog"},
        **more,
    }


@pytest.fixture
def cluster(plugin: Plugin, subnetwork: Resource) -> Resource:
    """A cluster."""
    return plugin.made(CLUSTER, "mesh", cluster_in(subnetwork))


def test_ids_are_those_that_other_resources_and_imports_use(plugin: Plugin, cluster: Resource) -> None:
    pool = plugin.made(NODE_POOL, "cpu", {"cluster": cluster.id, "name": "cpu", "initialNodeCount": 1})
    account = plugin.made(ACCOUNT, "nodes", {"accountId": "nodes-of"})
    router = plugin.made(ROUTER, "router", {"name": "router", "network": cluster.inputs["network"]})
    nat = {"name": "nat", "router": "router", "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}
    grant = {"project": "my-project", "role": "roles/viewer", "member": f"serviceAccount:{NODES}"}
    bucket = {"bucket": "models", "role": "roles/storage.objectViewer", "member": f"serviceAccount:{NODES}"}
    assert cluster.id == "projects/my-project/locations/europe-west1/clusters/mesh"
    assert pool.id == f"{cluster.id}/nodePools/cpu"
    assert account.id == account.state["name"] == f"projects/my-project/serviceAccounts/{NODES}"
    assert account.state["member"] == f"serviceAccount:{NODES}"
    assert router.id == "projects/my-project/regions/europe-west1/routers/router"
    assert plugin.made(NAT, "nat", nat).id == "my-project/europe-west1/router/nat"
    assert plugin.made(PROJECT_GRANT, "g", grant).id == f"my-project/roles/viewer/serviceAccount:{NODES}"
    assert plugin.made(BUCKET_GRANT, "b", bucket).id.startswith("b/models/roles/storage.objectViewer/serviceAccount:")


def test_a_cluster_is_the_sandbox_and_its_key_is_secret(cluster: Resource) -> None:
    assert f"https://{cluster.state['endpoint']}" == SERVER
    assert is_secret(cluster.state["masterAuth"]["clientKey"])
    assert cluster.state["clusterIpv4Cidr"] == "10.4.0.0/14"
    assert cluster.state["nodePools"] == []


def test_a_private_zone_is_a_networks_and_its_records_are_below_its_name(plugin: Plugin, network: Resource) -> None:
    zone = {"name": "google", "dnsName": "googleapis.com.", "visibility": "private"}
    seen_by = {"privateVisibilityConfig": {"networks": [{"networkUrl": network.id}]}}
    with pytest.raises(Failed, match=r"Error 403: .* API.*dns.googleapis.com"):
        plugin.made(ZONE, "google", zone | seen_by)
    enable(plugin, "dns")
    with pytest.raises(Failed, match=r"networks/gone' was not found"):
        plugin.made(ZONE, "google", zone | {"privateVisibilityConfig": {"networks": [{"networkUrl": "gone"}]}})
    made = plugin.made(ZONE, "google", zone | seen_by)
    assert made.id == "projects/my-project/managedZones/google"
    record = {"managedZone": "google", "type": "A", "ttl": 300, "rrdatas": ["199.36.153.8"]}
    records = plugin.made(RECORDS, "private", {"name": "private.googleapis.com.", **record})
    assert records.id == f"{made.id}/rrsets/private.googleapis.com./A"
    with pytest.raises(Failed, match=r"Invalid value for .*: 'example.com.'"):
        plugin.made(RECORDS, "other", {"name": "example.com.", **record})
    with pytest.raises(Failed, match=r"managedZones/gone' was not found"):
        plugin.made(RECORDS, "other", {"name": "a.googleapis.com.", **record, "managedZone": "gone"})
    with pytest.raises(Failed, match="cannot be deleted because it contains one or more 'resource records'"):
        plugin.delete(made)
    plugin.delete(records)
    plugin.delete(made)


def test_a_preview_knows_names_and_projects_and_nothing_that_google_gives(plugin: Plugin) -> None:
    by_name: Tree = {"dnsEndpointConfig": {}}
    inputs = plugin.check(CLUSTER, "mesh", {"initialNodeCount": 1, "controlPlaneEndpointsConfig": by_name})
    state = plugin.create(CLUSTER, "mesh", inputs, preview=True).state
    network = plugin.create(NETWORK, "vpc", plugin.check(NETWORK, "vpc", {}), preview=True).state
    assert network["project"] == "my-project"
    assert state["project"] == UNKNOWN, "a cluster's, the real plugin looks for only when it makes one"
    assert state["endpoint"] == state["masterAuth"] == UNKNOWN
    assert state["controlPlaneEndpointsConfig"]["dnsEndpointConfig"]["endpoint"] == UNKNOWN


def test_an_api_has_to_be_enabled_first(plugin: Plugin) -> None:
    for token, inputs, api in (
        (NETWORK, {}, "compute"),
        (ACCOUNT, {"accountId": "nodes-of"}, "iam"),
        (CLUSTER, {"initialNodeCount": 1, "location": "europe-west1"}, "container"),
    ):
        with pytest.raises(Failed, match=rf"Error 403: .* API.*{api}.googleapis.com"):
            plugin.made(token, "x", inputs)


def test_what_exists_is_not_made_again(plugin: Plugin, network: Resource, cluster: Resource) -> None:
    with pytest.raises(Failed, match=r"Error creating Network: googleapi: Error 409: .*networks/vpc' already exists"):
        plugin.made(NETWORK, "vpc", {"name": network.state["name"]})
    with pytest.raises(Failed, match=r"Error 409: Already exists: projects/my-project/.*/clusters/mesh"):
        plugin.create(CLUSTER, "mesh", cluster.inputs)
    enable(plugin, "compute")  # once more is no error


def test_what_is_missing_cannot_be_referred_to(plugin: Plugin, subnetwork: Resource) -> None:
    missing = "projects/my-project/global/networks/gone"
    for token, inputs in ((SUBNETWORK, {"ipCidrRange": "10.9.0.0/20"}), (ROUTER, {}), (FIREWALL, {
        "sourceRanges": ["10.0.0.0/8"], "allows": [{"protocol": "tcp"}]})):  # fmt: skip
        with pytest.raises(Failed, match=r"Error 404: The resource '.*networks/gone' was not found"):
            plugin.made(token, "x", {"network": missing, **inputs})
    policy = RANGES | {"clusterSecondaryRangeName": "porridge"}
    with pytest.raises(Failed, match='Pod secondary range "porridge" does not exist in subnetwork "nodes"'):
        plugin.made(CLUSTER, "mesh", cluster_in(subnetwork, ipAllocationPolicy=policy))
    with pytest.raises(Failed, match=f"Service account {NODES} does not exist"):
        plugin.made(CLUSTER, "mesh", cluster_in(subnetwork, nodeConfig={"serviceAccount": NODES}))
    with pytest.raises(Failed, match=r"Error 404: The resource '.*clusters/gone' was not found"):
        plugin.made(NODE_POOL, "cpu", {"cluster": "projects/my-project/locations/europe-west1/clusters/gone"})


def test_ranges_of_a_network_do_not_overlap_in_any_region(plugin: Plugin, subnetwork: Resource) -> None:
    inputs = {"network": subnetwork.state["network"], "region": "us-central1", "ipCidrRange": "10.4.8.0/24"}
    with pytest.raises(Failed, match=r"Invalid IPCidrRange: 10\.4\.8\.0/24 conflicts with existing subnetwork 'nodes'"):
        plugin.made(SUBNETWORK, "more", inputs)


def test_the_identity_pool_comes_with_the_projects_first_cluster(plugin: Plugin, subnetwork: Resource) -> None:
    reader = plugin.made(ACCOUNT, "reader", {"accountId": "tfs-reader"})
    grant = {
        "serviceAccountId": reader.state["name"],
        "role": "roles/iam.workloadIdentityUser",
        "member": "serviceAccount:my-project.svc.id.goog[models/inception]",
    }
    with pytest.raises(Failed, match=r"Identity Pool does not exist \(my-project\.svc\.id\.goog\)"):
        plugin.made(ACCOUNT_GRANT, "g", grant)
    plugin.made(CLUSTER, "mesh", cluster_in(subnetwork))
    plugin.made(ACCOUNT_GRANT, "g", grant)


def test_what_is_in_use_is_not_deleted(
    plugin: Plugin, network: Resource, subnetwork: Resource, cluster: Resource
) -> None:
    for resource in (network, subnetwork):
        with pytest.raises(Failed, match="is already being used by"):
            plugin.delete(resource)
    for resource in (cluster, subnetwork, network):
        plugin.delete(resource)
        assert plugin.read(resource) is None


def test_counts_of_a_node_pool_do_not_contradict_each_other(plugin: Plugin, cluster: Resource) -> None:
    for inputs, said in (
        ({"initialNodeCount": 1, "nodeCount": 2}, "Cannot set both initial_node_count and node_count"),
        ({"autoscaling": {"minNodeCount": 1, "maxNodeCount": 3, "totalMaxNodeCount": 3}}, "per zone or in total"),
        ({"autoscaling": {"minNodeCount": 4, "maxNodeCount": 3}}, "minNodeCount is greater than maxNodeCount"),
    ):
        with pytest.raises(Failed, match=said):
            plugin.made(NODE_POOL, "cpu", {"cluster": cluster.id, **inputs})


@pytest.mark.parametrize(
    ("wanted", "given"), [("1.33", "1.33."), ("1.34.2", "1.34.2-gke."), ("1.33.5-gke.1", "1.33.5-gke.1"), ("", "1.35.")]
)
def test_a_cluster_is_at_least_of_the_wanted_version(
    plugin: Plugin, subnetwork: Resource, wanted: str, given: str
) -> None:
    inputs = cluster_in(subnetwork, **({"minMasterVersion": wanted} if wanted else {}))
    assert plugin.made(CLUSTER, "mesh", inputs).state["masterVersion"].startswith(given)


def test_a_version_that_google_does_not_have_is_refused_and_none_goes_back(
    plugin: Plugin, subnetwork: Resource, cluster: Resource
) -> None:
    with pytest.raises(Failed, match=r'Master version "1\.99" is unsupported'):
        plugin.update(cluster, plugin.check(CLUSTER, "mesh", cluster_in(subnetwork, minMasterVersion="1.99")))
    older = plugin.update(cluster, plugin.check(CLUSTER, "mesh", cluster_in(subnetwork, minMasterVersion="1.33")))
    assert older.state["masterVersion"] == cluster.state["masterVersion"]


def test_an_update_keeps_what_google_gave(plugin: Plugin, subnetwork: Resource, cluster: Resource) -> None:
    news = plugin.check(CLUSTER, "mesh", cluster_in(subnetwork, resourceLabels={"team": "ml"}))
    updated = plugin.update(cluster, news)
    assert updated.state["effectiveLabels"] == {"team": "ml", "goog-pulumi-provisioned": "true"}
    assert updated.state["endpoint"] == cluster.state["endpoint"]
    again = plugin.read(updated)
    assert again is not None
    assert again.state == updated.state
    assert not plugin.diff(again, news).changes


def test_what_google_decided_or_was_told_stays_when_the_program_no_longer_says_it(
    plugin: Plugin, subnetwork: Resource
) -> None:
    said = cluster_in(subnetwork, releaseChannel={"channel": "STABLE"}, defaultMaxPodsPerNode=32)
    cluster = plugin.made(CLUSTER, "mesh", said)
    updated = plugin.update(cluster, plugin.check(CLUSTER, "mesh", cluster_in(subnetwork, resourceLabels={"a": "b"})))
    assert updated.state["releaseChannel"] == {"channel": "STABLE"}
    assert updated.state["defaultMaxPodsPerNode"] == 32


def test_parts_go_with_the_whole(plugin: Plugin, cluster: Resource) -> None:
    router = plugin.made(ROUTER, "router", {"name": "router", "network": cluster.inputs["network"]})
    nat = {"router": router.state["name"], "sourceSubnetworkIpRangesToNat": "ALL_SUBNETWORKS_ALL_IP_RANGES"}
    parts = [plugin.made(NAT, "nat", nat), plugin.made(NODE_POOL, "cpu", {"cluster": cluster.id})]
    for whole, part in zip((router, cluster), parts, strict=True):
        assert plugin.read(part) is not None
        plugin.delete(whole)
        assert plugin.read(part) is None


def test_a_protected_cluster_is_refused_and_an_abandoned_one_stays(plugin: Plugin, subnetwork: Resource) -> None:
    protected = plugin.made(CLUSTER, "mesh", cluster_in(subnetwork, deletionProtection=True))
    with pytest.raises(Failed, match="Cannot destroy cluster because deletion_protection is set to true"):
        plugin.delete(protected)
    assert plugin.read(protected) is not None
    kept = plugin.made(CLUSTER, "kept", cluster_in(subnetwork, name="kept", deletionPolicy="PREVENT"))
    with pytest.raises(Failed, match=r'cannot destroy "projects/my-project/.*/kept" without setting deletion_policy'):
        plugin.delete(kept)
    abandoned = plugin.made(CLUSTER, "left", cluster_in(subnetwork, name="left", deletionPolicy="ABANDON"))
    plugin.delete(abandoned)
    assert plugin.read(abandoned) is not None


def test_many_at_a_time_are_all_kept(plugin: Plugin, tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: plugin.made(SERVICE, f"s{i}", {"service": f"s{i}.googleapis.com"}), range(48)))
    kept = json.loads((tmp_path / "cloud.json").read_text())
    assert len(kept[SERVICE]) == 48


def test_an_existing_resource_can_be_imported(plugin: Plugin, network: Resource) -> None:
    found = plugin.read(Resource(NETWORK, "vpc", network.id, {}))
    assert found is not None
    assert found.inputs["name"] == "vpc"
    assert not plugin.diff(found, plugin.check(NETWORK, "vpc", found.inputs)).changes


@pytest.mark.usefixtures("stand_in")
def test_outside_of_the_sandbox_nothing_is_made(checker: Plugin) -> None:
    with pytest.raises(Failed, match="there is no sandbox: SANDBOX_CLOUD is not set"):
        checker.made(SERVICE, "api", {"service": "iam.googleapis.com"})


def test_a_plugin_whose_engine_was_killed_ends_by_itself(plugin_path: Path, stand_in: None) -> None:  # noqa: ARG001
    with Plugin(plugin_path) as plugin:
        assert plugin.leave() == 0
