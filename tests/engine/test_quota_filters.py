"""A quota's filters in the Envoy that the sandbox's proxies are: what counts, as whose, and what a refusal says.

As in a pod, there is mutual TLS, and callers without a sidecar have another way in.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from infra.certificates import KeyPair, make_root
from infra.config_quota import Quota
from infra.quota import filters
from sandbox.materials import envoy_program
from sandbox.paths import CHECKOUT
from tests.workload_certificates import workload

pytestmark = pytest.mark.engine

PAGE = CHECKOUT / "docs/quota.md"
PREDICT = "/v1/models/inception:predict"
SHOP, OTHER, SERVER = "shop/web", "lab/web", "models/inception"
SHOPS = "URI=spiffe://cluster.local/ns/shop/sa/web"
Start = Callable[..., "Proxy"]


class Proxy:
    """An Envoy with a quota that answers 200 to all that it lets through."""

    def __init__(self, certificates: Path, ports: tuple[int, int]) -> None:
        self.certificates = certificates
        self.port, self.plain_port = ports

    def ask(
        self, path: str = PREDICT, caller: str | None = SHOP, method: str = "POST", claim: str | None = None
    ) -> http.client.HTTPResponse:
        """Send a request.

        Args:
            path: what is asked.
            caller: whose certificate the sidecar has; None has no sidecar.
            method: by which method.
            claim: what the caller itself writes into the header in which proxies tell who called.
        """
        connection = self._connection(caller)
        connection.request(method, path, headers={"x-forwarded-client-cert": claim} if claim else {})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def _connection(self, caller: str | None) -> http.client.HTTPConnection:
        if caller is None:
            return http.client.HTTPConnection("127.0.0.1", self.plain_port, timeout=10)
        context = ssl.create_default_context(cafile=self.certificates / "root.pem")
        context.check_hostname = False  # a pod's certificate has no DNS name
        context.load_cert_chain(self.certificates / f"{caller.replace('/', '-')}.pem")
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)

    def statuses(self, times: int, caller: str | None = SHOP) -> list[int]:
        return [self.ask(caller=caller).status for _ in range(times)]

    def bucket(self, path: str = PREDICT, caller: str | None = SHOP, **more: str) -> str | None:
        """Return the size of the bucket that a request was taken from; None when it did not count."""
        answer = self.ask(path, caller, **more)
        assert answer.status == 200
        assert len(answer.headers.get_all("x-ratelimit-limit", [])) <= 1, "it is of one class alone"
        return answer.headers["x-ratelimit-limit"]

    def call(self, method: str) -> grpc.StatusCode:
        """Return what becomes of a gRPC call; a proxy that lets it through has no such service."""
        with grpc.insecure_channel(f"127.0.0.1:{self.plain_port}") as channel:
            try:
                channel.unary_unary(f"/tensorflow.serving.{method}")(b"", timeout=10)
            except grpc.RpcError as error:
                return error.code()
        raise AssertionError("nobody could have answered it")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a root's certificate is, and the key and certificate of each identity."""
    folder, root = tmp_path_factory.mktemp("certificates"), make_root("quota")
    (folder / "root.pem").write_text(root.certificate_pem)
    for identity in (SHOP, OTHER, SERVER):
        (folder / f"{identity.replace('/', '-')}.pem").write_bytes(issued(root, identity))
    return folder


def issued(root: KeyPair, identity: str) -> bytes:
    key, pem = ec.generate_private_key(ec.SECP256R1()), serialization.Encoding.PEM
    made = workload(root, now=datetime.now(UTC), identity=identity, key=key)
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return private + made.public_bytes(pem)


@pytest.fixture(scope="module")
def start(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start(**quota: Any) -> Proxy:
        folder, ports = tmp_path_factory.mktemp("envoy"), free_ports()
        file, log = folder / "envoy.json", folder / "envoy.log"
        file.write_text(json.dumps(bootstrap(ports, certificates, filters(Quota.model_validate(quota)))))
        command = [envoy_program(), "--config-path", file, "--use-dynamic-base-id", "--log-level", "warning"]
        with log.open("wb") as output:
            started.append(subprocess.Popen([*map(str, command)], stdout=output, stderr=output))
        proxy, deadline = Proxy(certificates, ports), time.monotonic() + 20
        while True:
            try:
                for caller in (None, SHOP):
                    proxy.ask("/v1/models/inception", caller, method="GET")
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


def free_ports() -> tuple[int, int]:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def bootstrap(ports: tuple[int, int], certificates: Path, limits: list[dict[str, Any]]) -> dict[str, Any]:
    types = "type.googleapis.com/envoy.extensions"
    router = {"name": "router", "typed_config": {"@type": f"{types}.filters.http.router.v3.Router"}}
    everything = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{types}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "inbound",
        # as istiod tells a sidecar, for what comes in
        "forward_client_cert_details": "APPEND_FORWARD",
        "set_current_client_cert_details": {"subject": True, "dns": True, "uri": True},
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [everything]}]},
        "http_filters": [*limits, router],
    }
    own = {"filename": str(certificates / f"{SERVER.replace('/', '-')}.pem")}
    tls = {
        "@type": f"{types}.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": True,
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": own, "private_key": own}],
            "validation_context": {"trusted_ca": {"filename": str(certificates / "root.pem")}},
        },
    }
    ways = zip(ports, ({"transport_socket": {"name": "tls", "typed_config": tls}}, {}), strict=True)
    listeners = [
        {
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
            "filter_chains": [{"filters": [{"name": "manager", "typed_config": manager}], **socket}],
        }
        for port, socket in ways
    ]
    return {"static_resources": {"listeners": listeners}}


