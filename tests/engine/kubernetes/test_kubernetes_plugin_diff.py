"""Which properties differ, how, and which of them Kubernetes can only change by a new object."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.engine.kubernetes.protocol import UNKNOWN, Plugin, Resource, Tree, secret

pytestmark = pytest.mark.engine

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
ROUTE = "kubernetes:absent.example.com/v1:Route"

LABELS = {"app": "a"}
POD = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}}


def stored(token: str, inputs: Tree, live: Tree | None = None) -> Resource:
    """A resource as if it had been created: what the server added is `live`."""
    state = copy.deepcopy(inputs) | (live or {})
    state |= {"__inputs": inputs, "__initialApiVersion": inputs["apiVersion"], "__fieldManager": "pulumi-kubernetes-1"}
    metadata = state["metadata"]
    return Resource(token, "a", f"{metadata.get('namespace', '')}/{metadata['name']}", state, inputs)


def difference(plugin: Plugin, token: str, before: Tree, after: Tree) -> Any:
    """The diff between two programs."""
    olds = plugin.check(token, "a", before)
    return plugin.diff(stored(token, olds), plugin.check(token, "a", after, olds=olds))


def named(**more: Any) -> Tree:
    return {"metadata": {"name": "a", "namespace": "n"}} | more


def route(*weights: int, **more: Any) -> Tree:
    destinations = [{"destination": {"host": "x", "subset": f"v{i}"}, "weight": w} for i, w in enumerate(weights)]
    return named(spec={"hosts": ["x"], "http": [{"route": destinations}]} | more)


def test_the_same_program_is_no_difference(plugin: Plugin) -> None:
    found = difference(plugin, ROUTE, route(95, 5), route(95, 5))
    assert not found.changes
    assert found.kinds == {}


def test_a_weight_that_moves_is_two_changed_weights_and_nothing_else(plugin: Plugin) -> None:
    found = difference(plugin, ROUTE, route(95, 5), route(75, 25))
    assert found.kinds == {"spec.http[0].route[0].weight": "update", "spec.http[0].route[1].weight": "update"}
    assert found.replaces == []


def test_added_and_removed_elements_and_keys_are_told_apart(plugin: Plugin) -> None:
    assert difference(plugin, ROUTE, route(100), route(95, 5)).kinds == {
        "spec.http[0].route[0].weight": "update",
        "spec.http[0].route[1]": "add",
    }
    assert difference(plugin, ROUTE, route(95, 5), route(95)).kinds == {"spec.http[0].route[1]": "delete"}
    assert difference(plugin, ROUTE, route(1), route(1, gateways=["mesh"])).kinds == {"spec.gateways": "add"}
    assert difference(plugin, ROUTE, route(1, gateways=["mesh"]), route(1)).kinds == {"spec.gateways": "delete"}


def test_keys_with_dots_are_quoted_in_paths(plugin: Plugin) -> None:
    before = {"metadata": {"name": "a", "annotations": {"example.com/a": "1"}}}
    after = {"metadata": {"name": "a", "annotations": {"example.com/a": "2"}}}
    assert difference(plugin, ROUTE, before, after).kinds == {'metadata.annotations["example.com/a"]': "update"}


def test_what_the_server_filled_in_is_no_difference(plugin: Plugin) -> None:
    inputs = plugin.check(SERVICE, "a", named(spec={"selector": LABELS, "ports": [{"port": 80}]}))
    live = copy.deepcopy(inputs["spec"]) | {"clusterIP": "10.0.0.1", "type": "ClusterIP"}
    live["ports"][0] |= {"protocol": "TCP", "targetPort": 80}
    assert not plugin.diff(stored(SERVICE, inputs, {"spec": live}), inputs).changes


def test_what_someone_changed_in_the_cluster_is_a_difference(plugin: Plugin) -> None:
    inputs = plugin.check(ROUTE, "a", route(95, 5))
    live = copy.deepcopy(inputs["spec"])
    live["http"][0]["route"][1]["weight"] = 54
    found = plugin.diff(stored(ROUTE, inputs, {"spec": live}), inputs)
    assert found.kinds == {"spec.http[0].route[1].weight": "update"}


def test_a_value_that_is_not_known_yet_is_a_change(plugin: Plugin) -> None:
    before = named(data={"a": "1"})
    found = difference(plugin, ROUTE, named(spec={"a": "1"}), named(spec={"a": UNKNOWN}))
    assert found.kinds == {"spec.a": "update"}
    assert difference(plugin, CONFIG_MAP, before, named(data={"a": UNKNOWN})).kinds == {"data.a": "update_replace"}


def test_ignored_properties_are_no_difference(plugin: Plugin) -> None:
    olds = plugin.check(ROUTE, "a", route(95, 5))
    news = plugin.check(ROUTE, "a", route(75, 25), olds=olds)
    resource = stored(ROUTE, olds)
    assert plugin.diff(resource, news, ignore=("spec.http[0].route[1].weight",)).kinds == {
        "spec.http[0].route[0].weight": "update"
    }
    assert not plugin.diff(resource, news, ignore=("spec.http",)).changes


@pytest.mark.parametrize(
    ("token", "before", "after", "replaces"),
    [
        pytest.param(ROUTE, route(1), {"metadata": {"name": "b", "namespace": "n"}} | {"spec": route(1)["spec"]},
                     ["metadata.name"], id="name"),
        pytest.param(ROUTE, route(1), {"metadata": {"name": "a", "namespace": "m"}} | {"spec": route(1)["spec"]},
                     ["metadata.namespace"], id="namespace"),
        pytest.param(DEPLOYMENT, named(spec={"selector": {"matchLabels": LABELS}, "template": POD}),
                     named(spec={"selector": {"matchLabels": {"app": "b"}}, "template": POD}),
                     ["spec.selector.matchLabels.app"], id="deployment-selector"),
        pytest.param(DEPLOYMENT, named(spec={"replicas": 1, "selector": {"matchLabels": LABELS}, "template": POD}),
                     named(spec={"replicas": 2, "selector": {"matchLabels": LABELS}, "template": POD}),
                     [], id="deployment-replicas"),
        pytest.param(SERVICE, named(spec={"clusterIP": "None"}), named(spec={"clusterIP": "10.0.0.7"}),
                     ["spec.clusterIP"], id="service-address"),
        pytest.param(SERVICE, named(spec={"selector": LABELS}), named(spec={"selector": {"app": "b"}}),
                     [], id="service-selector"),
        pytest.param(CONFIG_MAP, named(data={"a": "1"}), named(data={"a": "2"}), ["data.a"], id="configmap-data"),
        pytest.param(CONFIG_MAP, named(data={"a": "1"}), named(data={"a": "1", "b": "2"}), ["data.b"],
                     id="configmap-key"),
        pytest.param(CONFIG_MAP, {"metadata": {"name": "a", "labels": {"x": "1"}}},
                     {"metadata": {"name": "a", "labels": {"x": "2"}}}, [], id="configmap-label"),
        pytest.param(SECRET, named(stringData={"a": secret("1")}), named(stringData={"a": secret("2")}), ["data.a"],
                     id="secret-data"),
        pytest.param(SECRET, named(type="a/b"), named(type="c/d"), ["type"], id="secret-type"),
        pytest.param("kubernetes:batch/v1:Job", named(spec={"template": {"spec": {"containers": [{"image": "a:1"}]}}}),
                     named(spec={"template": {"spec": {"containers": [{"image": "a:2"}]}}}),
                     ["spec.template.spec.containers[0].image"], id="job-template"),
        pytest.param("kubernetes:core/v1:PersistentVolumeClaim", named(spec={"storageClassName": "x"}),
                     named(spec={"storageClassName": "y"}), ["spec.storageClassName"], id="claim-class"),
        pytest.param("kubernetes:core/v1:PersistentVolumeClaim",
                     named(spec={"resources": {"requests": {"storage": "1Gi"}}}),
                     named(spec={"resources": {"requests": {"storage": "2Gi"}}}), [], id="claim-size"),
        pytest.param("kubernetes:storage.k8s.io/v1:StorageClass", {"metadata": {"name": "a"}, "provisioner": "x"},
                     {"metadata": {"name": "a"}, "provisioner": "y"}, ["provisioner"], id="storage-class"),
        pytest.param("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding",
                     named(roleRef={"kind": "Role", "name": "x", "apiGroup": "rbac.authorization.k8s.io"}),
                     named(roleRef={"kind": "Role", "name": "y", "apiGroup": "rbac.authorization.k8s.io"}),
                     ["roleRef.name"], id="role-binding"),
        pytest.param("kubernetes:core/v1:Pod", named(spec={"containers": [{"name": "c", "image": "a:1"}]}),
                     named(spec={"containers": [{"name": "c", "image": "a:2"}]}), ["spec.containers[0].image"],
                     id="pod-image"),
        pytest.param("kubernetes:apps/v1:StatefulSet", named(spec={"serviceName": "x"}),
                     named(spec={"serviceName": "y"}), ["spec.serviceName"], id="statefulset-service"),
    ],
)  # fmt: skip
def test_only_what_kubernetes_cannot_change_replaces(
    plugin: Plugin, token: str, before: Tree, after: Tree, replaces: list[str]
) -> None:
    found = difference(plugin, token, before, after)
    assert found.changes
    assert sorted(found.replaces) == replaces
    assert {path for path, kind in found.kinds.items() if kind.endswith("_replace")} == set(replaces)


def test_a_fixed_name_is_freed_before_the_replacement_takes_it(plugin: Plugin) -> None:
    assert difference(plugin, CONFIG_MAP, named(data={"a": "1"}), named(data={"a": "2"})).delete_before_replace
    elsewhere = {"metadata": {"name": "a", "namespace": "m"}, "data": {"a": "1"}}
    assert not difference(plugin, CONFIG_MAP, named(data={"a": "1"}), elsewhere).delete_before_replace


def test_a_generated_name_lets_the_replacement_come_first(plugin: Plugin) -> None:
    found = difference(plugin, CONFIG_MAP, {"data": {"a": "1"}}, {"data": {"a": "2"}})
    assert found.replaces == ["data.a"]
    assert not found.delete_before_replace


def test_a_namespace_said_or_left_out_is_the_same(plugin: Plugin) -> None:
    olds = plugin.check(CONFIG_MAP, "a", {"metadata": {"name": "a"}})
    news = plugin.check(CONFIG_MAP, "a", {"metadata": {"name": "a", "namespace": "default"}}, olds=olds)
    assert not plugin.diff(stored(CONFIG_MAP, olds), news).changes
