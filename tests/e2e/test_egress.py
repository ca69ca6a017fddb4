"""What a pod of the models' namespace can reach outside the mesh; a TLS server on the host stands for Google's."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator

import pytest

from rollout.proxies import execute
from sandbox import authority
from sandbox.node_config import HOST_ADDRESS
from tests.e2e.conftest import NAMESPACE, Cluster, Stack, wait_for
from tests.e2e.google import names

pytestmark = pytest.mark.e2e

ALLOWED, OTHER = "storage.googleapis.com", "www.example.com"
GREETING = b"an object from the bucket"


class Greeting(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(GREETING)))
        self.end_headers()
        self.wfile.write(GREETING)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    authority.issue((ALLOWED, OTHER), pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = http.server.ThreadingHTTPServer((HOST_ADDRESS, 443), Greeting)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def named(cluster: Cluster) -> Iterator[None]:
    with names(cluster, {HOST_ADDRESS: (ALLOWED, "www.googleapis.com", OTHER)}):
        yield


@pytest.fixture(scope="module")
def pod(cluster: Cluster, deployed: Stack) -> Iterator[str]:
    """A pod beside the models, in the mesh."""
    assert deployed.file.exists()
    name = "egress-probe"
    cluster.core.create_namespaced_pod(
        NAMESPACE,
        {
            "metadata": {"name": name, "labels": {"sidecar.istio.io/inject": "true"}},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "caller",
                        "image": "docker.io/tfserving-mesh/caller:sandbox",
                        "imagePullPolicy": "IfNotPresent",
                        "args": ["wait"],
                    }
                ],
            },
        },
    )

    def ready() -> bool:
        conditions = cluster.core.read_namespaced_pod(name, NAMESPACE).status.conditions or []
        return any(each.type == "Ready" and each.status == "True" for each in conditions)

    wait_for(ready, "the probe to be ready")
    yield name
    cluster.core.delete_namespaced_pod(name, NAMESPACE)


def reaches(cluster: Cluster, pod: str, host: str) -> bool:
    command = ["/caller", "get", f"https://{host}/", "--insecure", "--timeout", "5s"]
    answer = json.loads(execute(cluster.core, NAMESPACE, pod, "caller", command))
    return bool(answer.get("status") == 200)


@pytest.mark.usefixtures("google", "named")
def test_a_pod_reaches_an_allowed_host_and_no_other(stack: Stack, cluster: Cluster, pod: str) -> None:
    wait_for(lambda: reaches(cluster, pod, ALLOWED), "the allowed host to answer")
    assert not reaches(cluster, pod, OTHER)

    stack.set(egress={"gcs": False})
    stack.up()
    wait_for(lambda: not reaches(cluster, pod, ALLOWED), "the proxy to close the way")
    assert not reaches(cluster, pod, OTHER)
