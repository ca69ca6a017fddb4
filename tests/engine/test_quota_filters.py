"""A quota's filters in the Envoy that the sandbox's proxies are: what counts, as whose, and what a refusal says.

The header that names the caller is sent here as a pod's proxy would have written it.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from infra.config_quota import Quota
from infra.quota import filters
from sandbox.materials import envoy_program

pytestmark = pytest.mark.engine

PREDICT = "/v1/models/inception:predict"
SHOP = "By=spiffe://cluster.local/ns/models/sa/inception;URI=spiffe://cluster.local/ns/shop/sa/web"
OTHER = "By=spiffe://cluster.local/ns/models/sa/inception;URI=spiffe://cluster.local/ns/lab/sa/web"
Start = Callable[..., "Proxy"]


class Proxy:
    """An Envoy with a quota that answers 200 to all that it lets through."""

    def __init__(self, port: int) -> None:
        self.port = port

    def ask(self, path: str = PREDICT, caller: str | None = None, method: str = "POST") -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request(method, path, headers={"x-forwarded-client-cert": caller} if caller else {})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def statuses(self, times: int, path: str = PREDICT, caller: str | None = None, method: str = "POST") -> list[int]:
        return [self.ask(path, caller, method).status for _ in range(times)]

    def bucket(self, path: str = PREDICT, caller: str | None = None, method: str = "POST") -> str | None:
        """Return the size of the bucket that a request was taken from; None when it did not count."""
        answer = self.ask(path, caller, method)
        assert answer.status == 200
        assert len(answer.headers.get_all("x-ratelimit-limit", [])) <= 1, "it is of one class alone"
        return answer.headers["x-ratelimit-limit"]

    def call(self, method: str) -> grpc.StatusCode:
        """Return what becomes of a gRPC call; a proxy that lets it through has no such service."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            try:
                channel.unary_unary(f"/tensorflow.serving.{method}")(b"", timeout=10)
            except grpc.RpcError as error:
                return error.code()
        raise AssertionError("nobody could have answered it")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(**quota: Any) -> Proxy:
        folder, port = tmp_path_factory.mktemp("envoy"), free_port()
        file, log = folder / "envoy.json", folder / "envoy.log"
        file.write_text(json.dumps(bootstrap(port, filters(Quota.model_validate(quota)))))
        command = [envoy_program(), "--config-path", file, "--use-dynamic-base-id", "--log-level", "warning"]
        with log.open("wb") as output:
            started.append(subprocess.Popen([*map(str, command)], stdout=output, stderr=output))
        proxy, deadline = Proxy(port), time.monotonic() + 20
        while True:
            try:
                proxy.ask("/v1/models/inception", method="GET")
            except ConnectionRefusedError:
                assert started[-1].poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            else:
                return proxy

    yield start
    for process in started:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def bootstrap(port: int, limits: list[dict[str, Any]]) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
    everything = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        "forward_client_cert_details": "ALWAYS_FORWARD_ONLY",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]},
        "http_filters": [*limits, router],
    }
    listener = {
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}}


def test_a_burst_is_taken_and_then_as_many_as_the_rate_gives(start: Start) -> None:
    proxy = start(requestsPerSecond=4, burst=8)
    began, statuses = time.monotonic(), []
    while time.monotonic() - began < 4:
        statuses.append(proxy.ask().status)
        time.sleep(0.02)
    most = 8 + 4 * (time.monotonic() - began)
    assert statuses[:8] == [200] * 8
    assert set(statuses) == {200, 429}
    assert most - 3 <= statuses.count(200) <= most


def test_a_rate_below_one_a_second_holds(start: Start) -> None:
    proxy = start(requestsPerSecond="0.5")
    assert proxy.statuses(2) == [200, 429]
    time.sleep(1.5)
    assert proxy.ask().status == 429
    time.sleep(0.7)
    assert proxy.statuses(2) == [200, 429]


