"""What the gateway's filter does to requests and answers, in a real Envoy with nothing but this filter and a route."""

from __future__ import annotations

import http.client
import http.server
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest

from infra.gateway_filter import gateway_filter
from sandbox.materials import envoy_program

pytestmark = pytest.mark.engine
HOST = "models.test"
MOST = 100_000
HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"


class Server(http.server.BaseHTTPRequestHandler):
    """Answers with the headers and the number of bytes that have reached it, and says more of itself than it should."""

    protocol_version = "HTTP/1.1"
    server_version = "leaky/1"
    begun = threading.Event()

    def do_POST(self) -> None:
        self.begun.set()
        declared = self.headers.get("content-length")
        body = self.rfile.read(int(declared)) if declared else b"".join(iter(self._chunk, b""))
        answer = json.dumps({"bytes": len(body), "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.send_header("x-envoy-upstream-service-time", "3")
        self.end_headers()
        self.wfile.write(answer)

    def _chunk(self) -> bytes:
        data = self.rfile.read(int(self.rfile.readline(), 16))
        self.rfile.readline()
        return data

    def log_message(self, *_: object) -> None:
        pass


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def seen(self) -> dict[str, Any]:
        """What the server has seen of the request."""
        return dict(json.loads(self.body))


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def listener(gateway_port: int, port: int) -> dict[str, Any]:
    """A listener as istiod makes it of the filter's patches for one of the gateway's ports."""
    manager: dict[str, Any] = {
        "@type": f"type.googleapis.com/{HCM}",
        "stat_prefix": "gateway",
        "use_remote_address": True,
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "models",
                    "domains": [HOST],
                    "routes": [{"match": {"prefix": "/v1/"}, "route": {"cluster": "server"}}],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
            }
        ],
    }
    for each in gateway_filter(MOST, is_encrypted=True)["configPatches"]:
        if each["match"]["listener"].get("portNumber", gateway_port) != gateway_port:
            continue
        value = each["patch"]["value"]
        if each["patch"]["operation"] == "MERGE":
            manager |= value["typed_config"]
        else:
            manager["http_filters"].insert(0, value)
    chain = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    return {
        "address": address(port),
        "per_connection_buffer_limit_bytes": 32768,  # as Istio has it
        "filter_chains": [{"filters": [chain]}],
    }


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, int]]:
    """An Envoy; the ports that it has in place of the gateway's own."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ports = {80: free_port(), 443: free_port()}
    endpoint = {"endpoint": {"address": address(server.server_port)}}
    cluster = {
        "name": "server",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "server", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listeners = [listener(number, port) for number, port in ports.items()]
    folder = tmp_path_factory.mktemp("envoy")
    (folder / "envoy.json").write_text(
        json.dumps({"static_resources": {"listeners": listeners, "clusters": [cluster]}})
    )
    log = folder / "log"
    command = [str(envoy_program()), "-c", str(folder / "envoy.json"), "--concurrency", "1", "--use-dynamic-base-id"]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as envoy:
        try:
            wait_for(list(ports.values()), envoy, log)
            yield ports
        finally:
            envoy.terminate()
            server.shutdown()
            server.server_close()


def wait_for(ports: list[int], envoy: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    for port in ports:
        while True:
            assert envoy.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)


def ask(
    ports: dict[int, int],
    path: str = "/v1/x",
    *,
    size: int = 0,
    chunked: bool = False,
    port: int = 443,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", ports[port], timeout=10)
    body = iter([b"x" * 1000] * (size // 1000) + [b"x" * (size % 1000)] * bool(size % 1000)) if chunked else b"x" * size
    try:
        sent = {"Host": HOST, **headers}
        connection.request("POST", path, body, sent, encode_chunked=chunked)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
    finally:
        connection.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(MOST, 200), (MOST + 1, 413)])
def test_a_request_is_as_long_as_it_may_be_whether_it_says_so_or_not(
    gateway: dict[int, int],
    size: int,
    status: int,
    chunked: bool,  # noqa: FBT001
) -> None:
    answer = ask(gateway, size=size, chunked=chunked)
    assert answer.status == status
    if status == 200:
        assert answer.seen["bytes"] == size


def test_a_request_that_is_too_long_is_told_the_limit_before_it_is_sent(gateway: dict[int, int]) -> None:
    with socket.create_connection(("127.0.0.1", gateway[443]), 10) as plain:
        plain.sendall(f"POST /v1/x HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {MOST + 1}\r\n\r\n".encode())
        response = http.client.HTTPResponse(plain)
        response.begin()
        assert response.status == 413
        assert json.load(response) == {"error": f"a request has at most {MOST} bytes"}


def test_a_grpc_call_that_is_too_long_ends_with_a_status_of_grpcs_own(gateway: dict[int, int]) -> None:
    options = (("grpc.default_authority", HOST), ("grpc.enable_http_proxy", 0))
    with (
        grpc.insecure_channel(f"127.0.0.1:{gateway[443]}", options) as channel,
        pytest.raises(grpc.RpcError) as refused,
    ):
        channel.unary_unary("/v1/x")(b"x" * (MOST - 4), timeout=10)  # 5 bytes stand before a message
    assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "Payload Too Large")
    for chunked in (False, True):
        assert "grpc-status" not in ask(gateway, size=MOST + 1, chunked=chunked).headers
        told = ask(gateway, size=MOST + 1, chunked=chunked, headers={"content-type": "application/grpc"})
        assert (told.status, told.headers["grpc-status"]) == (200, "8")


@pytest.mark.parametrize(
    ("declared", "part", "rest"),
    [
        (f"Content-Length: {MOST}", b"x", b"x" * (MOST - 1)),
        ("Transfer-Encoding: chunked", b"1\r\nx\r\n", b"0\r\n\r\n"),
    ],
)
def test_nothing_is_sent_on_of_a_request_that_may_still_be_too_long(
    gateway: dict[int, int], declared: str, part: bytes, rest: bytes
) -> None:
    Server.begun.clear()
    with socket.create_connection(("127.0.0.1", gateway[443]), 10) as plain:
        plain.sendall(f"POST /v1/x HTTP/1.1\r\nHost: {HOST}\r\n{declared}\r\n\r\n".encode() + part)
        assert not Server.begun.wait(1)
        plain.sendall(rest)
        response = http.client.HTTPResponse(plain)
        response.begin()
        assert response.status == 200


def test_every_filter_is_one_that_istios_build_of_envoy_has() -> None:
    # The sandbox's Envoy has many more: a filter that Istio's lacks would be refused there, and the gateway with it.
    known = {"buffer.v3.Buffer", "header_mutation.v3.HeaderMutation", "lua.v3.Lua"}
    filters = [
        each for each in gateway_filter(MOST, is_encrypted=True)["configPatches"] if each["applyTo"] == "HTTP_FILTER"
    ]
    kinds = {each["patch"]["value"]["typed_config"]["@type"] for each in filters}
    assert kinds <= {f"type.googleapis.com/envoy.extensions.filters.http.{kind}" for kind in known}


@pytest.mark.parametrize(
    "name",
    ["x-envoy-upstream-rq-timeout-ms", "x-envoy-max-retries", "x-envoy-original-path", "x-forwarded-client-cert"],
)
def test_a_caller_sets_none_of_the_headers_that_proxies_heed(gateway: dict[int, int], name: str) -> None:
    seen = ask(gateway, headers={name: "1", "x-kept": "1"}).seen["headers"]
    names = {each.lower() for each in seen}
    assert "x-kept" in names
    assert name not in names


@pytest.mark.parametrize(("path", "size", "status"), [("/v1/x", 1, 200), ("/other", 1, 404), ("/v1/x", MOST + 1, 413)])
def test_no_answer_says_what_is_behind_the_gateway_and_each_is_safe_to_show(
    gateway: dict[int, int], path: str, size: int, status: int
) -> None:
    answer = ask(gateway, path, size=size)
    assert answer.status == status
    assert not [name for name in answer.headers if name == "server" or name.startswith("x-envoy-")]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_in_the_clear_nobody_is_told_to_come_by_https_for_a_year(gateway: dict[int, int]) -> None:
    assert "strict-transport-security" not in ask(gateway, port=80).headers
    patches = gateway_filter(MOST, is_encrypted=False)["configPatches"]
    assert "strict-transport-security" not in json.dumps(patches)
