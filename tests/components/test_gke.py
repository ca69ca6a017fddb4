"""A stack on GKE: what is made at Google, in which order, and what of it is open to whom."""

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from infra.gke.identity import ACCOUNT_ID_LIMIT, account_id, bucket_of
from infra.gke.kubeconfig import kubeconfig
from infra.settings import parse
from tests.components.conftest import Program, Record
from tests.components.test_program import NETWORK_POLICY, main_module, needs

CLUSTER = "gcp:container/cluster:Cluster"
NODE_POOL = "gcp:container/nodePool:NodePool"
FIREWALL = "gcp:compute/firewall:Firewall"
BUCKET_GRANT = "gcp:storage/bucketIAMMember:BucketIAMMember"
PROJECT_GRANT = "gcp:projects/iAMMember:IAMMember"
POD_GRANT = "gcp:serviceaccount/iAMMember:IAMMember"
PROVIDER = "pulumi:providers:kubernetes"

Deploy = Callable[..., Program]


@pytest.fixture
def deploy(record: Record) -> Deploy:
    """Run the program on GKE, with what is given of the cluster."""

    def run(models: dict[str, Any] | None = None, **cluster: Any) -> Program:
        versions = {"v1": {"model": 1}}
        config = {
            "gcp:project": "my-project",
            "gcp:region": "europe-west1",
            "tfserving-mesh:cluster": {"kind": "gke", **cluster},
            "tfserving-mesh:models": models
            or {"inception": {"path": "gs://my-models/inception", "callers": "any", "versions": versions}},
        }
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
        settings = parse(texts, project="tfserving-mesh", stack="test")
        return record(lambda: main_module().deploy(settings))

    return run


def test_nodes_have_no_public_address_and_one_way_out(deploy: Deploy) -> None:
    program = deploy()
    cluster = program.one(CLUSTER)
    assert cluster.inputs["privateClusterConfig"]["enablePrivateNodes"] is True
    nat = program.one("gcp:compute/routerNat:RouterNat")
    assert nat.name in needs(program, program.one(NODE_POOL))


def test_cloud_storage_is_found_where_pods_may_reach_it_before_there_is_a_pod(deploy: Deploy) -> None:
    program = deploy()
    records = {each.inputs["name"]: each for each in program.of("gcp:dns/recordSet:RecordSet")}
    (alias,) = records["*.googleapis.com."].inputs["rrdatas"]
    rule = program.one(NETWORK_POLICY, "isolation").inputs["spec"]["egress"][-1]
    allowed = [ipaddress.ip_network(each["ipBlock"]["cidr"]) for each in rule["to"]]
    for address in records[alias].inputs["rrdatas"]:
        assert any(ipaddress.ip_address(address) in each for each in allowed), address
    zone = program.one("gcp:dns/managedZone:ManagedZone")
    assert (zone.inputs["dnsName"], zone.inputs["visibility"]) == ("googleapis.com.", "private")
    for provider in program.of(PROVIDER):
        assert {each.name for each in records.values()} <= needs(program, provider)


def test_a_cluster_that_moves_to_another_region_can_keep_its_ranges(deploy: Deploy) -> None:
    subnetwork = deploy().one("gcp:compute/subnetwork:Subnetwork")
    assert subnetwork.inputs["ipCidrRange"] == "10.0.0.0/20"
    assert subnetwork.delete_before_replace


def test_by_dns_name_the_public_address_does_not_exist(deploy: Deploy) -> None:
    cluster = deploy().one(CLUSTER)
    assert cluster.inputs["privateClusterConfig"]["enablePrivateEndpoint"] is True
    assert cluster.inputs["controlPlaneEndpointsConfig"] == {"dnsEndpointConfig": {"allowExternalTraffic": True}}
    assert cluster.inputs["masterAuthorizedNetworksConfig"]["cidrBlocks"] == []


def test_by_address_only_the_authorized_networks_reach_the_control_plane(deploy: Deploy) -> None:
    office = {"name": "office", "cidr": "203.0.113.0/24"}
    inputs = deploy(endpoint="ip", authorizedNetworks=[office]).one(CLUSTER).inputs
    assert inputs["masterAuthorizedNetworksConfig"] == {
        "cidrBlocks": [{"cidrBlock": "203.0.113.0/24", "displayName": "office"}],
        "gcpPublicCidrsAccessEnabled": False,
    }
    assert inputs["controlPlaneEndpointsConfig"] == {"dnsEndpointConfig": {"allowExternalTraffic": False}}


