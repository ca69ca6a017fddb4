"""When an object counts as ready, how long that may take, and what is said when it does not happen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.kubernetes.cluster import Cluster, Definition, eventually
from tests.engine.kubernetes.protocol import Failed, Plugin, Resource, Tree, reveal

pytestmark = pytest.mark.engine

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"
POD = "kubernetes:core/v1:Pod"
PAUSE = "registry.k8s.io/pause:3.10.1"
REASON = "model server: no versions of servable found"


def server(image: str = PAUSE, **more: Any) -> Tree:
    return {"name": "server", "image": image, "imagePullPolicy": "Never", **more}


def crashing() -> Tree:
    """A container of the node's own DNS image that ends at once and says why in its log."""
    return server(
        "registry.k8s.io/coredns/coredns:v1.13.1",
        args=["-conf", f"/{REASON}"],
        terminationMessagePolicy="FallbackToLogsOnError",
        readinessProbe={"tcpSocket": {"port": 1}},  # without one it would count as ready until it ends
    )


def deployment(namespace: str, container: Tree, timeout: int = 60, **spec: Any) -> Tree:
    labels = {"app": "server"}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]}}
    return {
        "metadata": {
            "namespace": namespace,
            "name": "server",
            "annotations": {"pulumi.com/timeoutSeconds": str(timeout)},
        },
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def make(plugin: Plugin, token: str, program: Tree, **how: Any) -> Resource:
    return plugin.create(token, "a", plugin.check(token, "a", program), **how)


def change(plugin: Plugin, resource: Resource, program: Tree, **how: Any) -> Resource:
    return plugin.update(resource, plugin.check(resource.type, "a", program, olds=resource.inputs), **how)


def kept(token: str, failed: Failed) -> Resource:
    """What the engine keeps of a resource that exists but is not ready."""
    assert failed.state is not None
    return Resource(token, "a", failed.id, failed.state, reveal(failed.state["__inputs"]))


def test_a_deployment_is_ready_when_its_pods_are(plugin: Plugin, namespace: str) -> None:
    resource = make(plugin, DEPLOYMENT, deployment(namespace, server(), replicas=2))
    assert resource.state["status"]["readyReplicas"] == 2
    assert any("Waiting for app ReplicaSet to be available" in line for line in plugin.engine.said("info"))


@pytest.fixture
def later(plugin_path: Path, cluster: Cluster) -> Iterator[Plugin]:
    """The plugin of a later run, which saw nothing of what was created before."""
    with Plugin(plugin_path) as plugin:
        plugin.configure(kubeconfig=str(cluster.kubeconfig))
        yield plugin


def test_an_update_waits_for_the_new_pods_not_the_old_ones(
    plugin: Plugin, later: Plugin, cluster: Cluster, namespace: str
) -> None:
    resource = make(plugin, DEPLOYMENT, deployment(namespace, server()))
    program = deployment(namespace, server(env=[{"name": "A", "value": "1"}]))
    updated = change(later, resource, program)
    status = updated.state["status"]
    assert (status["updatedReplicas"], status["readyReplicas"]) == (1, 1)
    assert updated.state["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"
    pods = cluster.kubectl("get", "pods", "-n", namespace, "-l", "app=server", "-o", "jsonpath={..env[0].value}")
    assert "1" in pods


def test_no_replicas_are_ready_at_once(plugin: Plugin, namespace: str) -> None:
    resource = make(plugin, DEPLOYMENT, deployment(namespace, server("example.com/absent:1"), replicas=0))
    assert resource.state["spec"]["replicas"] == 0


def test_a_crashing_server_fails_in_time_with_its_own_reason_and_the_next_update_mends_it(
    plugin: Plugin, namespace: str
) -> None:
    started = time.monotonic()
    with pytest.raises(Failed) as failed:
        make(plugin, DEPLOYMENT, deployment(namespace, crashing(), timeout=8))
    assert 8 <= time.monotonic() - started < 20
    reasons = failed.value.reasons
    assert "'server' timed out waiting to be Ready" in reasons[0]
    assert "[MinimumReplicasUnavailable] Deployment does not have minimum availability." in reasons
    assert "Minimum number of live Pods was not attained" in reasons
    assert reasons[-1].startswith(f"[Pod {namespace}/server-")
    assert "containers with unready status: [server]" in reasons[-1]
    assert REASON in reasons[-1]

    mended = change(plugin, kept(DEPLOYMENT, failed.value), deployment(namespace, server()))
    assert mended.state["status"]["readyReplicas"] == 1


def test_a_version_that_does_not_come_up_fails_the_update_while_the_old_pods_serve_on(
    plugin: Plugin, later: Plugin, cluster: Cluster, namespace: str
) -> None:
    resource = make(plugin, DEPLOYMENT, deployment(namespace, server()))
    with pytest.raises(Failed) as failed:
        change(later, resource, deployment(namespace, server("example.com/absent:1"), timeout=3))
    assert f'"{namespace}/server" failed to fully initialize or become live' in failed.value.message
    assert "Minimum number of Pods to consider the application live was not attained" in failed.value.reasons
    assert any("[ErrImageNeverPull]" in reason for reason in failed.value.reasons)
    assert cluster.live("deployment", "server", namespace)["status"]["readyReplicas"] == 1


def test_an_update_that_failed_is_waited_for_again_although_nothing_changed(plugin: Plugin, namespace: str) -> None:
    with pytest.raises(Failed) as first:
        make(plugin, DEPLOYMENT, deployment(namespace, server("example.com/absent:1"), timeout=2))
    broken = kept(DEPLOYMENT, first.value)
    with pytest.raises(Failed, match="timed out waiting to be Ready"):
        plugin.update(broken, broken.inputs)


def test_resource_options_outrank_the_timeout_annotation(plugin: Plugin, namespace: str) -> None:
    started = time.monotonic()
    with pytest.raises(Failed, match="timed out"):
        make(plugin, DEPLOYMENT, deployment(namespace, server("example.com/absent:1"), timeout=100), timeout=2)
    assert time.monotonic() - started < 15


def test_skip_await_does_not_wait(plugin: Plugin, namespace: str) -> None:
    program = deployment(namespace, server("example.com/absent:1"))
    program["metadata"]["annotations"]["pulumi.com/skipAwait"] = "true"
    make(plugin, DEPLOYMENT, program)


def test_a_refresh_of_a_deployment_that_is_not_ready_says_so_and_keeps_it(plugin: Plugin, namespace: str) -> None:
    with pytest.raises(Failed) as failed:
        make(plugin, DEPLOYMENT, deployment(namespace, server("example.com/absent:1"), timeout=2))
    known = kept(DEPLOYMENT, failed.value)
    with pytest.raises(Failed) as unhealthy:
        plugin.read(known)
    assert unhealthy.value.id == f"{namespace}/server"
    assert "Resource 'server' was created but failed to initialize" in unhealthy.value.reasons
    assert unhealthy.value.inputs == known.inputs


def service(namespace: str, selector: Tree | None, **spec: Any) -> Tree:
    chosen = {"selector": selector} if selector else {}
    metadata = {"namespace": namespace, "name": "server", "annotations": {"pulumi.com/timeoutSeconds": "3"}}
    return {"metadata": metadata, "spec": {"ports": [{"port": 80}], **chosen, **spec}}


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"selector": None}, id="no-selector"),
        pytest.param({"selector": {"app": "server"}, "clusterIP": "None"}, id="headless"),
        pytest.param({"selector": None, "type": "ExternalName", "externalName": "example.com"}, id="external-name"),
    ],
)
def test_a_service_without_endpoints_to_wait_for_is_ready_at_once(plugin: Plugin, namespace: str, spec: Tree) -> None:
    started = time.monotonic()
    make(plugin, SERVICE, service(namespace, **spec))
    assert time.monotonic() - started < 2.5