def test_a_refusal_says_when_to_come_back_and_an_answer_what_is_left(start: Start) -> None:
    proxy = start(requestsPerSecond="0.25", burst=2)
    answers = [proxy.ask() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-limit"] for answer in answers] == ["2", "2", "2"]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert [answer.headers["retry-after"] for answer in answers] == [None, None, "4"]
    assert [answer.headers["x-envoy-ratelimited"] for answer in answers] == [None, None, "true"]
    assert 3 <= int(answers[2].headers["x-ratelimit-reset"]) <= 4


@pytest.fixture(scope="module")
def wide(start: Start) -> Proxy:
    """A proxy that refuses none of a few requests; each says by its bucket whose it was."""
    return start(requestsPerSecond=1, burst=1000, callers={"shop/web": {"requestsPerSecond": 1, "burst": 500}})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models/inception"),
        ("GET", "/v1/models/inception/versions/2"),
        ("GET", "/v1/models/inception/versions/2/metadata?x=:predict"),
        ("GET", "/monitoring/prometheus/metrics"),
        ("POST", "/tensorflow.serving.PredictionService/GetModelMetadata"),
        ("POST", "/tensorflow.serving.ModelService/GetModelStatus"),
        ("POST", "/grpc.health.v1.Health/Check"),
    ],
)
@pytest.mark.parametrize("caller", [None, SHOP])
def test_a_read_uses_nothing_up(wide: Proxy, method: str, path: str, caller: str | None) -> None:
    assert wide.bucket(path, caller, method) is None


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/inception/versions/2:predict",
        "/v1/models/inception/labels/canary:classify",
        "/v1/models/inception:regress?x",
        "/V1/Models/inception:PREDICT",
        "//v1/models/inception:predict",
        "/tensorflow.serving.PredictionService/Predict",
        "/tensorflow.serving.PredictionService/MultiInference",
        "/tensorflow.serving.SessionService/SessionRun",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_every_spelling_of_a_prediction_counts(wide: Proxy, path: str, method: str) -> None:
    assert wide.bucket(path, method=method) == "1000"
    assert wide.bucket(path, SHOP, method) == "500"


@pytest.mark.parametrize(
    ("caller", "bucket"),
    [
        (SHOP, "500"),
        (f"{OTHER},{SHOP}", "500"),  # what the caller wrote, and what the proxy put behind it
        (OTHER, "1000"),
        (None, "1000"),  # without a sidecar
        (f"{SHOP},{OTHER}", "1000"),
        (f"{SHOP};{OTHER}", "1000"),
        (f'By=x;Subject=";URI=spiffe://cluster.local/ns/shop/sa/web",{OTHER}', "1000"),
        (f"{SHOP}2", "1000"),
        (SHOP.replace("URI=spiffe://cluster.local/ns/shop", "URI=spiffe://evil.example/ns/shop"), "1000"),
        (SHOP.replace("URI=", "URI=x://"), "1000"),
    ],
)
def test_who_calls_is_what_the_proxy_wrote_last(wide: Proxy, caller: str | None, bucket: str) -> None:
    assert wide.bucket(caller=caller) == bucket


def test_what_one_caller_uses_up_is_nobody_elses(start: Start) -> None:
    proxy = start(requestsPerSecond="0.01", burst=2, callers={"shop/web": {"requestsPerSecond": "0.01", "burst": 3}})
    assert proxy.statuses(4, caller=SHOP) == [200, 200, 200, 429]
    assert proxy.statuses(3, caller=OTHER) == [200, 200, 429]
    assert proxy.ask().status == 429, "without a certificate one is one of the others"
    assert proxy.ask(path="/v1/models/inception", method="GET").status == 200


def test_a_refusal_by_grpc_is_resource_exhausted(start: Start) -> None:
    proxy = start(requestsPerSecond="0.01")
    first, second = (proxy.call("PredictionService/Predict") for _ in range(2))
    assert first != grpc.StatusCode.RESOURCE_EXHAUSTED
    assert second == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert proxy.call("ModelService/GetModelStatus") == first