def test_a_burst_is_taken_and_then_as_many_as_the_rate_gives(start: Start) -> None:
    proxy = start(requestsPerSecond=2, burst=4)
    began, before, statuses = time.monotonic(), 0.0, []
    while (passed := time.monotonic() - began) < 4:
        before = passed
        statuses.append(proxy.ask(caller=None).status)
    assert statuses[:4] == [200] * 4
    assert set(statuses) == {200, 429}
    assert 4 + 2 * before - 2 <= statuses.count(200) <= 4 + 2 * passed


def test_a_rate_below_one_a_second_holds(start: Start) -> None:
    proxy = start(requestsPerSecond="0.5")
    assert proxy.statuses(2) == [200, 429]
    time.sleep(2.2)
    assert proxy.statuses(2) == [200, 429]


def test_a_refusal_says_when_to_come_back_and_an_answer_what_is_left(start: Start) -> None:
    proxy = start(requestsPerSecond="0.1", burst=2)
    answers = [proxy.ask() for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["x-ratelimit-limit"] for answer in answers] == ["2", "2", "2"]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == ["1", "0", "0"]
    assert [answer.headers["retry-after"] for answer in answers] == [None, None, "10"]
    assert [answer.headers["x-envoy-ratelimited"] for answer in answers] == [None, None, "true"]
    assert 5 <= int(answers[2].headers["x-ratelimit-reset"]) <= 10


@pytest.fixture(scope="module")
def wide(start: Start) -> Proxy:
    """A proxy that refuses none of a few requests; each says by its bucket whose it was."""
    return start(requestsPerSecond=1, burst=1000, callers={SHOP: {"requestsPerSecond": 1, "burst": 500}})


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
@pytest.mark.parametrize("caller", [None, SHOP, OTHER])
def test_a_read_uses_nothing_up(wide: Proxy, method: str, path: str, caller: str | None) -> None:
    assert wide.bucket(path, caller, method=method) is None


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
    assert wide.bucket(path, SHOP, method=method) == "500"
    assert wide.bucket(path, OTHER, method=method) == "1000"


@pytest.mark.parametrize(("caller", "bucket"), [(SHOP, "500"), (OTHER, "1000"), (None, "1000")])
@pytest.mark.parametrize(
    "claim",
    [
        SHOPS,
        f"By=spiffe://cluster.local/ns/models/sa/inception;{SHOPS}",
        f"{SHOPS},{SHOPS}",
        f"{SHOPS};",
        f'Subject="{SHOPS}',
        SHOPS.replace("shop", "lab"),
    ],
)
def test_whatever_a_caller_says_of_itself_its_certificate_counts(
    wide: Proxy, caller: str | None, bucket: str, claim: str
) -> None:
    assert wide.bucket(caller=caller, claim=claim) == bucket


def test_what_one_caller_uses_up_is_nobody_elses(start: Start) -> None:
    proxy = start(requestsPerSecond="0.01", burst=2, callers={SHOP: {"requestsPerSecond": "0.01", "burst": 3}})
    assert proxy.statuses(4, SHOP) == [200, 200, 200, 429]
    assert proxy.statuses(3, OTHER) == [200, 200, 429]
    assert proxy.ask("/v1/models/inception", OTHER, "GET").status == 200


def test_a_refusal_by_grpc_is_resource_exhausted(start: Start) -> None:
    proxy = start(requestsPerSecond="0.01")
    first, second = (proxy.call("PredictionService/Predict") for _ in range(2))
    assert first != grpc.StatusCode.RESOURCE_EXHAUSTED
    assert second == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert proxy.call("ModelService/GetModelStatus") == first


def test_the_filter_of_a_global_limit_that_the_page_shows_is_a_good_one(certificates: Path, tmp_path: Path) -> None:
    block, policy = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (patch,) = yaml.safe_load(block)["spec"]["configPatches"]
    whole = bootstrap(free_ports(), certificates, [patch["patch"]["value"]])
    service = patch["patch"]["value"]["typed_config"]["rate_limit_service"]["grpc_service"]["envoy_grpc"]
    whole["static_resources"]["clusters"] = [{"name": service["cluster_name"]}]
    file = tmp_path / "envoy.json"
    file.write_text(json.dumps(whole))
    command = [str(envoy_program()), "--mode", "validate", "--config-path", str(file), "--log-level", "error"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    _, port, _, host = service["cluster_name"].split("|")
    (way_out,) = yaml.safe_load(policy)["spec"]["egress"]
    assert way_out["ports"] == [{"protocol": "TCP", "port": int(port)}]
    assert host.split(".")[1] in str(way_out["to"])
