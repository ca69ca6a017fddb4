"""A cluster with its network and nodes, by the real CLI: what a user sees of previews, updates and ends."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from sandbox.paths import CHECKOUT
from sandbox.plan import pulumi_folder
from sandbox.pulumi_env import pulumi_environment
from tests.engine.conftest import STACK, Project
from tests.engine.gcp.conftest import AUTHORITY, SERVER, configured
from tests.engine.gcp.protocol import TOKEN

pytestmark = pytest.mark.engine

PROGRAM = """
import pulumi
from pulumi_gcp import compute, container, projects, serviceaccount

config = pulumi.Config()
region = config.get("region") or "europe-west1"
apis = [
    projects.Service(name, service=f"{name}.googleapis.com", disable_on_destroy=False)
    for name in ("compute", "container", "iam", "cloudresourcemanager")
]
after = pulumi.ResourceOptions(depends_on=apis)
network = compute.Network("vpc", auto_create_subnetworks=False, opts=after)
subnetwork = compute.Subnetwork(
    "nodes", network=network.id, region=region, ip_cidr_range="10.0.0.0/20", private_ip_google_access=True,
    secondary_ip_ranges=[
        {"range_name": "pods", "ip_cidr_range": "10.4.0.0/14"},
        {"range_name": "services", "ip_cidr_range": "10.8.0.0/20"},
    ],
    opts=pulumi.ResourceOptions(delete_before_replace=True),  # ranges may not overlap in a network, in any region
)
router = compute.Router("router", network=network.id, region=region)
nat = compute.RouterNat(
    "nat", router=router.name, region=region, nat_ip_allocate_option="AUTO_ONLY",
    source_subnetwork_ip_ranges_to_nat="ALL_SUBNETWORKS_ALL_IP_RANGES",
)
account = serviceaccount.Account("nodes-account", account_id="gke-nodes", opts=after)
grant = projects.IAMMember(
    "logs", project="my-project", role="roles/container.defaultNodeServiceAccount", member=account.member,
)
cluster = container.Cluster(
    "mesh", location=region, network=network.id, subnetwork=subnetwork.id, remove_default_node_pool=True,
    initial_node_count=1, networking_mode="VPC_NATIVE",
    ip_allocation_policy={"cluster_secondary_range_name": "pods", "services_secondary_range_name": "services"},
    private_cluster_config={"enable_private_nodes": True, "master_ipv4_cidr_block": "172.16.0.0/28"},
    control_plane_endpoints_config={"dns_endpoint_config": {"allow_external_traffic": True}},
    master_authorized_networks_config={"cidr_blocks": [
        {"cidr_block": cidr, "display_name": "office"}
        for cidr in config.get_object("networks") or ["203.0.113.0/24"]
    ]},
    release_channel={"channel": config.get("channel") or "REGULAR"}, min_master_version="1.33",
    datapath_provider="ADVANCED_DATAPATH", workload_identity_config={"workload_pool": "my-project.svc.id.goog"},
    resource_labels={"team": config.get("team") or "ml"},
    deletion_protection=config.get_bool("protected") or False,
    node_config={"service_account": account.email},
    opts=pulumi.ResourceOptions(ignore_changes=["nodeConfig"], depends_on=[grant]),
)
pool = container.NodePool(
    "cpu", cluster=cluster.id, initial_node_count=1,
    autoscaling={"min_node_count": 1, "max_node_count": config.get_int("max") or 3},
    node_config={
        "machine_type": "e2-standard-4", "service_account": account.email, "spot": False, "disk_size_gb": 50,
        "oauth_scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        "workload_metadata_config": {"mode": "GKE_METADATA"},
    },
)
firewall = compute.Firewall(
    "injector", network=network.id, direction="INGRESS", source_ranges=["172.16.0.0/28"],
    target_service_accounts=[account.email], allows=[{"protocol": "tcp", "ports": ["15017"]}],
)
model = serviceaccount.Account("model", account_id="tfs-inception", opts=after)
serviceaccount.IAMMember(
    "identity", service_account_id=model.name, role="roles/iam.workloadIdentityUser",
    member="serviceAccount:my-project.svc.id.goog[models/inception]",
    opts=pulumi.ResourceOptions(depends_on=[cluster]),
)
pulumi.export("id", cluster.id)
pulumi.export("endpoint", cluster.endpoint)
pulumi.export("dns", cluster.control_plane_endpoints_config.dns_endpoint_config.endpoint)
pulumi.export("authority", cluster.master_auth.cluster_ca_certificate)
pulumi.export("version", cluster.master_version)
pulumi.export("network", network.name)
"""


@pytest.fixture
def stack(gcp: Project) -> Project:
    """A project with the program, nothing of it made yet."""
    gcp.program(PROGRAM)
    return gcp


@pytest.fixture(scope="module")
def running(
    pulumi_environ: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
    kubeconfig: Path,
    stand_in: None,  # noqa: ARG001 - creates something
) -> Project:
    """One with everything made, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("running")
    (folder / "state").mkdir()
    project = Project(folder / "project", pulumi_environ | {"PULUMI_BACKEND_URL": (folder / "state").as_uri()})
    configured(project, kubeconfig, folder / "cloud.json").program(PROGRAM)
    project.up()
    return project


def cloud(project: Project) -> dict[str, Any]:
    """What exists, by type and ID."""
    found: dict[str, Any] = json.loads(Path(project.environ["SANDBOX_CLOUD"]).read_text())
    return found


