"""What callers notice of faults: of istiod, of the API server, of pods, and of a version that crashes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client
from scipy.stats import binom

from bench import no_loss
from bench.load import NAME, Account, Load
from sandbox import node
from sandbox.state import running_state
from tests.e2e.conftest import MODEL, NAMESPACE, Cluster, Ended, Stack, own_node, put_back, settle, wait_for

RATE = 150  # requests a second, each sent once: nobody retries
ISTIO = "istio-system"
pytestmark = pytest.mark.e2e


def state(weights: dict[str, int], path: str | None = None, replicas: int = 1) -> dict[str, Any]:
    """Return the config of the model of bench/no-loss, with v1 the stable version beside those with weights."""
    own = {name: {"replicas": replicas} for name in ("v1", *weights)}
    config = no_loss.Step("", own, "v1", weights).config()
    if path is not None:
        config["models"][MODEL]["path"] = path
    return config


def load() -> Load:
    return Load(no_loss.URL, no_loss.INPUT, RATE)


def told(account: Account) -> str:
    return "\n".join(f"{each.at} {each.status} {each.reason}" for each in account.failures)


def answering(cluster: Cluster) -> bool:
    try:
        return bool(cluster.core.list_namespaced_pod("kube-system").items)
    except Exception:  # noqa: BLE001 - whatever a server that starts may say
        return False


def ready(cluster: Cluster, namespace: str, name: str, count: int = 1) -> Callable[[], bool]:
    def look() -> bool:
        status = cluster.apps.read_namespaced_deployment(name, namespace).status
        return bool(
            (status.available_replicas or 0) == (status.updated_replicas or 0) == count == (status.replicas or 0)
        )

    return look


def kill_istiod(cluster: Cluster) -> None:
    """End istiod without a word; its Deployment makes another."""
    for pod in cluster.core.list_namespaced_pod(ISTIO, label_selector="app=istiod").items:
        cluster.core.delete_namespaced_pod(pod.metadata.name, ISTIO, grace_period_seconds=0)


def kill_api_server(cluster: Cluster) -> None:
    """End the API server by SIGKILL; kubelet starts it again."""
    (pod,) = cluster.core.list_namespaced_pod("kube-system", label_selector="component=kube-apiserver").items
    container = pod.status.container_statuses[0].container_id.removeprefix("containerd://")
    inside = node.inside(running_state())
    command = [*inside, "ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", container]
    subprocess.run(command, check=True)


def begin(stack: Stack, cluster: Cluster, config: dict[str, Any], version: str, pods: int) -> subprocess.Popen[str]:
    """Begin an `up`; return when it has asked for a version's pods, and the route is still to come."""

    def asked() -> bool:
        found = cluster.apps.list_namespaced_deployment(NAMESPACE).items
        return any(each.metadata.name == f"{MODEL}-{version}" and each.spec.replicas == pods for each in found)

    stack.set(**config)
    started = stack.start("up", "--yes", "--skip-preview")
    wait_for(asked, f"the Deployment of {version}")
    return started


def gone(cluster: Cluster, pod: str) -> bool:
    try:
        cluster.core.read_namespaced_pod(pod, NAMESPACE)
    except client.ApiException as error:
        return bool(error.status == 404)
    return False


@pytest.fixture(scope="module")
def rollout(deployed: Stack, cluster: Cluster) -> Iterator[Stack]:
    """The stack; it is put back after the last of these tests alone, each of which says all that it needs."""
    before = deployed.file.read_text()
    yield deployed
    put_back(deployed, cluster, before)


def test_a_step_ends_when_a_killed_istiod_is_back_and_requests_do_not_wait_for_it(
    rollout: Stack, cluster: Cluster
) -> None:
    rollout.set(**state({"v2": 20}))
    rollout.up()
    with load() as sent:
        step = begin(rollout, cluster, state({"v2": 20, "v3": 10}), "v3", 1)
        kill_istiod(cluster)
        ended = Ended.of(step)
        assert ended.code == 0, ended.text
        # A proxy comes back to istiod by itself, after half a minute at most.
        settle(cluster, {"v1": 70, "v2": 20, "v3": 10}, seconds=60, pod=NAME)
        answers = sent.sent_in(3).answers
    account = sent.since(0)
    assert account.failed == 0, told(account)
    assert set(answers) == set(no_loss.ANSWERS), answers