def test_a_service_whose_pods_are_not_ready_fails(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    unready = server(readinessProbe={"tcpSocket": {"port": 1}})
    program = deployment(namespace, unready)
    program["metadata"]["annotations"]["pulumi.com/skipAwait"] = "true"
    make(plugin, DEPLOYMENT, program)
    running = ("get", "pods", "-n", namespace, "-o", "jsonpath={.items[*].status.podIP}")
    eventually(lambda: cluster.kubectl(*running), "the pod has an address")
    with pytest.raises(Failed) as failed:
        make(plugin, SERVICE, service(namespace, {"app": "server"}))
    assert any("Service does not target any Pods" in reason for reason in failed.value.reasons)


def test_a_load_balancer_without_an_address_fails(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    with pytest.raises(Failed) as failed:
        make(plugin, SERVICE, service(namespace, {"app": "server"}, type="LoadBalancer"))
    assert any("was not allocated an IP address" in reason for reason in failed.value.reasons)
    address = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    cluster.patch("service", "server", namespace, address, "--subresource=status")
    broken = kept(SERVICE, failed.value)
    assert plugin.update(broken, broken.inputs).state["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"


def test_a_pod_is_waited_for(plugin: Plugin, namespace: str) -> None:
    spec = {"containers": [server()], "terminationGracePeriodSeconds": 0}
    resource = make(plugin, POD, {"metadata": {"namespace": namespace}, "spec": spec})
    assert resource.state["status"]["phase"] == "Running"


def test_a_job_is_waited_for_until_it_has_completed(plugin: Plugin, namespace: str) -> None:
    image = "registry.k8s.io/coredns/coredns:v1.13.1"
    pod = {"restartPolicy": "Never", "containers": [server(image, args=["-version"])]}
    resource = make(plugin, "kubernetes:batch/v1:Job", {
        "metadata": {"namespace": namespace}, "spec": {"template": {"spec": pod}},
    }, timeout=60)  # fmt: skip
    assert resource.state["status"]["succeeded"] == 1


def test_a_job_that_has_failed_for_good_says_why(plugin: Plugin, namespace: str) -> None:
    pod = {"restartPolicy": "Never", "containers": [crashing()]}
    with pytest.raises(Failed, match="failed to fully initialize") as failed:
        make(plugin, "kubernetes:batch/v1:Job", {
            "metadata": {"namespace": namespace}, "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        }, timeout=20)  # fmt: skip
    assert "[BackoffLimitExceeded] Job has reached the specified backoff limit" in failed.value.reasons


@pytest.fixture(scope="module")
def definition(cluster: Cluster) -> Iterator[Definition]:
    """A kind of object that nobody looks after: its status is what a test says."""
    with cluster.definition() as made:
        made.create(cluster)
        yield made


@pytest.mark.parametrize(
    ("annotation", "status"),
    [
        pytest.param("jsonpath={.status.phase}=Done", {"phase": "Done"}, id="value"),
        pytest.param("jsonpath={.status.address}", {"address": "10.0.0.1"}, id="anything"),
        pytest.param("condition=Ready", {"conditions": [{"type": "Ready", "status": "True"}]}, id="condition"),
        pytest.param("condition=Ready=Unknown", {"conditions": [{"type": "Ready", "status": "Unknown"}]}, id="status"),
        pytest.param('["condition=Ready", "jsonpath={.status.phase}=Done"]',
                     {"phase": "Done", "conditions": [{"type": "Ready", "status": "True"}]}, id="all"),
    ],
)  # fmt: skip
def test_what_an_annotation_asks_for_is_waited_for(
    plugin: Plugin, cluster: Cluster, namespace: str, definition: Definition, annotation: str, status: Tree
) -> None:
    metadata = {"namespace": namespace, "name": "r", "annotations": {"pulumi.com/waitFor": annotation}}
    inputs = plugin.check(definition.token, "a", {"metadata": metadata, "spec": {"a": 1}})
    with pytest.raises(Failed, match="timed out waiting for the condition") as failed:
        plugin.create(definition.token, "a", inputs, timeout=1)
    cluster.patch(definition.name, "r", namespace, {"status": status}, "--field-manager=controller")
    plugin.update(kept(definition.token, failed.value), inputs, timeout=10)


def test_an_annotation_that_makes_no_sense_is_an_error(plugin: Plugin, namespace: str) -> None:
    metadata = {"namespace": namespace, "annotations": {"pulumi.com/waitFor": "phase=Done"}}
    with pytest.raises(Failed, match='expected a "jsonpath=" or "condition=" prefix'):
        make(plugin, "kubernetes:core/v1:ConfigMap", {"metadata": metadata})