def test_pods_are_injected_only_once_the_api_server_may_call_the_injector(deploy: Deploy) -> None:
    program = deploy()
    rule = program.one(FIREWALL)
    assert rule.inputs["allows"] == [{"protocol": "tcp", "ports": ["15017"]}]
    assert rule.inputs["sourceRanges"] == ["172.16.0.0/28"]
    for provider in program.of(PROVIDER):
        assert {rule.name, program.one(NODE_POOL).name} <= needs(program, provider)


@pytest.mark.parametrize("protection", [True, False])
def test_a_protected_cluster_is_protected_by_google_and_by_pulumi(deploy: Deploy, *, protection: bool) -> None:
    cluster = deploy(deletionProtection=protection).one(CLUSTER)
    assert cluster.inputs["deletionProtection"] is protection
    assert cluster.protect is protection


@pytest.mark.parametrize("protection", [True, False])
def test_a_destroy_that_is_refused_has_deleted_nothing_yet(deploy: Deploy, *, protection: bool) -> None:
    versions = {"v1": {"model": 1, "autoscaling": {"min": 2, "max": 3}}, "v2": {"model": 2}}
    models = {
        "bert": {"path": "gs://texts/bert", "callers": "any", "strictCallers": True, "versions": versions},
        "plain": {"path": "gs://texts/plain", "mesh": False, "versions": {"v1": {"model": 1}}},
    }
    program = deploy(models, deletionProtection=protection, gpu={"max": 2})
    guard = next(resource for resource in program.resources if resource.name == "cluster-guard")
    assert guard.protect is protection
    before = needs(program, guard)
    # The engine deletes a provider, and what that needs, after everything that was made by it.
    for provider in program.of(PROVIDER):
        before |= {provider.name, *needs(program, provider)}
    custom = {resource.name for resource in program.resources if not resource.token.startswith("tfserving-mesh:")}
    assert custom - before == {guard.name}, "destroy would delete these before it is refused"


def test_what_google_reports_of_the_first_pool_does_not_replace_the_cluster(deploy: Deploy) -> None:
    program = deploy()
    cluster = program.one(CLUSTER)
    assert cluster.inputs["removeDefaultNodePool"] is True
    assert cluster.ignore_changes == ("nodeConfig",)
    assert program.one(NODE_POOL).ignore_changes == ("initialNodeCount",)


def test_the_gpu_pool_is_made_when_switched_on_and_after_the_one_that_is_not_tainted(deploy: Deploy) -> None:
    gpu = {"accelerator": "nvidia-l4", "machineType": "g2-standard-8", "zones": ["b", "c"]}
    assert len(deploy(gpu={**gpu, "enabled": False}).of(NODE_POOL)) == 1
    program = deploy(gpu=gpu)
    cpu, accelerated = program.of(NODE_POOL)
    assert cpu.name in accelerated.dependencies
    assert accelerated.inputs["nodeLocations"] == ["europe-west1-b", "europe-west1-c"]
    assert accelerated.inputs["nodeConfig"]["guestAccelerators"] == [
        {"type": "nvidia-l4", "count": 1, "gpuDriverInstallationConfig": {"gpuDriverVersion": "DEFAULT"}}
    ]
    assert accelerated.inputs["autoscaling"] == {"minNodeCount": 0, "maxNodeCount": 1}


def test_nodes_may_do_little_and_pods_never_get_their_token(deploy: Deploy) -> None:
    program = deploy()
    roles = {grant.inputs["role"] for grant in program.of(PROJECT_GRANT)}
    assert roles == {"roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader"}
    pool = program.one(NODE_POOL)
    assert pool.inputs["nodeConfig"]["workloadMetadataConfig"] == {"mode": "GKE_METADATA"}
    assert {grant.name for grant in program.of(PROJECT_GRANT)} <= needs(program, pool)


def test_a_model_reads_its_own_bucket_and_no_other(deploy: Deploy) -> None:
    versions = {"v1": {"model": 1}}
    program = deploy(
        {
            "bert": {"path": "gs://texts/bert", "callers": "any", "versions": versions},
            "resnet": {"path": "gs://images/resnet/v2", "callers": "any", "versions": versions},
            "local": {"path": "/models/local", "callers": "any", "versions": versions},
        }
    )
    granted = {(grant.inputs["bucket"], grant.inputs["role"]) for grant in program.of(BUCKET_GRANT)}
    assert granted == {("texts", "roles/storage.objectViewer"), ("images", "roles/storage.objectViewer")}
    members = {grant.inputs["member"] for grant in program.of(POD_GRANT)}
    assert members == {
        "serviceAccount:my-project.svc.id.goog[models/bert]",
        "serviceAccount:my-project.svc.id.goog[models/resnet]",
    }
    for model in ("bert", "resnet"):
        account = program.one("kubernetes:core/v1:ServiceAccount", model)
        assert account.inputs["metadata"]["annotations"]["iam.gke.io/gcp-service-account"].startswith(
            f"tfs-test-{model}@"
        )
        grants = {grant.name for grant in [*program.of(BUCKET_GRANT), *program.of(POD_GRANT)] if model in grant.name}
        assert len(grants) == 2
        deployment = program.one("kubernetes:apps/v1:Deployment", f"{model}-v1")
        assert {*grants, program.one(CLUSTER).name} <= needs(program, deployment)
    assert "annotations" not in program.one("kubernetes:core/v1:ServiceAccount", "local").inputs["metadata"]


