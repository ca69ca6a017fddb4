"""What a GKE stack may say of its cluster, and what is said when it cannot be."""

from collections.abc import Callable
from typing import Any

import pytest

from infra.config_gke import ISTIO_KUBERNETES, GkeSettings
from infra.settings import ExistingCluster

Make = Callable[..., Any]
PLACE = {"gcp:project": "my-project", "gcp:region": "europe-west1"}


@pytest.fixture
def gke(stack: Make, inception: dict[str, Any]) -> Make:
    """A GKE stack's config, with what is given of the cluster."""

    def make(more: dict[str, Any] | None = None, **cluster: Any) -> Any:
        return stack(PLACE | (more or {}), models=inception, cluster={"kind": "gke", **cluster})

    return make


def cluster_of(config: Any) -> GkeSettings:
    cluster = config.parse().cluster
    assert isinstance(cluster, GkeSettings)
    return cluster


def test_a_cluster_is_safe_where_the_config_is_silent(gke: Make) -> None:
    cluster = cluster_of(gke())
    assert cluster.deletion_protection is True
    assert (cluster.endpoint, cluster.authorized_networks) == ("dns", ())
    assert cluster.gpu is None
    assert cluster.location == "europe-west1"


def test_a_zone_makes_the_cluster_zonal(gke: Make) -> None:
    assert cluster_of(gke(zone="b")).location == "europe-west1-b"


@pytest.mark.parametrize("key", ["gcp:project", "gcp:region"])
@pytest.mark.parametrize("value", [None, "", "Europe", "europe-west1-b"])
def test_a_cluster_that_is_nowhere(gke: Make, key: str, value: str | None) -> None:
    broken = gke({key: value} if value is not None else {})
    if value is None:
        del broken.values[key]
    if (key, value) == ("gcp:project", "europe-west1-b"):
        broken.parse()  # as a project's ID it would do
        return
    problem = broken.only()
    assert problem.key == key
    broken.run(problem.fix)
    broken.parse()


def test_a_stack_on_an_existing_cluster_needs_no_project(stack: Make, inception: dict[str, Any]) -> None:
    assert stack(models=inception, cluster={"kind": "existing"}).parse().cluster == ExistingCluster()


@pytest.mark.parametrize(
    ("cluster", "key", "fix"),
    [
        ({"zone": "europe-west1-b"}, "cluster.zone", "--path cluster.zone b"),
        ({"channel": "regular"}, "cluster.channel", "--path cluster.channel REGULAR"),
        ({"kubernetesVersion": "latest"}, "cluster.kubernetesVersion", "--path cluster.kubernetesVersion 1.35"),
        ({"kubernetesVersion": 1.4}, "cluster.kubernetesVersion", "--path cluster.kubernetesVersion 1.35"),
        ({"endpoint": "public"}, "cluster.endpoint", "--path cluster.endpoint dns"),
        ({"endpoint": "ip"}, "cluster.endpoint", "--path cluster.endpoint dns"),
        ({"ranges": {"controlPlane": "172.16.0.0/27"}}, "cluster.ranges.controlPlane", "172.16.0.0/28"),
        ({"ranges": {"nodes": "10.0.0.1/20"}}, "cluster.ranges.nodes", "10.0.0.0/20"),
        ({"ranges": {"nodes": "8.8.0.0/20"}}, "cluster.ranges.nodes", "10.0.0.0/20"),
        ({"ranges": {"pods": "10.0.0.0/14"}}, "cluster.ranges.pods", "10.4.0.0/14"),
        ({"ranges": {"nodes": "10.8.0.0/20"}}, "cluster.ranges.services", "10.0.0.0/20"),
        ({"nodes": {"min": 4}}, "cluster.nodes.max", "--path cluster.nodes.max 4"),
        ({"nodes": {"min": 0}}, "cluster.nodes.min", "--path cluster.nodes.min 1"),
        ({"nodes": {"machineType": "big"}}, "cluster.nodes.machineType", "e2-standard-4"),
        ({"nodes": {"labels": {"a b": "c"}}}, 'cluster.nodes.labels["a b"]', "rm --path"),
        ({"labels": {"Team": "ml"}}, "cluster.labels.Team", "rm --path cluster.labels.Team"),
        ({"gpu": {"min": 3, "max": 2}}, "cluster.gpu.max", "--path cluster.gpu.max 3"),
        ({"gpu": {"count": 0}}, "cluster.gpu.count", "--path cluster.gpu.count 1"),
        ({"gpu": {"zones": ["z"]}}, "cluster.gpu.zones[0]", "--path 'cluster.gpu.zones[0]' b"),
        ({"deletionProtection": "yes"}, "cluster.deletionProtection", "rm --path cluster.deletionProtection"),
        ({"zones": "b"}, "cluster.zones", "set --path cluster.zone b"),
    ],
)
def test_a_value_that_no_cluster_can_have(gke: Make, cluster: dict[str, Any], key: str, fix: str) -> None:
    broken = gke(**cluster)
    problem = broken.only()
    assert problem.key == key
    assert fix in problem.fix
    broken.mend()


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/7", "203.0.113.7", "203.0.113.7/24", "::/0", 5])
def test_an_authorized_network_that_lets_in_the_world_or_nobody(gke: Make, cidr: Any) -> None:
    broken = gke(endpoint="ip", authorizedNetworks=[{"name": "office", "cidr": cidr}])
    problem = broken.only()
    assert problem.key == "cluster.authorizedNetworks[0].cidr"
    broken.run(problem.fix)
    assert cluster_of(broken).authorized_networks[0].cidr == "203.0.113.0/24"


