"""What a pod of the models' namespace can reach outside the mesh; a TLS server on the host stands for Google's."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rollout.proxies import execute
from sandbox.node_config import HOST_ADDRESS
from tests.e2e.conftest import NAMESPACE, Cluster, Stack, wait_for

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


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate and its key into one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ALLOWED)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(ALLOWED), x509.DNSName(OTHER)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    file.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate(tmp_path_factory.mktemp("tls")))
    server = http.server.ThreadingHTTPServer((HOST_ADDRESS, 443), Greeting)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def names(cluster: Cluster) -> Iterator[None]:
    """Let the cluster's DNS send both hosts to the server on the host's end, as long as the tests run."""
    config = cluster.core.read_namespaced_config_map("coredns", "kube-system")
    before = config.data["Corefile"]
    hosts = f"hosts {{\n  {HOST_ADDRESS} {ALLOWED} www.googleapis.com {OTHER}\n  fallthrough\n}}\n"
    config.data["Corefile"] = before.replace("    errors\n", f"    errors\n{hosts}", 1)
    assert config.data["Corefile"] != before
    restart_dns(cluster, config.data["Corefile"])
    yield
    restart_dns(cluster, before)


def restart_dns(cluster: Cluster, corefile: str) -> None:
    cluster.core.patch_namespaced_config_map("coredns", "kube-system", {"data": {"Corefile": corefile}})
    cluster.core.delete_collection_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns")

    def ready() -> bool:
        deployment = cluster.apps.read_namespaced_deployment("coredns", "kube-system")
        pods = cluster.core.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items
        gone = all(pod.metadata.deletion_timestamp is None for pod in pods)
        return gone and deployment.status.ready_replicas == deployment.spec.replicas

    wait_for(ready, "CoreDNS to be ready")


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


@pytest.mark.usefixtures("google", "names")
def test_a_pod_reaches_an_allowed_host_and_no_other(stack: Stack, cluster: Cluster, pod: str) -> None:
    wait_for(lambda: reaches(cluster, pod, ALLOWED), "the allowed host to answer")
    assert not reaches(cluster, pod, OTHER)

    stack.set(egress={"gcs": False})
    stack.up()
    wait_for(lambda: not reaches(cluster, pod, ALLOWED), "the proxy to close the way")
    assert not reaches(cluster, pod, OTHER)
