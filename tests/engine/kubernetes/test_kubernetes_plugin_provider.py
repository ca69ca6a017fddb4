"""The provider itself: which cluster it means, when another one is meant, and what happens without any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.runtime.proto import provider_pb2

from sandbox.pulumi_env import Tools
from tests.engine.kubernetes.cluster import Cluster
from tests.engine.kubernetes.protocol import UNKNOWN, Failed, Plugin, Resource, Tree, encode, urn

pytestmark = pytest.mark.engine

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
RELEASE = "kubernetes:helm.sh/v3:Release"


def kubeconfig(server: str = "https://127.0.0.1:1", user: str = "u", context: str = "a", **more: Any) -> str:
    """A kubeconfig with the contexts a and b; b is another cluster. Nobody listens on port 1."""
    clusters = [{"name": "a", "cluster": {"server": server}}, {"name": "b", "cluster": {"server": "https://b:1"}}]
    contexts = [{"name": name, "context": {"cluster": name, "user": user} | more} for name in ("a", "b")]
    config = {"apiVersion": "v1", "kind": "Config", "clusters": clusters, "contexts": contexts}
    users = [{"name": user, "user": {"token": "t"}}]
    return json.dumps(config | {"users": users, "current-context": context})


def config_map(name: str = "a") -> Tree:
    return {"metadata": {"name": name, "namespace": "default"}, "data": {"a": "1"}}


@pytest.mark.parametrize(
    ("olds", "news", "replaces"),
    [
        pytest.param({"kubeconfig": kubeconfig()}, {"kubeconfig": kubeconfig(user="other")}, [], id="other-user"),
        pytest.param({"kubeconfig": kubeconfig()}, {"kubeconfig": kubeconfig(server="https://other:1")},
                     ["kubeconfig"], id="other-server"),
        pytest.param({"kubeconfig": kubeconfig()}, {"kubeconfig": kubeconfig(context="b")}, ["kubeconfig"],
                     id="other-current-context"),
        pytest.param({"kubeconfig": kubeconfig(), "context": "a"}, {"kubeconfig": kubeconfig(), "context": "b"},
                     ["context"], id="other-context"),
        pytest.param({"kubeconfig": kubeconfig()}, {"kubeconfig": UNKNOWN}, ["kubeconfig"], id="unknown"),
        pytest.param({"kubeconfig": kubeconfig(), "clusterIdentifier": "x"},
                     {"kubeconfig": UNKNOWN, "clusterIdentifier": "x"}, [], id="unknown-with-identifier"),
        pytest.param({"kubeconfig": kubeconfig(), "clusterIdentifier": "x"},
                     {"kubeconfig": kubeconfig(server="https://other:1"), "clusterIdentifier": "x"}, [],
                     id="other-server-same-identifier"),
        pytest.param({"kubeconfig": kubeconfig(), "clusterIdentifier": "x"},
                     {"kubeconfig": kubeconfig(), "clusterIdentifier": "y"}, ["clusterIdentifier"],
                     id="other-identifier"),
        pytest.param({"kubeconfig": kubeconfig()}, {"kubeconfig": kubeconfig(), "clusterIdentifier": "x"}, [],
                     id="identifier-added"),
        pytest.param({"kubeconfig": kubeconfig(), "clusterIdentifier": "x"}, {"kubeconfig": kubeconfig()}, [],
                     id="identifier-removed"),
        pytest.param({"namespace": "a"}, {"namespace": "b"}, [], id="default-namespace"),
    ],
)  # fmt: skip
def test_only_another_cluster_replaces_everything(
    configured: Plugin, olds: Tree, news: Tree, replaces: list[str]
) -> None:
    found = configured.diff_config(olds, news)
    assert found.changes
    assert found.replaces == replaces


def test_the_same_arguments_are_no_difference(configured: Plugin) -> None:
    assert not configured.diff_config({"kubeconfig": kubeconfig()}, {"kubeconfig": kubeconfig()}).changes


def test_a_kubeconfig_may_be_a_file_or_the_text_itself(plugin_path: Path, cluster: Cluster, namespace: str) -> None:
    for given in (str(cluster.kubeconfig), cluster.kubeconfig.read_text()):
        with Plugin(plugin_path) as plugin:
            plugin.configure(kubeconfig=given)
            found = plugin.read(Resource(CONFIG_MAP, "a", f"{namespace}/kube-root-ca.crt", {}))
            assert found is not None


def test_the_ambient_kubeconfig_is_used_when_none_is_given(plugin_path: Path, cluster: Cluster, tmp_path: Path) -> None:
    environ = {"KUBECONFIG": str(cluster.kubeconfig), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    with Plugin(plugin_path, environ=environ) as plugin:
        plugin.configure()
        assert plugin.read(Resource("kubernetes:core/v1:Namespace", "a", "default", {})) is not None


def test_the_providers_namespace_is_where_objects_go_by_default(plugin_path: Path, cluster: Cluster) -> None:
    with Plugin(plugin_path) as plugin:
        plugin.configure(kubeconfig=str(cluster.kubeconfig), namespace="elsewhere")
        assert plugin.check(CONFIG_MAP, "a", {})["metadata"]["namespace"] == "elsewhere"


def test_the_contexts_namespace_is_the_default_too(plugin_path: Path, cluster: Cluster) -> None:
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = "from-context"
    with Plugin(plugin_path) as plugin:
        plugin.configure(kubeconfig=json.dumps(config))
        assert plugin.check(CONFIG_MAP, "a", {})["metadata"]["namespace"] == "from-context"


@pytest.mark.parametrize("given", [kubeconfig(), "no kubeconfig at all: ["], ids=["nobody-listens", "not-a-kubeconfig"])
def test_without_a_cluster_previews_work_and_changes_are_refused_with_the_reason(plugin_path: Path, given: str) -> None:
    with Plugin(plugin_path) as plugin:
        plugin.configure(kubeconfig=given)
        inputs = plugin.check(CONFIG_MAP, "a", config_map())
        assert plugin.create(CONFIG_MAP, "a", inputs, preview=True).state == inputs
        with pytest.raises(Failed, match="configured Kubernetes cluster is unreachable"):
            plugin.create(CONFIG_MAP, "a", inputs)
        known = Resource(CONFIG_MAP, "a", "default/a", inputs | {"__inputs": inputs}, inputs)
        assert not plugin.diff(known, inputs).changes
        for operation in (plugin.read, plugin.delete):
            with pytest.raises(Failed, match="PULUMI_K8S_DELETE_UNREACHABLE"):
                operation(known)


def test_a_cluster_that_was_deleted_can_be_forgotten(plugin_path: Path) -> None:
    with Plugin(plugin_path) as plugin:
        plugin.configure(kubeconfig=kubeconfig(), deleteUnreachable="true")
        inputs = plugin.check(CONFIG_MAP, "a", config_map())
        known = Resource(CONFIG_MAP, "a", "default/a", inputs | {"__inputs": inputs}, inputs)
        assert plugin.read(known) is None
        plugin.delete(known)
        assert any("Deleting the unreachable resource" in line for line in plugin.engine.said("info"))


def test_a_release_is_previewed_without_a_cluster_but_not_installed(plugin_path: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "Chart.yaml").write_text("apiVersion: v2\nname: demo\nversion: 1.2.3\n")
    with Plugin(plugin_path, folder=tmp_path) as plugin:
        plugin.configure(kubeconfig=kubeconfig())
        inputs = plugin.check(RELEASE, "demo", {"chart": "./demo", "name": "demo", "namespace": "n"})
        assert inputs["version"] == "1.2.3"
        assert plugin.create(RELEASE, "demo", inputs, preview=True).state["status"] == UNKNOWN
        with pytest.raises(Failed, match="unreachable cluster"):
            plugin.create(RELEASE, "demo", inputs)


def test_strict_mode_wants_to_know_which_cluster(configured: Plugin) -> None:

    def failures(news: Tree) -> list[str]:
        request = provider_pb2.CheckRequest(urn=urn("pulumi:providers:kubernetes", "explicit"), news=encode(news))
        return sorted(failure.property for failure in configured.call("CheckConfig", request).failures)

    assert failures({"strictMode": "true"}) == ["context", "kubeconfig"]
    assert failures({"strictMode": "true", "kubeconfig": kubeconfig(), "context": "a"}) == []
    assert failures({}) == []


def test_a_plugin_whose_engine_was_killed_ends_by_itself(plugin_path: Path, kubernetes_plugin: Tools) -> None:
    if kubernetes_plugin.kubernetes.real:
        pytest.skip("the real plugin looks for its engine only every few minutes")
    with Plugin(plugin_path) as plugin:
        assert plugin.leave() == 0