@pytest.mark.parametrize(("istio", "kubernetes"), [("1.30.4", "1.31"), ("1.30.4", "1.37"), ("1.28.1", "1.35")])
def test_an_istio_that_does_not_support_the_kubernetes(gke: Make, istio: str, kubernetes: str) -> None:
    broken = gke(kubernetesVersion=kubernetes)
    broken.values["istio"] = {"version": istio}
    problem = broken.only()
    low, high = ISTIO_KUBERNETES[int(istio.split(".")[1])]
    assert problem.key == "cluster.kubernetesVersion"
    assert f"is supported on Kubernetes 1.{low} to 1.{high}" in problem.message
    broken.run(problem.fix)
    broken.parse()


def test_a_default_kubernetes_that_the_chosen_istio_does_not_support(gke: Make) -> None:
    broken = gke()
    broken.values["istio"] = {"version": "1.27.3"}
    assert broken.only().value == "1.35, by default"
    broken.mend()
    assert cluster_of(broken).kubernetes_version == "1.33"


def test_an_istio_that_is_not_known_yet_is_let_through(gke: Make) -> None:
    config = gke(kubernetesVersion="1.39")
    config.values["istio"] = {"version": "1.33.0"}
    assert cluster_of(config).kubernetes_version == "1.39"


def test_what_does_not_fit_is_told_together_with_all_else(gke: Make) -> None:
    broken = gke({"gcp:project": "x"}, kubernetesVersion="1.30", nodes={"min": 9})
    broken.values["models"] = {"m": {"path": "nowhere", "callers": "any", "versions": {"v1": {"model": 1}}}}
    keys = {problem.key for problem in broken.problems()}
    assert keys == {"gcp:project", "cluster.kubernetesVersion", "cluster.nodes.max", "models.m.path"}


def test_a_typo_of_the_kind_is_told_as_one(gke: Make) -> None:
    broken = gke(zone="b")
    broken.values["cluster"]["kind"] = "gk"
    problem = broken.only()
    assert (problem.key, problem.fix) == ("cluster.kind", "pulumi config set --path cluster.kind gke")


def test_a_kubernetes_version_that_yaml_reads_as_a_number(gke: Make) -> None:
    assert cluster_of(gke(kubernetesVersion=1.35)).kubernetes_version == "1.35"
