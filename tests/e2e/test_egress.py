"""What a model's pod reaches with its proxy's capture and around it, and which ports answer a pod in the cluster."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from sandbox import authority
from sandbox.commands import output_of, system_environment
from sandbox.node_config import HOST_ADDRESS, INTERFACE, NODE_ADDRESS
from tests.e2e.conftest import MODEL, NAMESPACE, ROOT, Cluster, Stack, own_node, wait_for
from tests.e2e.google import names
from tests.e2e.inside import APPLICATION, PROXY, ROOT_USER, ended, reached, start

pytestmark = pytest.mark.e2e

HOST, OTHER = "registry.example.com", "www.example.com"
FOREIGN_ADDRESS = "203.0.113.7"  # of a range that is nobody's
KUBERNETES = "10.96.0.1"
ALLOWED = {
    "hosts": [{"host": HOST, "reason": "where models are registered"}],
    "addresses": [{"cidr": f"{HOST_ADDRESS}/32", "reason": "the registry's"}],
}


class Way(NamedTuple):
    """Something to try from a pod: what `knock.py` takes, and whether a model's pod gets there."""

    kind: str
    address: str
    port: int
    captured: bool
    around: bool


def ways(cluster: Cluster) -> dict[str, Way]:
    """Return what there is to try, by what it is; a pod that no policy holds gets everywhere."""
    dns = cluster.core.read_namespaced_service("kube-dns", "kube-system").spec.cluster_ip
    istiod = pod_of(cluster, "istio-system", "app=istiod").status.pod_ip
    other = pod_of(cluster, "kube-system", "k8s-app=kube-dns").status.pod_ip
    return {
        "an allowed host": Way(f"tls:{HOST}", HOST_ADDRESS, 443, captured=True, around=True),
        # Policies know no names.
        "another host at its address": Way(f"tls:{OTHER}", HOST_ADDRESS, 443, captured=False, around=True),
        "names": Way("udp", dns, 53, captured=True, around=True),
        "names by TCP": Way("dns", dns, 53, captured=True, around=True),
        # The agent asks as the proxy's user; for others it is a pod's address that nothing names.
        "certificates": Way("tls:istiod.istio-system.svc", istiod, 15012, captured=False, around=True),
        "a raw address": Way(f"tls:{OTHER}", FOREIGN_ADDRESS, 443, captured=False, around=False),
        "another port of an allowed address": Way("tcp", HOST_ADDRESS, 8443, captured=False, around=False),
        "a foreign server for names": Way("udp", FOREIGN_ADDRESS, 53, captured=False, around=False),
        "an allowed address asked for names": Way("udp", HOST_ADDRESS, 53, captured=False, around=False),
        "UDP to a raw address": Way("udp", FOREIGN_ADDRESS, 443, captured=False, around=False),
        "UDP to an allowed address": Way("udp", HOST_ADDRESS, 443, captured=False, around=False),
        "the API server": Way("tcp", NODE_ADDRESS, 6443, captured=False, around=False),
        "the API server's Service": Way("tcp", KUBERNETES, 443, captured=False, around=False),
        "the kubelet": Way("tcp", NODE_ADDRESS, 10250, captured=False, around=False),
        "another port of istiod": Way("tcp", istiod, 15014, captured=False, around=False),
        "another pod": Way("tcp", other, 8181, captured=False, around=False),
    }


def pod_of(cluster: Cluster, namespace: str, labels: str) -> Any:
    running = [pod for pod in cluster.staying(namespace, labels) if pod.status.phase == "Running"]
    assert running, f"no pod of {labels} runs"
    return running[0]


def accept(server: socket.socket) -> None:
    """Greet whoever connects, and end with the socket."""
    while True:
        try:
            link, _ = server.accept()
            with link:
                link.sendall(b"welcome")
                link.recv(512)
        except ssl.SSLError:
            continue  # who connected went away before it was done
        except ConnectionError:
            continue
        except OSError:
            return


def echo(server: socket.socket) -> None:
    """Send back what comes, and end with the socket."""
    while True:
        try:
            text, sender = server.recvfrom(512)
            server.sendto(text, sender)
        except OSError:
            return