def test_a_preview_with_a_made_up_token_asks_nobody_and_takes_seconds(stack: Project) -> None:
    begun = time.monotonic()
    # A proxy that nobody listens at: a request to anyone would fail.
    outcome = stack.preview(HTTPS_PROXY="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")
    assert time.monotonic() - begun < 20
    assert outcome.changes == {"create": 16}
    # The CLI's own words on a plugin that it finds on PATH, as a real one may be.
    assert [each for each in outcome.diagnostics("warning") if "from $PATH" not in each] == []
    assert not outcome.errors
    planned = outcome.step("mesh").new
    assert planned is not None
    assert re.fullmatch(r"mesh-[0-9a-f]{7}", planned["inputs"]["name"])


def test_a_second_up_changes_nothing_and_neither_does_a_refresh(running: Project) -> None:
    assert running.up().changes == {}
    assert running.refresh("--expect-no-changes").changes == {}
    assert running.up().changes == {}


def test_a_cluster_has_the_sandboxs_address_and_authority(running: Project) -> None:
    outputs = running.outputs(show_secrets=True)
    assert f"https://{outputs['endpoint']}" == f"https://{outputs['dns']}" == SERVER
    assert base64.b64decode(outputs["authority"]) == AUTHORITY
    assert re.fullmatch(r"projects/my-project/locations/europe-west1/clusters/mesh-[0-9a-f]{7}", outputs["id"])
    assert outputs["version"].startswith("1.33.")


def test_state_keeps_keys_secret_and_no_token_at_all_in_plain(running: Project) -> None:
    exported = running.export()
    assert TOKEN not in json.dumps(exported)
    assert "ciphertext" in running.resource("mesh")["outputs"]["masterAuth"]["clientKey"]
    assert TOKEN not in Path(running.environ["SANDBOX_CLOUD"]).read_text()
    provider = next(each for each in exported["deployment"]["resources"] if each["type"] == "pulumi:providers:gcp")
    assert "ciphertext" in provider["inputs"]["accessToken"]


def test_daily_changes_replace_nothing(stack: Project, stand_in: None) -> None:  # noqa: ARG001 - creates something
    stack.up()
    for key, value in {
        "max": "5",
        "team": "research",
        "channel": "STABLE",
        "networks": '["203.0.113.0/24", "198.51.100.7/32"]',
    }.items():
        stack.set(key, value)
    outcome = stack.up()
    assert outcome.changes == {"update": 2}
    assert outcome.step("cpu").detailed_diff == {"autoscaling.maxNodeCount": "update"}
    assert outcome.step("mesh").detailed_diff == {
        "resourceLabels.team": "update",
        "releaseChannel.channel": "update",
        "masterAuthorizedNetworksConfig.cidrBlocks[1]": "add",
    }
    assert stack.up().changes == {}


def test_another_region_replaces_the_cluster_and_says_so(stack: Project, stand_in: None) -> None:  # noqa: ARG001
    stack.up()
    stack.set("region", "us-central1")
    outcome = stack.up()
    assert outcome.ops("mesh") == ["delete-replaced", "replace", "create-replacement"]
    assert {identity.split("/")[3] for identity in cloud(stack)["gcp:container/cluster:Cluster"]} == {"us-central1"}


def test_a_protected_cluster_is_not_destroyed_until_protection_is_off(stack: Project, stand_in: None) -> None:  # noqa: ARG001
    stack.set("protected", "true")
    stack.up()
    outcome = stack.destroy(fails=True)
    assert "Cannot destroy cluster because deletion_protection is set to true" in outcome.text
    assert "gcp:container/cluster:Cluster" in cloud(stack)
    stack.set("protected", "false")
    stack.up()
    stack.destroy()
    assert list(cloud(stack)) == ["gcp:projects/service:Service"], "APIs stay enabled, as the program says"


def test_what_someone_deletes_or_changes_by_hand_is_noticed(stack: Project, stand_in: None) -> None:  # noqa: ARG001
    stack.up()
    file, things = Path(stack.environ["SANDBOX_CLOUD"]), cloud(stack)
    del things["gcp:compute/firewall:Firewall"]
    mesh = next(iter(things["gcp:container/cluster:Cluster"].values()))
    mesh["releaseChannel"]["channel"] = "RAPID"
    file.write_text(json.dumps(things))
    outcome = stack.up("--refresh")
    assert (outcome.ops("injector")[-1], outcome.ops("mesh")[-1]) == ("create", "update")
    assert next(iter(cloud(stack)["gcp:container/cluster:Cluster"].values()))["releaseChannel"]["channel"] == "REGULAR"


def test_without_a_sandbox_a_cluster_says_what_is_missing(stack: Project, stand_in: None) -> None:  # noqa: ARG001
    stack.environ["SANDBOX_KUBECONFIG"] = "/nowhere/kubeconfig"
    outcome = stack.up(fails=True)
    assert "a cluster of this stand-in is the sandbox: no sandbox is running" in outcome.text
    assert "python3 -m sandbox up" in outcome.text


def test_a_stack_without_google_does_not_start_the_plugin(gcp: Project, tmp_path: Path, stand_in: None) -> None:  # noqa: ARG001
    settings = pulumi_environment(tmp_path / "home", CHECKOUT, pulumi_folder(), gcp.environ)
    launcher = tmp_path / "home" / "pulumi" / "launchers" / "pulumi-resource-gcp"
    launcher.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexit 1\n")
    gcp.environ["PULUMI_HOME"] = settings["PULUMI_HOME"]
    gcp.program('import pulumi\npulumi.export("a", 1)\n')
    gcp.up("--stack", STACK)
    assert not (tmp_path / "started").exists()
    gcp.program('from pulumi_gcp import compute\ncompute.Network("vpc")\n')
    gcp.up("--stack", STACK, fails=True)
    assert (tmp_path / "started").exists(), "or this test proves nothing"
