"""Twenty models of three versions: one `up` brings them all, and a step of one of them is still one resource."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from rollout.proxies import proxy_weights
from tests.e2e.conftest import ANSWERS, MODEL, NAMESPACE, Cluster, Stack, wait_for

pytestmark = pytest.mark.e2e

MODELS = [MODEL, *(f"many-{number:02}" for number in range(1, 20))]
VERSIONS = ("v1", "v2", "v3")
STEPPED = "many-07"
# Deployments are waited for and deleted side by side; Pulumi's own default is four a core.
TOGETHER = ("--parallel", "64")


def host(model: str) -> str:
    return f"{model}.{NAMESPACE}.svc.cluster.local"


def many() -> dict[str, Any]:
    """Return a `models` value of pods so small that 60 of them fit on the node, and patient with a busy machine."""
    tiny = {"requests": {"cpu": "1m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}}
    versions = {
        name: {"model": int(name[1:]), "replicas": 1, "loadTimeoutSeconds": 240, "resources": tiny} for name in VERSIONS
    }
    # A removed pod stays for as long as a request may take.
    return {
        name: {"path": "/models/half_plus", "callers": "any", "timeoutSeconds": 5, "versions": versions}
        for name in MODELS
    }


@pytest.fixture
def twenty(stack: Stack) -> Iterator[Stack]:
    before = stack.file.read_text()
    stack.set(models=many(), v2Weight=None, **{f"{MODEL}:v2Weight": stack.get("v2Weight")})
    yield stack
    stack.file.write_text(before)
    stack.up(*TOGETHER)


def routes(cluster: Cluster) -> dict[str, str]:
    """Return the version of each route in the cluster, by model."""
    group = ("networking.istio.io", "v1", NAMESPACE, "virtualservices")
    found = cluster.objects.list_namespaced_custom_object(*group)["items"]
    return {route["metadata"]["name"]: route["metadata"]["resourceVersion"] for route in found}


def answers(cluster: Cluster, model: str) -> set[str]:
    """Send a few requests to a model; return the versions that answered, and fail unless all are answered."""
    report = cluster.send(16, url=f"http://{host(model)}:8501/v1/models/{model}:predict")
    assert all(answer["status"] == 200 for answer in report["answers"]), report
    versions = {value: version for version, value in ANSWERS.items()}
    return {versions[json.loads(answer["body"])["predictions"][0]] for answer in report["answers"]}


def test_twenty_models_come_up_at_once_and_a_step_of_one_is_one_resource(twenty: Stack, cluster: Cluster) -> None:
    twenty.up(*TOGETHER)
    ready = {each.metadata.name: each.status.ready_replicas for each in deployments(cluster)}
    assert ready == {f"{model}-{version}": 1 for model in MODELS for version in VERSIONS}
    assert {model: answers(cluster, model) for model in MODELS if model != MODEL} == {
        model: {"v1"} for model in MODELS if model != MODEL
    }

    pods, before = cluster.pods(NAMESPACE, "istio-system"), routes(cluster)
    twenty.set(**{f"{STEPPED}:v2Weight": 100})
    stepped = twenty.up()
    assert stepped.changes["updated"] == 1
    assert set(stepped.changes) == {"updated", "unchanged"}
    after = routes(cluster)
    assert before.keys() == after.keys() == set(MODELS)
    assert {model for model in MODELS if after[model] != before[model]} == {STEPPED}
    assert cluster.pods(NAMESPACE, "istio-system") == pods

    caller = cluster.caller()
    wait_for(
        lambda: proxy_weights(cluster.core, "callers", caller, host(STEPPED), 8501) == {"v2": 100},
        "the calling proxy to have the step",
    )
    assert answers(cluster, STEPPED) == {"v2"}
    assert answers(cluster, "many-13") == {"v1"}


def deployments(cluster: Cluster) -> list[Any]:
    return list(cluster.apps.list_namespaced_deployment(NAMESPACE).items)
