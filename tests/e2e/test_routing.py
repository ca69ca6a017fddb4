"""Which version answers: matches, mirrors, the gateway, callers without a sidecar, pods that fail; of three models.

One deployment serves all of these tests; what a test changes of it, it puts back.
"""

from __future__ import annotations

import http.client
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes.stream import portforward

from infra.naming import METRICS_PATH
from rollout.proxies import execute
from tests.e2e.calls import answered, call, channel
from tests.e2e.conftest import (
    ANSWERS,
    MODEL,
    NAMESPACE,
    Cluster,
    Stack,
    borrowed,
    bounds,
    models,
    settle,
    wait_for,
)

pytestmark = pytest.mark.e2e

OUTSIDE = "models.test"
TO_V2 = ("--header", "x-model-version=v2")
CALLER_IMAGE = "docker.io/tfserving-mesh/caller:sandbox"
REQUESTS = 2_000


def served() -> dict[str, Any]:
    """Three models of two versions: one with every rule, for everybody; one for the mesh; one without the mesh."""
    two = models(["v1", "v2"])[MODEL]
    matches = [
        {"header": "x-model-version", "value": "v2", "version": "v2"},
        {"cookie": "group", "value": "b", "version": "v2"},
    ]
    mirror = {"version": "v2", "percent": 100}
    return {
        # Nothing is tried again, so that every failure is seen.
        MODEL: {**two, "retries": 0, "matches": matches, "mirror": mirror, "strictCallers": False},
        "strict": two,
        "plain": {**two, "callers": None, "mesh": False, "stable": "v2"},
    }


def url(model: str) -> str:
    return f"http://{model}.{NAMESPACE}.svc.cluster.local:8501/v1/models/{model}:predict"


@pytest.fixture(scope="module")
def routed(deployed: Stack, cluster: Cluster) -> Iterator[Stack]:
    with borrowed(deployed, cluster) as stack:
        stack.set(models=served(), host=OUTSIDE, plainHttp=True, v2Weight=None)
        stack.set(**{f"{MODEL}:v2Weight": 0, "strict:v2Weight": 40})
        stack.up()
        settle(cluster, {"v1": 100})
        wait_for(lambda: "strict" in execute(*proxy(cluster)), "the caller's proxy to know the other model")
        yield stack


def proxy(cluster: Cluster) -> tuple[Any, str, str, str, list[str]]:
    """What asks the calling pod's proxy for its clusters and their endpoints."""
    return cluster.core, "callers", cluster.caller(), "istio-proxy", ["pilot-agent", "request", "GET", "clusters"]


@contextmanager
def pod(cluster: Cluster, name: str, namespace: str, labels: dict[str, str]) -> Iterator[Any]:
    """A pod without a sidecar, that idles until the end of the block."""
    container = {"name": "caller", "image": CALLER_IMAGE, "imagePullPolicy": "IfNotPresent", "args": ["wait"]}
    metadata = {"name": name, "labels": {**labels, "sidecar.istio.io/inject": "false"}}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "automountServiceAccountToken": False}
    cluster.core.create_namespaced_pod(namespace, {"metadata": metadata, "spec": spec})

    def read() -> Any:
        return cluster.core.read_namespaced_pod(name, namespace)

    try:
        wait_for(lambda: read().status.phase == "Running", f"{name} to run")
        yield read()
    finally:
        cluster.core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)


@pytest.fixture(scope="module")
def outsider(cluster: Cluster) -> Iterator[str]:
    """A pod without a sidecar that may send requests."""
    with pod(cluster, "outsider", "callers", {"app": "outsider"}) as made:
        yield made.metadata.name


def asked(cluster: Cluster, caller: str, model: str) -> dict[str, Any]:
    """What became of one prediction of 1.0 that a pod asked for."""
    command = ["/caller", "get", url(model), "--body", '{"instances": [1.0]}']
    return dict(json.loads(execute(cluster.core, "callers", caller, "caller", command)))


def gateway(cluster: Cluster) -> str:
    """The address of the gateway's pod."""
    (found,) = cluster.core.list_namespaced_pod("istio-system", label_selector="istio=ingress").items
    return str(found.status.pod_ip)


def through_gateway(cluster: Cluster, requests: int, **headers: str) -> Counter[str]:
    """Send predictions from this machine, which is outside the cluster; count the answers of each version."""
    versions = {answer: version for version, answer in ANSWERS.items()}
    counts: Counter[str] = Counter()
    connection = http.client.HTTPConnection(gateway(cluster), timeout=10)
    sent = {"Host": OUTSIDE, "Content-Type": "application/json", **headers}
    for _ in range(requests):
        connection.request("POST", f"/v1/models/{MODEL}:predict", '{"instances": [1.0]}', sent)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        counts[versions[json.loads(body)["predictions"][0]]] += 1
    connection.close()
    return counts


def by_grpc(cluster: Cluster, requests: int, **headers: str) -> Counter[str]:
    """Do the same by gRPC."""
    counts: Counter[str] = Counter()
    with channel(gateway(cluster), OUTSIDE) as opened:
        for _ in range(requests):
            code, answer = call(opened, MODEL, metadata=headers)
            assert code == 0
            counts[answered(answer, MODEL)] += 1
    return counts


def got(address: str, port: int, path: str, host: str = "") -> tuple[int, bytes]:
    """Ask from this machine; return status and body."""
    connection = http.client.HTTPConnection(address, port, timeout=10)
    try:
        connection.request("GET", path, headers={"Host": host or address})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def metrics(cluster: Cluster, name: str) -> str:
    """The metrics page of a model server, asked for from inside its pod: the proxy lets nobody have it."""
    forward = portforward(cluster.core.connect_get_namespaced_pod_portforward, name, NAMESPACE, ports="8501")
    connection = http.client.HTTPConnection("127.0.0.1", 8501)
    connection.sock = forward.socket(8501)
    try:
        connection.request("GET", METRICS_PATH)
        return connection.getresponse().read().decode()
    finally:
        connection.close()
        forward.close()