def test_a_step_without_istiod_fails_by_its_name_and_the_next_up_makes_it(rollout: Stack, cluster: Cluster) -> None:
    rollout.set(**state({"v2": 10, "v3": 0}))
    rollout.up()
    with load() as sent:
        try:
            cluster.apps.patch_namespaced_deployment_scale("istiod", ISTIO, {"spec": {"replicas": 0}})
            kill_istiod(cluster)
            rollout.set(v2Weight=40)
            refused = rollout.up(check=False)
            assert refused.code != 0
            assert "istiod" in refused.text, refused.text
            assert cluster.weights() == {"v1": 90, "v2": 10, "v3": 0}
        finally:
            cluster.apps.patch_namespaced_deployment_scale("istiod", ISTIO, {"spec": {"replicas": 1}})
        wait_for(ready(cluster, ISTIO, "istiod"), "istiod")
        rollout.up()
        settle(cluster, {"v1": 60, "v2": 40}, seconds=60, pod=NAME)
    account = sent.since(0)
    assert account.failed == 0, told(account)


def test_an_up_that_the_api_server_leaves_is_finished_by_the_next(rollout: Stack, cluster: Cluster) -> None:
    own_node("the API server is killed")
    rollout.set(**state({"v2": 40}))
    rollout.up()
    with load() as sent:
        step = begin(rollout, cluster, state({"v2": 50}, replicas=2), "v2", 2)
        kill_api_server(cluster)
        ended = Ended.of(step)
        wait_for(lambda: answering(cluster), "the API server")
        if ended.code != 0:
            print(ended.text)
            rollout.up()
        settle(cluster, {"v1": 50, "v2": 50}, seconds=60, pod=NAME)
    account = sent.since(0)
    assert account.failed == 0, told(account)
    assert set(rollout.up("--refresh").changes) == {"unchanged"}


def test_a_pod_that_is_deleted_takes_no_request_with_it(rollout: Stack, cluster: Cluster) -> None:
    rollout.set(**state({"v2": 50}, replicas=2))
    rollout.up()
    with load() as sent:
        sent.sent_in(1)
        deleted = []
        for version in ("v1", "v2"):
            selector = f"app={MODEL},version={version}"
            pods = cluster.core.list_namespaced_pod(NAMESPACE, label_selector=selector).items
            deleted.append(pods[0].metadata.name)
            cluster.core.delete_namespaced_pod(deleted[-1], NAMESPACE)
        # They serve on for a while, and are killed at the end of their grace period.
        wait_for(lambda: all(gone(cluster, pod) for pod in deleted), "the pods to go")
        sent.sent_in(2)
    account = sent.since(0)
    assert account.failed == 0, told(account)


def test_a_version_that_crashes_at_25_percent_takes_no_more_than_its_share(rollout: Stack, cluster: Cluster) -> None:
    rollout.set(**state({"v2": 0}, path="/models/flaky"))
    rollout.up()
    with load() as sent:
        rollout.set(v2Weight=25)
        rollout.up()
        settle(cluster, {"v1": 75, "v2": 25}, pod=NAME)
        worst = sent.sent_in(15)
        # What docs/canary.md says to run.
        rollout.set(v2Weight=0)
        rollout.up()
        settle(cluster, {"v1": 100}, pod=NAME)
        sent.sent_in(1)
        after = sent.sent_in(3)
    v1, v2, _ = no_loss.ANSWERS
    low, high = binom.interval(0.999, worst.requests, 0.25)
    assert worst.failed > low / 2, "it did not crash often enough to show anything"
    assert worst.failed <= high, told(worst)
    assert low <= worst.requests - worst.answers[v1] <= high
    assert worst.answers[v1] + worst.answers[v2] + worst.failed == worst.requests
    assert after.failed == 0, told(after)
    assert set(after.answers) == {v1}
