"""A model's quota, by real requests: at twice of it, below it, of callers of their own, and when it is changed."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from kubernetes import client

from rollout.proxies import execute
from tests.e2e.conftest import MODEL, NAMESPACE, Cluster, Stack, borrowed, models, settle, wait_for

pytestmark = pytest.mark.e2e

OUTSIDE = "models.test"
PATH = f"/v1/models/{MODEL}"
CALLER = "callers/default"
RATE = 20  # of the caller, a second
OTHERS = {"requestsPerSecond": 4, "burst": 12}
SECONDS = 60
BODY = '{"instances": [1.0]}'


def served(rate: int) -> dict[str, Any]:
    """One pod gets all requests, so its quota is the whole; retries are on, as they are when nobody says anything."""
    quota = {**OTHERS, "callers": {CALLER: {"requestsPerSecond": rate}}}
    two = models(["v1", "v2"])[MODEL]
    return {MODEL: {**two, "callers": "any", "strictCallers": False, "quota": quota}}


@pytest.fixture(scope="module")
def limited(deployed: Stack, cluster: Cluster) -> Iterator[Stack]:
    with borrowed(deployed, cluster) as stack:
        stack.set(models=served(RATE), host=OUTSIDE, plainHttp=True, v2Weight=None)
        stack.up()
        settle(cluster, {"v1": 100})
        wait_for(lambda: "x-ratelimit-limit" in asked(address(cluster), 8501).headers, "the pod's proxy to count")
        yield stack


def address(cluster: Cluster) -> str:
    (pod,) = cluster.staying(NAMESPACE, f"app={MODEL},version=v1")
    return str(pod.status.pod_ip)


def gateway(cluster: Cluster) -> str:
    (pod,) = cluster.staying("istio-system", "istio=ingress")
    return str(pod.status.pod_ip)


def asked(
    where: str, port: int, path: str = f"{PATH}:predict", body: str | None = BODY, **headers: str
) -> http.client.HTTPResponse:
    """Ask from this machine, which has no sidecar."""
    connection = http.client.HTTPConnection(where, port, timeout=10)
    sent = {"Host": OUTSIDE, "Content-Type": "application/json"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST" if body else "GET", path, body, sent)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@contextmanager
def through_gateway(cluster: Cluster, per_second: float) -> Iterator[Counter[int]]:
    """Send predictions through the gateway until the end of the block; count them by status."""
    ended, statuses, where = threading.Event(), Counter[int](), gateway(cluster)

    def send() -> None:
        while not ended.wait(1 / per_second):
            try:
                statuses[asked(where, 80).status] += 1
            except OSError:
                statuses[0] += 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield statuses
    finally:
        ended.set()
        thread.join()


@pytest.mark.usefixtures("limited")
def test_at_twice_the_quota_half_is_refused_and_others_lose_nothing(cluster: Cluster) -> None:
    with through_gateway(cluster, OTHERS["requestsPerSecond"] / 2) as others:
        sent = cluster.send(2 * RATE * SECONDS, "--rate", str(2 * RATE))
    assert sent["seconds"] >= SECONDS - 1
    assert sent["failed"] == 0, sent["errors"]
    assert set(sent["status"]) == {"200", "429"}, sent["answers"]
    refused = sent["status"]["429"] / sent["requests"]
    assert 0.45 <= refused <= 0.55, refused
    assert set(others) == {200}, "below its own quota nobody is refused, whatever somebody else does"
    assert others[200] >= SECONDS * OTHERS["requestsPerSecond"] / 4
    assert {answer["body"] for answer in sent["answers"] if answer["status"] == 429} == {"local_rate_limited"}
    proxy = execute(
        cluster.core, "callers", cluster.caller(), "istio-proxy", ["pilot-agent", "request", "GET", "clusters"]
    )
    pod = f"outbound|8501|v1|{MODEL}.{NAMESPACE}.svc.cluster.local::{address(cluster)}:8501::health_flags::"
    (health,) = [line.removeprefix(pod) for line in proxy.splitlines() if line.startswith(pod)]
    assert health == "healthy", "a pod that refuses is not left out"


@pytest.mark.usefixtures("limited")
def test_a_refusal_has_its_headers_and_a_read_is_never_refused(cluster: Cluster) -> None:
    pod = address(cluster)
    forged = "By=spiffe://x;URI=spiffe://cluster.local/ns/callers/sa/default"
    answers = [asked(pod, 8501, x_forwarded_client_cert=forged) for _ in range(30)]
    refused = [answer.headers for answer in answers if answer.status == 429]
    assert refused
    for headers in refused:
        assert headers["x-ratelimit-limit"] == str(OTHERS["burst"]), "nobody takes the caller's bucket by its name"
        assert (headers["x-ratelimit-remaining"], headers["retry-after"]) == ("0", "1")
        assert headers["x-envoy-ratelimited"] == "true"
        assert int(headers["x-ratelimit-reset"]) <= 1
    for path in (PATH, f"{PATH}/metadata"):
        assert [asked(pod, 8501, path, None).status for _ in range(10)] == [200] * 10


@pytest.mark.usefixtures("limited")
def test_a_grpc_call_too_many_is_told_resource_exhausted(cluster: Cluster) -> None:
    with grpc.insecure_channel(f"{address(cluster)}:8500") as channel:

        def called(method: str) -> str:
            try:
                channel.unary_unary(f"/tensorflow.serving.{method}")(b"", timeout=10)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

        predictions = Counter(called("PredictionService/Predict") for _ in range(60))
        reads = Counter(called("ModelService/GetModelStatus") for _ in range(10))
    assert predictions["RESOURCE_EXHAUSTED"] > 0
    assert len(predictions) == 2, f"the server's own answer to an empty request, and the proxy's: {predictions}"
    assert "RESOURCE_EXHAUSTED" not in reads


def test_another_quota_restarts_no_pod_and_loses_no_request(limited: Stack, cluster: Cluster) -> None:
    pods, report = cluster.pods(NAMESPACE), dict[str, Any]()
    # An exec changes its client for a moment, so the requests have one of their own.
    own = replace(cluster, core=client.CoreV1Api(client.ApiClient()))
    sending = threading.Thread(target=lambda: report.update(own.send(480, "--rate", "60")))
    sending.start()
    limited.set(models=served(1000))
    assert limited.up().changes["updated"] == 1
    wait_for(lambda: cluster.send(60, "--rate", "120")["status"] == {"200": 60}, "the new quota", seconds=10)
    sending.join()
    assert report["failed"] == 0, report["errors"]
    assert set(report["status"]) == {"200", "429"}
    assert cluster.pods(NAMESPACE) == pods