@pytest.fixture(scope="module")
def outside(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers outside the cluster: at an allowed address, and at one that nothing names."""
    node = own_node("addresses outside are played")
    pem = tmp_path_factory.mktemp("tls") / "server.pem"
    authority.issue((HOST, OTHER), pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    inside = ["nsenter", "--target", str(node.pid), "--net"]
    address, route = f"{FOREIGN_ADDRESS}/32", [f"{FOREIGN_ADDRESS}/32", "via", HOST_ADDRESS]
    run("ip", "address", "replace", address, "dev", INTERFACE)
    run(*inside, "ip", "route", "replace", *route)
    opened: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def serve(by: Callable[[socket.socket], None], server: socket.socket) -> None:
        opened.append(server)
        threads.append(threading.Thread(target=by, args=(server,), daemon=True))
        threads[-1].start()

    try:
        for host in (HOST_ADDRESS, FOREIGN_ADDRESS):
            serve(accept, context.wrap_socket(socket.create_server((host, 443)), server_side=True))
            for port in (53, 443):
                server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                server.bind((host, port))
                serve(echo, server)
        serve(accept, socket.create_server((HOST_ADDRESS, 8443)))
        with names(cluster, {HOST_ADDRESS: (HOST, OTHER)}):
            yield
    finally:
        for server in opened:
            server.shutdown(socket.SHUT_RDWR) if server.type == socket.SOCK_STREAM else None
            server.close()
        run(*inside, "ip", "route", "delete", *route)
        run("ip", "address", "delete", address, "dev", INTERFACE)


def run(*command: str) -> None:
    output_of(" ".join(command), list(command), env=system_environment())


@pytest.mark.usefixtures("outside")
def test_a_models_pod_reaches_what_is_allowed_and_nothing_else_whoever_asks(stack: Stack, cluster: Cluster) -> None:
    stack.set(egress=ALLOWED)
    stack.up()
    tried = ways(cluster)
    knocks = [way[:3] for way in tried.values()]
    # What nobody could reach would be refused by chance.
    free = reached(pod_of(cluster, "istio-system", "istio=ingress"), PROXY, knocks)
    assert dict(zip(tried, free, strict=True)) == dict.fromkeys(tried, True)
    pod = pod_of(cluster, NAMESPACE, f"app={MODEL}")
    wait_for(lambda: all(reached(pod, APPLICATION, knocks[:1])), "the proxy to hear of the host")
    for user, expected in (
        (APPLICATION, {name: way.captured for name, way in tried.items()}),
        (ROOT_USER, {name: way.captured for name, way in tried.items()}),
        (PROXY, {name: way.around for name, way in tried.items()}),
    ):
        assert dict(zip(tried, reached(pod, user, knocks), strict=True)) == expected, f"as user {user}"

    stack.set(egress={"gcs": False})
    stack.up()
    wait_for(lambda: not any(reached(pod, APPLICATION, knocks[:1])), "the proxy to close the way")
    wait_for(lambda: not any(reached(pod, PROXY, knocks[:1])), "the node to close it too", seconds=10)


def listed_ports() -> dict[str, set[int]]:
    """Return by place the ports of the page's table."""
    page = (ROOT / "docs/egress.md").read_text()
    part = page.partition("\n## What answers in the cluster\n")[2].partition("\n## ")[0]
    found: dict[str, set[int]] = {}
    for place, ports in re.findall(r"^\| ([^|]+) \| ([0-9, ]+) \|", part, re.MULTILINE):
        found.setdefault(place.strip(), set()).update(map(int, ports.split(",")))
    return found


def place_of(pod: Any) -> str:
    if pod.spec.host_network:
        return "the node"
    labels = pod.metadata.labels or {}
    if pod.metadata.namespace == NAMESPACE:
        return "a model"
    known = {"istiod": "istiod", "istio-ingress": "the gateway", "kube-dns": "kube-dns"}
    return known.get(str(labels.get("app") or labels.get("k8s-app")), str(pod.metadata.name))


@pytest.mark.usefixtures("deployed")
def test_only_the_ports_that_the_page_lists_answer_another_pod(cluster: Cluster) -> None:
    caller = pod_of(cluster, "callers", "app=caller")
    pods = [pod for pod in cluster.core.list_pod_for_all_namespaces().items if pod.metadata.namespace != "callers"]
    targets = {pod.status.pod_ip: place_of(pod) for pod in pods if pod.status.phase == "Running"}
    assert set(targets.values()) >= {"the node", "a model", "istiod", "the gateway", "kube-dns"}
    scans = {address: start(caller, PROXY, "scan.py", address) for address in targets}
    found: dict[str, set[int]] = {}
    for address, scan in scans.items():
        found.setdefault(targets[address], set()).update(ended(scan))
    assert found == listed_ports()
