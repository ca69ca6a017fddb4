"""The program writes Kubernetes objects with the API's own keys; a misspelt one would be lost without a word."""

import typing
from typing import Any

import pulumi_kubernetes as kubernetes
import pytest
from pulumi import _types

from infra.objects import type_token
from tests.components.conftest import Program, Record
from tests.components.test_program import deploy

CLASSES: dict[str, Any] = {
    "kubernetes:core/v1:Namespace": kubernetes.core.v1.NamespaceInitArgs,
    "kubernetes:core/v1:Secret": kubernetes.core.v1.SecretInitArgs,
    "kubernetes:core/v1:ConfigMap": kubernetes.core.v1.ConfigMapInitArgs,
    "kubernetes:core/v1:Service": kubernetes.core.v1.ServiceInitArgs,
    "kubernetes:core/v1:ServiceAccount": kubernetes.core.v1.ServiceAccountInitArgs,
    "kubernetes:apps/v1:Deployment": kubernetes.apps.v1.DeploymentInitArgs,
    "kubernetes:autoscaling/v2:HorizontalPodAutoscaler": kubernetes.autoscaling.v2.HorizontalPodAutoscalerInitArgs,
    "kubernetes:helm.sh/v3:Release": kubernetes.helm.v3.ReleaseArgs,
    "kubernetes:policy/v1:PodDisruptionBudget": kubernetes.policy.v1.PodDisruptionBudgetInitArgs,
}


@pytest.fixture(scope="module")
def tokens() -> dict[str, str]:
    return {
        "kubernetes:core/v1:Service": type_token("v1", "Service"),
        "kubernetes:apps/v1:Deployment": type_token("apps/v1", "Deployment"),
        "kubernetes:networking.istio.io/v1:VirtualService": type_token("networking.istio.io/v1", "VirtualService"),
    }


def test_objects_have_the_types_that_state_and_plugin_know_them_by(tokens: dict[str, str]) -> None:
    assert all(expected == made for expected, made in tokens.items())


def test_no_key_of_an_object_is_misspelt(record: Record) -> None:
    versions = {
        "v1": {"model": 1, "gpu": 1, "batching": {}, "autoscaling": {}},
        "v2": {"model": 2, "replicas": 3},
    }
    program: Program = deploy(
        record, models={"inception": {"path": "gs://my-models/inception", "callers": "any", "versions": versions}}
    )
    assert {resource.token for resource in program.resources} >= set(CLASSES)
    checked = 0
    for resource in program.resources:
        if resource.token in CLASSES:
            checked += check(CLASSES[resource.token], resource.inputs, resource.name)
    assert checked > 100


def check(declared: Any, value: Any, path: str) -> int:
    """Hold a value against a class of pulumi_kubernetes; return how many keys were compared."""
    if not _types.is_input_type(declared):
        return 0
    keys = {pulumi: python for python, pulumi in _types.input_type_py_to_pulumi_names(declared).items()}
    hints = _types.input_type_types(declared)
    assert set(value) <= set(keys), f"{path}: {sorted(set(value) - set(keys))}"
    count = len(value)
    for key, item in value.items():
        inner = unwrapped(hints[keys[key]] if keys[key] in hints else hints[key])
        items = item if isinstance(item, list) else [item]
        for each in items:
            if isinstance(each, dict) and inner is not None:
                count += check(inner, each, f"{path}.{key}")
    return count


def unwrapped(hint: Any) -> Any:
    """Return the input class inside Optional, Input and Sequence, or None where there is none."""
    if _types.is_input_type(hint):
        return hint
    for part in typing.get_args(hint):
        found = unwrapped(part)
        if found is not None:
            return found
    return None


def test_a_misspelt_key_would_be_found_however_deep() -> None:
    container = {"name": "serving", "readinessProbe": {"httpGet": {"path": "/", "prot": 8501}}}
    manifest = {"spec": {"template": {"spec": {"containers": [container]}}}}
    with pytest.raises(AssertionError, match="prot"):
        check(CLASSES["kubernetes:apps/v1:Deployment"], manifest, "deployment")
