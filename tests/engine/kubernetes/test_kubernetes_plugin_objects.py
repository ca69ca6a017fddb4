"""Objects from their creation to their end, and who may write what in between."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sandbox.pulumi_env import Tools
from tests.engine.kubernetes.cluster import Cluster, Object, eventually, unique
from tests.engine.kubernetes.protocol import (
    UNKNOWN,
    Failed,
    Plugin,
    Resource,
    Tree,
    is_secret,
    plain_text,
    reveal,
    secret,
)

pytestmark = pytest.mark.engine

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
ACCOUNT = "kubernetes:core/v1:ServiceAccount"
QUOTA = "kubernetes:core/v1:LimitRange"


def labelled(namespace: str, name: str = "", **labels: str) -> Tree:
    """Inputs whose labels change in place."""
    metadata: Tree = {"namespace": namespace, "labels": labels}
    return {"metadata": metadata | ({"name": name} if name else {})}


def make(plugin: Plugin, token: str, program: Tree) -> Resource:
    return plugin.create(token, "a", plugin.check(token, "a", program))


def change(plugin: Plugin, resource: Resource, program: Tree, **how: Any) -> Resource:
    return plugin.update(resource, plugin.check(resource.type, "a", program, olds=resource.inputs), **how)


def managers(live: Object) -> set[tuple[str, str]]:
    return {(entry["manager"], entry["operation"]) for entry in live["metadata"].get("managedFields", [])}


def test_a_created_object_is_in_the_cluster_and_its_state_holds_what_the_server_added(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    resource = make(plugin, CONFIG_MAP, {"metadata": {"namespace": namespace}, "data": {"a": "1"}})
    space, name = resource.id.split("/")
    assert space == namespace
    assert resource.state["metadata"]["uid"] == cluster.live("configmap", name, namespace)["metadata"]["uid"]
    assert resource.state["__initialApiVersion"] == "v1"
    assert resource.state["__fieldManager"].startswith("pulumi-kubernetes-")
    assert resource.state["__inputs"] == resource.inputs
    assert not plugin.diff(resource, resource.inputs).changes


def test_an_object_outside_of_namespaces_has_its_bare_name_as_id(plugin: Plugin, cluster: Cluster) -> None:
    resource = make(plugin, "kubernetes:core/v1:Namespace", {"metadata": {"name": unique("plugin-test")}})
    try:
        assert resource.id == resource.inputs["metadata"]["name"]
    finally:
        plugin.delete(resource)
    assert cluster.get("namespace", resource.id) is None


def test_creating_refuses_an_object_that_exists(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    program = {"metadata": {"namespace": namespace, "name": "taken"}, "data": {"a": "1"}}
    cluster.kubectl("create", "configmap", "taken", "-n", namespace, "--from-literal=a=theirs")
    with pytest.raises(Failed, match="already exists") as failed:
        make(plugin, CONFIG_MAP, program)
    assert "pulumi import" in failed.value.message
    assert failed.value.state is None
    assert cluster.live("configmap", "taken", namespace)["data"] == {"a": "theirs"}


def test_a_provider_told_to_upsert_takes_an_existing_object_over(
    plugin_path: Any, cluster: Cluster, namespace: str
) -> None:
    cluster.make(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "taken", "namespace": namespace},
            "data": {"b": "2"},
        }
    )
    with Plugin(plugin_path) as plugin:
        plugin.configure(kubeconfig=str(cluster.kubeconfig), upsertExistingObjects="true")
        make(plugin, CONFIG_MAP, {"metadata": {"namespace": namespace, "name": "taken"}, "data": {"a": "1"}})
    assert cluster.live("configmap", "taken", namespace)["data"] == {"a": "1", "b": "2"}


def test_a_preview_shows_what_the_server_would_add_and_creates_nothing(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    inputs = plugin.check("kubernetes:core/v1:Service", "a", {
        "metadata": {"namespace": namespace, "name": "a"}, "spec": {"ports": [{"port": 80}]},
    })  # fmt: skip
    preview = plugin.create("kubernetes:core/v1:Service", "a", inputs, preview=True)
    assert preview.id == ""
    assert preview.state["spec"]["type"] == "ClusterIP"
    assert "status" not in preview.state
    assert cluster.get("service", "a", namespace) is None


def test_a_preview_with_unknowns_gives_back_the_inputs(plugin: Plugin, namespace: str) -> None:
    inputs = plugin.check(CONFIG_MAP, "a", {"metadata": {"namespace": namespace}, "data": {"a": UNKNOWN}})
    assert plugin.create(CONFIG_MAP, "a", inputs, preview=True).state == inputs


def test_a_preview_in_a_namespace_that_is_still_to_come_gives_back_the_inputs(plugin: Plugin) -> None:
    inputs = plugin.check(CONFIG_MAP, "a", {"metadata": {"namespace": unique("later")}, "data": {"a": "1"}})
    assert plugin.create(CONFIG_MAP, "a", inputs, preview=True).state == inputs


def test_a_preview_of_what_the_server_would_refuse_fails(plugin: Plugin, namespace: str) -> None:
    inputs = plugin.check("kubernetes:core/v1:Service", "a", {
        "metadata": {"namespace": namespace, "name": "a"}, "spec": {"ports": [{"port": 70000}]},
    })  # fmt: skip
    with pytest.raises(Failed, match="must be between 1 and 65535"):
        plugin.create("kubernetes:core/v1:Service", "a", inputs, preview=True)


def test_an_update_changes_what_changed_and_removes_what_the_program_no_longer_says(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    resource = make(plugin, ACCOUNT, labelled(namespace, a="1", b="1"))
    updated = change(plugin, resource, labelled(namespace, a="2"))
    assert cluster.live("serviceaccount", resource.id.split("/")[1], namespace)["metadata"]["labels"] == {"a": "2"}
    assert updated.state["metadata"]["labels"] == {"a": "2"}
    assert updated.state["__fieldManager"] == resource.state["__fieldManager"]


def test_an_update_is_applied_under_the_resources_own_manager(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = make(plugin, ACCOUNT, labelled(namespace, a="1"))
    name = resource.id.split("/")[1]
    assert managers(cluster.live("serviceaccount", name, namespace)) == {("pulumi-kubernetes", "Update")}
    change(plugin, resource, labelled(namespace, a="2"))
    assert managers(cluster.live("serviceaccount", name, namespace)) == {(resource.state["__fieldManager"], "Apply")}


def test_a_previewed_update_changes_nothing(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = make(plugin, ACCOUNT, labelled(namespace, a="1"))
    preview = change(plugin, resource, labelled(namespace, a="2"), preview=True)
    assert preview.state["metadata"]["labels"] == {"a": "2"}
    assert cluster.live("serviceaccount", resource.id.split("/")[1], namespace)["metadata"]["labels"] == {"a": "1"}


def test_what_others_manage_survives_an_update(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = make(plugin, ACCOUNT, labelled(namespace, a="1"))
    name = resource.id.split("/")[1]
    cluster.patch("serviceaccount", name, namespace, {"metadata": {"labels": {"theirs": "1"}}}, "--field-manager=other")
    change(plugin, resource, labelled(namespace, a="2"))
    assert cluster.live("serviceaccount", name, namespace)["metadata"]["labels"] == {"a": "2", "theirs": "1"}


def taken_by_other(plugin: Plugin, cluster: Cluster, namespace: str) -> Resource:
    """A resource, updated once, whose label someone else has taken since."""
    resource = change(plugin, make(plugin, ACCOUNT, labelled(namespace, a="1")), labelled(namespace, a="2"))
    name = resource.id.split("/")[1]
    cluster.patch("serviceaccount", name, namespace, {"metadata": {"labels": {"a": "3"}}}, "--field-manager=other")
    return resource


def test_a_field_that_someone_else_has_taken_is_a_conflict_that_names_them(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    resource = taken_by_other(plugin, cluster, namespace)
    with pytest.raises(Failed) as failed:
        change(plugin, resource, labelled(namespace, a="4"))
    assert "server-side apply field conflict detected" in failed.value.message
    assert "#handle-field-conflicts-on-existing-resources" in failed.value.message
    assert 'conflict with "other"' in failed.value.message
    assert failed.value.id == resource.id
    live = cluster.live("serviceaccount", resource.id.split("/")[1], namespace)
    assert live["metadata"]["labels"] == {"a": "3"}


def test_a_conflict_shows_in_the_preview_already(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = taken_by_other(plugin, cluster, namespace)
    with pytest.raises(Failed, match="field conflict detected"):
        change(plugin, resource, labelled(namespace, a="4"), preview=True)


def test_patch_force_takes_the_field_back(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = taken_by_other(plugin, cluster, namespace)
    program = labelled(namespace, a="4")
    program["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}
    change(plugin, resource, program, preview=True)
    change(plugin, resource, program)
    live = cluster.live("serviceaccount", resource.id.split("/")[1], namespace)
    assert live["metadata"]["labels"] == {"a": "4"}


def test_what_was_edited_with_kubectl_is_put_back(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = change(plugin, make(plugin, ACCOUNT, labelled(namespace, a="1")), labelled(namespace, a="2"))
    name = resource.id.split("/")[1]
    cluster.patch("serviceaccount", name, namespace, {"metadata": {"labels": {"a": "3"}}})
    change(plugin, resource, labelled(namespace, a="2"))
    assert cluster.live("serviceaccount", name, namespace)["metadata"]["labels"] == {"a": "2"}


def test_an_ignored_property_stays_as_it_is_in_the_cluster(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = make(plugin, ACCOUNT, labelled(namespace, a="1", b="1"))
    name = resource.id.split("/")[1]
    cluster.patch("serviceaccount", name, namespace, {"metadata": {"labels": {"a": "theirs"}}})
    change(plugin, resource, labelled(namespace, a="1", b="2"), ignore=("metadata.labels.a",))
    live = cluster.live("serviceaccount", name, namespace)
    assert live["metadata"]["labels"] == {"a": "theirs", "b": "2"}


def test_the_manager_can_be_named_by_the_program(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    program = labelled(namespace, a="1")
    program["metadata"]["annotations"] = {"pulumi.com/patchFieldManager": "mine"}
    resource = make(plugin, ACCOUNT, program)
    program["metadata"]["labels"] = {"a": "2"}
    change(plugin, resource, program)
    live = cluster.live("serviceaccount", resource.id.split("/")[1], namespace)
    assert ("mine", "Apply") in managers(live)


def test_a_custom_resource_waits_for_its_definition(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    with cluster.definition() as definition:
        program = {"metadata": {"namespace": namespace, "name": "r"}, "spec": {"weight": 5}}
        inputs = plugin.check(definition.token, "a", program)
        assert plugin.create(definition.token, "a", inputs, preview=True).state == inputs
        with ThreadPoolExecutor(1) as meanwhile:
            created = meanwhile.submit(plugin.create, definition.token, "a", inputs)
            eventually(lambda: plugin.engine.said("info"), "the plugin says that it tries again")
            definition.create(cluster)
            resource = created.result()
        assert resource.state["spec"] == {"weight": 5}
        inputs = plugin.check(definition.token, "a", program | {"spec": {"weight": 25}}, olds=resource.inputs)
        assert plugin.update(resource, inputs).state["spec"] == {"weight": 25}


def test_a_custom_resource_whose_definition_went_away_is_gone(
    plugin: Plugin, cluster: Cluster, namespace: str, plugin_path: Any
) -> None:
    with cluster.definition() as definition:
        definition.create(cluster)
        resource = plugin.create(
            definition.token, "a", plugin.check(definition.token, "a", {"metadata": {"namespace": namespace}})
        )
        cluster.kubectl("delete", "crd", definition.name)
        with Plugin(plugin_path) as later:  # a later run knows nothing of what was served before
            later.configure(kubeconfig=str(cluster.kubeconfig))
            assert later.read(resource) is None
            later.delete(resource)


def test_a_cluster_scoped_custom_resource_needs_no_namespace(plugin_path: Any, cluster: Cluster) -> None:
    with cluster.definition(namespaced=False) as definition, Plugin(plugin_path) as plugin:
        definition.create(cluster)
        plugin.configure(kubeconfig=str(cluster.kubeconfig))
        inputs = plugin.check(definition.token, "a", {"metadata": {"name": "r"}})
        assert inputs["metadata"] == {"name": "r"}
        assert plugin.create(definition.token, "a", inputs).id == "r"


def test_a_definition_that_is_updated_is_replaced_as_a_whole(plugin: Plugin, cluster: Cluster) -> None:
    with cluster.definition() as definition:
        token = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
        manifest = definition.manifest
        resource = make(plugin, token, manifest)
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{definition.name}", "--timeout=30s")
        manifest["spec"]["names"]["shortNames"] = ["rt"]
        updated = change(plugin, resource, manifest)
        assert updated.state["spec"]["names"]["shortNames"] == ["rt"]
        schema = updated.state["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert schema["properties"]["spec"]["x_kubernetes_preserve_unknown_fields"] is True


def test_the_data_of_a_secret_is_in_no_plain_state(plugin: Plugin, namespace: str) -> None:
    resource = make(plugin, SECRET, {"metadata": {"namespace": namespace}, "stringData": {"key": "hunter2"}})
    refreshed = plugin.read(resource)
    assert refreshed is not None
    for tree in (resource.state, resource.inputs, refreshed.state, refreshed.inputs):
        assert is_secret(tree["data"])
        assert "aHVudGVyMg==" not in json.dumps(plain_text(tree))
    assert reveal(resource.state["data"]) == {"key": "aHVudGVyMg=="}


def test_a_secret_value_in_any_object_is_secret_in_its_state(plugin: Plugin, namespace: str) -> None:
    program = {"metadata": {"namespace": namespace}, "data": {"token": secret("hunter2"), "host": "example"}}
    resource = make(plugin, CONFIG_MAP, program)
    assert is_secret(resource.state["data"]["token"])
    assert resource.state["data"]["host"] == "example"
    assert "hunter2" not in json.dumps(plain_text(resource.state))


def test_a_refresh_without_drift_changes_nothing(plugin: Plugin, namespace: str) -> None:
    program = {"metadata": {"namespace": namespace}, "spec": {"ports": [{"port": 80, "name": "http"}]}}
    resource = make(plugin, "kubernetes:core/v1:Service", program)
    refreshed = plugin.read(resource)
    assert refreshed is not None
    assert refreshed.inputs == resource.inputs
    assert refreshed.state["__fieldManager"] == resource.state["__fieldManager"]
    assert not plugin.diff(refreshed, resource.inputs).changes


def test_a_refresh_shows_a_hand_edited_value_among_the_inputs(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    with cluster.definition() as definition:
        definition.create(cluster)
        program = {
            "metadata": {"namespace": namespace, "name": "r"},
            "spec": {"route": [{"weight": 95}, {"weight": 5}]},
        }
        resource = plugin.create(definition.token, "a", plugin.check(definition.token, "a", program))
        edited = {"spec": {"route": [{"weight": 46}, {"weight": 54}], "more": 1}}
        cluster.patch(definition.name, "r", namespace, edited)
        refreshed = plugin.read(resource)
        assert refreshed is not None
        assert refreshed.inputs["spec"] == {"route": [{"weight": 46}, {"weight": 54}]}
        assert plugin.diff(refreshed, resource.inputs).kinds == {
            "spec.route[0].weight": "update",
            "spec.route[1].weight": "update",
        }
        restored = plugin.update(refreshed, resource.inputs)
        assert restored.state["spec"]["route"] == [{"weight": 95}, {"weight": 5}]


def test_a_refresh_of_an_object_that_is_gone_says_so(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = make(plugin, CONFIG_MAP, {"metadata": {"namespace": namespace}})
    cluster.kubectl("delete", "configmap", resource.id.split("/")[1], "-n", namespace)
    assert plugin.read(resource) is None


def test_an_object_can_be_read_by_its_id_alone(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("create", "configmap", "theirs", "-n", namespace, "--from-literal=a=1")
    found = plugin.read(Resource(CONFIG_MAP, "a", f"{namespace}/theirs", {}))
    assert found is not None
    assert found.state["data"] == {"a": "1"}
    assert found.inputs["metadata"] == {"name": "theirs", "namespace": namespace}


def test_deleting_waits_until_the_object_is_gone(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = make(plugin, CONFIG_MAP, {"metadata": {"namespace": namespace}})
    plugin.delete(resource)
    assert cluster.get("configmap", resource.id.split("/")[1], namespace) is None


def test_deleting_what_is_gone_already_is_fine(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    resource = make(plugin, CONFIG_MAP, {"metadata": {"namespace": namespace}})
    cluster.kubectl("delete", "configmap", resource.id.split("/")[1], "-n", namespace)
    plugin.delete(resource)


def test_a_deletion_that_a_finalizer_holds_up_fails_in_time_and_says_what_holds_it(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    program = {"metadata": {"namespace": namespace, "name": "held", "finalizers": ["example.com/held"]}}
    resource = make(plugin, CONFIG_MAP, program)
    try:
        with pytest.raises(Failed, match="timed out waiting for the condition") as failed:
            plugin.delete(resource, timeout=1)
        assert failed.value.state is not None
        assert "finalizers might be preventing deletion (example.com/held)" in plugin.engine.said("warning")
    finally:
        cluster.patch("configmap", "held", namespace, {"metadata": {"finalizers": None}})
    plugin.delete(resource)


def test_dependents_go_first_unless_the_policy_says_otherwise(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    """With the policy `orphan`, what an object owns stays."""
    annotations = {"pulumi.com/deletionPropagationPolicy": "orphan"}
    owner = make(
        plugin, CONFIG_MAP, {"metadata": {"namespace": namespace, "name": "owner", "annotations": annotations}}
    )
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.state["metadata"]["uid"]}
    metadata = {"namespace": namespace, "name": "owned", "ownerReferences": [reference]}
    cluster.make({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    plugin.delete(owner)
    assert "ownerReferences" not in cluster.live("configmap", "owned", namespace)["metadata"]


def test_types_without_code_are_refused_by_name(plugin: Plugin, kubernetes_plugin: Tools) -> None:
    if kubernetes_plugin.kubernetes.real:
        pytest.skip("the real plugin has code for all types")
    with pytest.raises(Failed, match="yaml/v2"):
        plugin.check("kubernetes:yaml/v2:ConfigGroup", "a", {})
