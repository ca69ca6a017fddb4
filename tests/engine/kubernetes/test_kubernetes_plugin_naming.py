"""Names, namespaces and what else a check adds to what the program says."""

from __future__ import annotations

import re

import pytest

from tests.engine.kubernetes.protocol import UNKNOWN, Failed, Plugin, is_secret, reveal, secret

pytestmark = pytest.mark.engine

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
SECRET = "kubernetes:core/v1:Secret"
AUTONAMED = "pulumi.com/autonamed"


def test_an_unnamed_object_gets_the_resource_name_with_a_suffix_and_says_so(plugin: Plugin) -> None:
    inputs = plugin.check(CONFIG_MAP, "settings", {"data": {"a": "1"}}, seed=b"seed")
    assert re.fullmatch(r"settings-[0-9a-f]{8}", inputs["metadata"]["name"])
    assert inputs["metadata"]["annotations"] == {AUTONAMED: "true"}


def test_the_suffix_follows_from_the_engines_seed(plugin: Plugin) -> None:
    names = [plugin.check(CONFIG_MAP, "x", {}, seed=seed)["metadata"]["name"] for seed in (b"1", b"1", b"2")]
    assert names[0] == names[1] != names[2]


def test_a_generated_name_is_kept_by_the_next_check(plugin: Plugin) -> None:
    first = plugin.check(CONFIG_MAP, "settings", {"data": {"a": "1"}})
    again = plugin.check(CONFIG_MAP, "settings", {"data": {"a": "2"}}, olds=first)
    assert again["metadata"]["name"] == first["metadata"]["name"]
    assert again["metadata"]["annotations"] == {AUTONAMED: "true"}


def test_a_fixed_name_is_left_alone_and_not_marked(plugin: Plugin) -> None:
    inputs = plugin.check(CONFIG_MAP, "settings", {"metadata": {"name": "mine"}})
    assert inputs["metadata"] == {"name": "mine", "namespace": "default"}


def test_a_name_that_is_not_known_yet_is_a_name(plugin: Plugin) -> None:
    inputs = plugin.check(CONFIG_MAP, "settings", {"metadata": {"name": UNKNOWN}})
    assert inputs["metadata"]["name"] == UNKNOWN
    assert AUTONAMED not in inputs["metadata"].get("annotations", {})


def test_generate_name_is_refused(plugin: Plugin) -> None:
    with pytest.raises(Failed, match="generateName` field is not supported in Server-Side Apply mode"):
        plugin.check(CONFIG_MAP, "settings", {"metadata": {"generateName": "settings-"}})


def test_only_namespaced_kinds_get_the_default_namespace(plugin: Plugin) -> None:
    assert plugin.check(CONFIG_MAP, "a", {})["metadata"]["namespace"] == "default"
    assert "namespace" not in plugin.check("kubernetes:core/v1:Namespace", "a", {})["metadata"]
    token = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRole"
    assert "namespace" not in plugin.check(token, "a", {})["metadata"]


def test_a_custom_resource_without_a_definition_is_taken_for_namespaced(plugin: Plugin) -> None:
    inputs = plugin.check("kubernetes:absent.example.com/v1:Thing", "a", {"spec": {"weight": 1}})
    assert inputs["metadata"]["namespace"] == "default"
    assert inputs["spec"] == {"weight": 1}


def test_equal_quantities_written_differently_are_brought_into_one_form(plugin: Plugin) -> None:
    container = {"name": "a", "image": "a", "resources": {"requests": {"cpu": "1000m"}}}
    pod = plugin.check("kubernetes:core/v1:Pod", "a", {"spec": {"containers": [container]}})
    assert pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "1"


def test_the_data_of_a_secret_is_secret_even_when_the_program_does_not_say_so(plugin: Plugin) -> None:
    inputs = plugin.check(SECRET, "key", {"stringData": {"key": "hunter2"}})
    assert is_secret(inputs["data"])
    assert reveal(inputs["data"]) == {"key": "aHVudGVyMg=="}


def test_a_secret_value_stays_secret_through_a_check_and_its_neighbours_stay_readable(plugin: Plugin) -> None:
    inputs = plugin.check(CONFIG_MAP, "a", {"data": {"token": secret("hunter2"), "host": "example"}})
    assert is_secret(inputs["data"]["token"])
    assert inputs["data"]["host"] == "example"


def test_labels_of_the_program_are_not_added_to(plugin: Plugin) -> None:
    assert "labels" not in plugin.check(CONFIG_MAP, "a", {})["metadata"]


def test_the_old_managed_by_label_is_kept_where_it_was(plugin: Plugin) -> None:
    label = {"app.kubernetes.io/managed-by": "pulumi"}
    olds = plugin.check(CONFIG_MAP, "a", {"metadata": {"name": "a", "labels": label}})
    assert plugin.check(CONFIG_MAP, "a", {"metadata": {"name": "a"}}, olds=olds)["metadata"]["labels"] == label


def test_a_list_kind_is_refused(plugin: Plugin) -> None:
    with pytest.raises(Failed, match="cannot be created directly"):
        plugin.check("kubernetes:core/v1:ConfigMapList", "a", {"items": []})