def predictions_served(cluster: Cluster, version: str) -> int:
    """How many predictions the pods of a version have answered, by the model server's own count."""
    total = 0
    for each in cluster.staying(NAMESPACE, f"app={MODEL},version={version}"):
        lines = metrics(cluster, each.metadata.name).splitlines()
        # The count of all requests has those of the probes as well.
        counts = [line for line in lines if "request_latency_count{" in line and 'API="predict"' in line]
        total += sum(int(line.split()[-1]) for line in counts)
    return total


@pytest.mark.usefixtures("routed")
def test_a_header_reaches_a_version_at_weight_zero_every_time(cluster: Cluster) -> None:
    assert cluster.count(1_000)["v2"] == 0
    assert cluster.count(1_000, *TO_V2)["v2"] == 1_000
    assert cluster.count(100, "--header", "x-model-version=v22")["v2"] == 0
    for outside in (through_gateway, by_grpc):
        assert outside(cluster, 300, **{"x-model-version": "v2"}) == {"v2": 300}


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize(
    ("cookies", "version"),
    [("group=b", "v2"), ("session=7; group=b; x=y", "v2"), ("group=bb", "v1"), ("agroup=b", "v1")],
)
def test_who_has_the_cookie_stays_with_its_version(cluster: Cluster, cookies: str, version: str) -> None:
    assert cluster.count(200, "--header", f"cookie={cookies}")[version] == 200


@pytest.mark.usefixtures("routed")
def test_a_mirror_shows_in_its_versions_own_count_and_never_in_an_answer(cluster: Cluster) -> None:
    # A copy's answer is waited for by nobody, so copies of an earlier test, too, may still be on their way.
    time.sleep(1)
    before = predictions_served(cluster, "v2")
    counts = cluster.count(500)
    assert counts["v1"] == 500
    wait_for(lambda: predictions_served(cluster, "v2") - before >= 500, "the copies", seconds=10)
    cluster.count(100, *TO_V2)
    assert predictions_served(cluster, "v2") - before == 600, "a request that a match takes is not copied"


@pytest.mark.usefixtures("routed")
def test_each_model_has_weights_of_its_own(cluster: Cluster) -> None:
    low, high = bounds(40, REQUESTS)
    assert low <= cluster.count(REQUESTS, url=url("strict"))["v2"] <= high
    assert cluster.count(REQUESTS)["v2"] == 0


def test_a_weight_moves_one_model_in_the_mesh_and_at_the_gateway_alike(routed: Stack, cluster: Cluster) -> None:
    with borrowed(routed, cluster) as stack:
        stack.set(**{f"{MODEL}:v2Weight": 25})
        assert stack.up().changes["updated"] == 1
        settle(cluster, {"v1": 75, "v2": 25})
        low, high = bounds(25, REQUESTS)
        assert low <= cluster.count(REQUESTS)["v2"] <= high
        for outside in (through_gateway(cluster, REQUESTS), by_grpc(cluster, REQUESTS)):
            assert low <= outside["v2"] <= high
            assert outside.keys() == {"v1", "v2"}
        low, high = bounds(40, REQUESTS)
        assert low <= cluster.count(REQUESTS, url=url("strict"))["v2"] <= high


@pytest.mark.usefixtures("routed")
def test_the_gateway_lets_in_its_host_and_its_models_alone(cluster: Cluster) -> None:
    for host, path in ((OUTSIDE, "/v1/models/plain"), (OUTSIDE, "/"), ("other.test", f"/v1/models/{MODEL}")):
        assert got(gateway(cluster), 80, path, host)[0] == 404, (host, path)


@pytest.mark.usefixtures("routed")
def test_a_strict_model_refuses_callers_without_a_sidecar_and_no_others(cluster: Cluster, outsider: str) -> None:
    assert asked(cluster, outsider, "strict")["outcome"] == "blocked"
    assert asked(cluster, outsider, MODEL)["status"] == 200
    assert asked(cluster, cluster.caller(), "strict")["status"] == 200


@pytest.mark.usefixtures("routed")
def test_a_model_without_the_mesh_is_its_stable_version_to_everybody(cluster: Cluster, outsider: str) -> None:
    found = cluster.staying(NAMESPACE, "app=plain")
    assert {each.metadata.labels["version"] for each in found} == {"v1", "v2"}
    for each in found:
        names = [part.name for part in [*each.spec.containers, *(each.spec.init_containers or [])]]
        assert names == ["serving"]
    assert cluster.count(200, url=url("plain"))["v2"] == 200
    assert json.loads(asked(cluster, outsider, "plain")["body"])["predictions"] == [ANSWERS["v2"]]


@pytest.mark.usefixtures("routed")
def test_a_pod_that_keeps_failing_is_left_out_and_its_version_answers(cluster: Cluster) -> None:
    # A pod like v1's others, but nobody listens in it.
    with pod(cluster, "deaf", NAMESPACE, {"app": MODEL, "version": "v1"}) as deaf:
        address = re.escape(f"{deaf.status.pod_ip}:8501::")
        known = rf"outbound\|8501\|v1\|{re.escape(MODEL)}\..*::{address}"
        wait_for(lambda: bool(re.search(known, execute(*proxy(cluster)))), "the caller's proxy to know the pod")
        first = cluster.send(100, "--connections", "1")
        assert first["status"] == {"200": 95, "503": 5}, "five failures in a row, and it is out"
        assert cluster.count(300)["v1"] == 300