def test_a_server_that_reads_as_somebody_begins_when_google_knows_whose_it_is(deploy: Deploy) -> None:
    versions = {"v1": {"model": 1}}
    program = deploy(
        {
            "bert": {"path": "gs://texts/bert", "callers": "any", "versions": versions},
            "local": {"path": "/models/local", "callers": "any", "versions": versions},
        }
    )
    by_model = {
        model: program.one("kubernetes:apps/v1:Deployment", f"{model}-v1").inputs["spec"]["template"]["spec"]
        for model in ("bert", "local")
    }
    (waiting,), (plain,) = (spec["containers"] for spec in by_model.values())
    assert plain["command"] == ["/usr/bin/tensorflow_model_server"]
    assert waiting["command"] == ["/bin/bash", "/etc/tfserving/first-token.sh"]
    assert waiting["args"][0] == plain["args"][0] == "--port=8500", "they are the server's, not the shell's"
    assert {"name": "GCE_METADATA_HOST", "value": "169.254.169.254"} in waiting["env"]
    assert "env" not in plain
    files = {
        name: text for each in program.of("kubernetes:core/v1:ConfigMap") for name, text in each.inputs["data"].items()
    }
    script = files["first-token.sh"]
    assert script.endswith('exec /usr/bin/tensorflow_model_server "$@"\n')
    (asked,) = re.findall(r"/dev/tcp/([0-9.]+)/([0-9]+)", script)
    rules = program.one(NETWORK_POLICY, "isolation").inputs["spec"]["egress"]
    assert any(
        {"ipBlock": {"cidr": f"{asked[0]}/32"}} in rule["to"]
        and {"protocol": "TCP", "port": int(asked[1])} in rule["ports"]
        for rule in rules
    )


def test_the_kubeconfig_in_the_state_has_no_token(deploy: Deploy) -> None:
    office = {"name": "office", "cidr": "203.0.113.0/24"}
    for cluster, authority in (({}, None), ({"endpoint": "ip", "authorizedNetworks": [office]}, "Y2E=")):
        for provider in deploy(**cluster).of(PROVIDER):
            config = json.loads(provider.inputs["kubeconfig"])
            (user,) = config["users"]
            assert set(user["user"]) == {"exec"}
            assert user["user"]["exec"]["command"] == "gke-gcloud-auth-plugin"
            assert config["clusters"][0]["cluster"].get("certificate-authority-data") == authority
            assert provider.inputs["clusterIdentifier"] == "cluster-id"


def test_kubectl_finds_its_way_by_a_kubeconfig_without_a_scheme_in_the_host() -> None:
    config = json.loads(kubeconfig("dev", "gke-1a2b.europe-west1.gke.goog", None))
    assert config["clusters"] == [{"name": "dev", "cluster": {"server": "https://gke-1a2b.europe-west1.gke.goog"}}]
    assert config["current-context"] == config["contexts"][0]["name"] == "dev"


@pytest.mark.parametrize(
    "parts", [("tfs", "prod", "m"), ("tfs", "prod", "a" * 40), ("tfs", "My_Stack.1", "m"), ("gke-nodes", "x" * 60)]
)
def test_a_service_accounts_id_fits_whatever_stack_and_model_are_called(parts: tuple[str, ...]) -> None:
    name = account_id(*parts)
    assert 6 <= len(name) <= ACCOUNT_ID_LIMIT
    assert name[0].isalpha()
    assert name.replace("-", "").isalnum()
    assert name == name.lower().rstrip("-")
    assert account_id(*parts[:-1], parts[-1] + "x") != name


def test_two_stacks_whose_names_differ_in_what_an_id_cannot_hold_get_two_accounts() -> None:
    assert account_id("tfs", "my.stack", "m") != account_id("tfs", "my-stack", "m")


@pytest.mark.parametrize(
    ("path", "bucket"),
    [("gs://b/x/y", "b"), ("gs://b", "b"), ("gs://b/", "b"), ("s3://b/x", None), ("/models/m", None)],
)
def test_the_bucket_is_the_paths_own(path: str, bucket: str | None) -> None:
    assert bucket_of(path) == bucket
