"""How many pods a version has, and what a pod that loads, comes or goes means to callers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from kubernetes import client

from tests.e2e.conftest import ANSWERS, MODEL, NAMESPACE, Cluster, Stack, answered, models, settle, wait_for

pytestmark = pytest.mark.e2e

BATCH = 450  # requests, at 150 a second


@dataclass
class Load:
    """Requests that are sent while something else happens.

    Attributes:
        counts: answers by version of the batches that have ended.
        wrong: what was wrong with a batch.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ANSWERS, 0))
    wrong: list[BaseException] = field(default_factory=list)


@contextmanager
def load(cluster: Cluster, *extra: str) -> Iterator[Load]:
    """Send 150 requests a second from the calling pod until the end of the block; each must be answered."""
    # An exec changes its client for a moment, so the requests have one of their own.
    own = replace(cluster, core=client.CoreV1Api(client.ApiClient()))
    running, found = threading.Event(), Load()

    def send() -> None:
        try:
            while not running.is_set():
                for version, count in answered(own.send(BATCH, "--rate", "150", *extra)).items():
                    found.counts[version] += count
        except BaseException as error:  # noqa: BLE001 - the test's thread tells it
            found.wrong.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield found
    finally:
        running.set()
        thread.join()
    for error in found.wrong:
        raise error


def without_retries(*versions: str, **changes: Any) -> dict[str, Any]:
    """A `models` value in which nothing is tried again, so that every failure is seen."""
    return {MODEL: models(versions)[MODEL] | {"retries": 0} | changes}


def loading_seconds(cluster: Cluster, version: str) -> float:
    """How long the pod of a version ran before it was ready."""
    (pod,) = cluster.staying(NAMESPACE, f"app={MODEL},version={version}")
    ready = next(each.last_transition_time for each in pod.status.conditions if each.type == "Ready")
    (status,) = pod.status.container_statuses
    return float((ready - status.state.running.started_at).total_seconds())


def test_a_version_that_loads_gets_no_request_until_it_is_available(stack: Stack, cluster: Cluster) -> None:
    stack.set(models=without_retries("v1", "v2"), v2Weight=None)
    stack.up()
    settle(cluster, {"v1": 100})
    with load(cluster) as sent:
        stack.set(models=without_retries("v1", "v2", "v4"), v4Weight=50)
        stack.up()
        settle(cluster, {"v1": 50, "v4": 50})
        before = sent.counts["v4"]
        wait_for(lambda: sent.counts["v4"] > before or bool(sent.wrong), "answers of the new version")
    assert loading_seconds(cluster, "v4") >= 7
    assert sent.counts["v1"] > 7 * 150 / 2, "the load went on while it loaded"


def test_a_version_that_a_match_sent_requests_to_goes_without_losing_one(stack: Stack, cluster: Cluster) -> None:
    to_v3 = [{"header": "x-model-version", "value": "v3", "version": "v3"}]
    stack.set(models=without_retries("v1", "v2", "v3", matches=to_v3), v2Weight=None)
    stack.up()
    wait_for(lambda: cluster.count(100, "--header", "x-model-version=v3")["v3"] == 100, "the match")
    with load(cluster, "--header", "x-model-version=v3") as sent:
        stack.set(models=without_retries("v1", "v2"))
        stack.up()
    assert sent.counts["v3"] > 0
    assert sent.counts["v1"] > 0


def test_a_promotion_is_two_keys_and_loses_no_request(stack: Stack, cluster: Cluster) -> None:
    stack.set(models=without_retries("v1", "v2"), v2Weight=50)
    stack.up()
    settle(cluster, {"v1": 50, "v2": 50})
    pods = cluster.pods(NAMESPACE)
    with load(cluster) as sent:
        stack.set(models=without_retries("v1", "v2", stable="v2"), v2Weight=None)
        assert stack.up().changes["updated"] == 1
        settle(cluster, {"v2": 100})
    assert cluster.count(500)["v2"] == 500
    assert cluster.pods(NAMESPACE) == pods
    assert sent.counts["v2"] > 0


def test_an_autoscaler_takes_over_the_pods_that_are_there_and_gives_them_back(stack: Stack, cluster: Cluster) -> None:
    name = f"{MODEL}-v2"
    autoscalers: Any = client.AutoscalingV2Api()
    budgets: Any = client.PolicyV1Api()

    def pods() -> set[str]:
        return {each.metadata.uid for each in cluster.staying(NAMESPACE, f"app={MODEL},version=v2")}

    def count() -> int:
        return int(cluster.apps.read_namespaced_deployment(name, NAMESPACE).spec.replicas)

    stack.set(models=models(["v1", "v2"]))
    stack.up()
    before = pods()
    scaled = models(["v1", "v2"], v2={"autoscaling": {"min": 2, "max": 3}})
    del scaled[MODEL]["versions"]["v2"]["replicas"]
    stack.set(models=scaled)
    stack.up()
    spec = autoscalers.read_namespaced_horizontal_pod_autoscaler(name, NAMESPACE).spec
    assert (spec.scale_target_ref.name, spec.min_replicas, spec.max_replicas) == (name, 2, 3)
    assert budgets.read_namespaced_pod_disruption_budget(name, NAMESPACE).spec.max_unavailable == 1
    # Without a metrics server it keeps within its bounds, and does no more.
    wait_for(lambda: count() == 2, "the autoscaler to want as many as it may have at least")
    assert before <= pods(), "the pods that were there stay"
    assert set(stack.up().changes) == {"unchanged"}
    assert count() == 2, "its count is left alone"

    stack.set(models=models(["v1", "v2"]))
    stack.up()
    assert count() == 1
    with pytest.raises(client.ApiException, match="Not Found"):
        autoscalers.read_namespaced_horizontal_pod_autoscaler(name, NAMESPACE)
