"""Kubernetes without a node: etcd, API server and controller manager of the sandbox's build, on loopback.

The API server is the real one, so a `pulumi up` meets the real server-side apply and Istio's real types. No container
runs: `ready` says of every pod that it is, as a kubelet would, and no webhook is called, for istiod is only an object
here. Objects can therefore be many more than a machine could run pods for.
"""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from sandbox import gotools
from sandbox.commands import tail
from sandbox.gotools import GoTool

TOKEN = "bench"  # noqa: S105 - of a server that listens on loopback and is gone in minutes
PATIENCE = 60.0  # seconds for the server to come up
# Objects by the hundred: the default of 20 requests a second would be what is measured.
RATE = ["--kube-api-qps=1000", "--kube-api-burst=2000"]


@contextmanager
def control_plane(folder: Path) -> Iterator[Path]:
    """Run a control plane in a folder of its own; yield the path of its kubeconfig, and end it.

    Exits with what is to be done when its programs are not built, or when it does not come up.
    """
    tools = (gotools.ETCD, gotools.APISERVER, gotools.CONTROLLER_MANAGER)
    missing = [tool.binary for tool in tools if not gotools.built(tool)]
    if missing:
        sys.exit(f"{', '.join(missing)}: not built yet. Run: .venv/bin/python -m sandbox build")
    etcd, peer, port = _free_ports(3)
    kubeconfig = folder / "kubeconfig"
    certificates = folder / "certificates"  # the API server makes its own
    kubeconfig.write_text(yaml.safe_dump(_kubeconfig(f"https://127.0.0.1:{port}", certificates / "apiserver.crt")))
    client_url, peer_url = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
    running: list[subprocess.Popen[bytes]] = []

    def start(tool: GoTool, *arguments: str) -> None:
        with (folder / f"{tool.binary}.log").open("wb") as log:
            command = [str(gotools.target(tool)), *arguments]
            running.append(subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT))

    try:
        start(
            gotools.ETCD,
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls={client_url}",
            f"--advertise-client-urls={client_url}",
            f"--listen-peer-urls={peer_url}",
            f"--initial-advertise-peer-urls={peer_url}",
            f"--initial-cluster=default={peer_url}",
            "--unsafe-no-fsync",
        )
        start(gotools.APISERVER, *_api_server(folder, client_url, port))
        _wait_until_ready(kubeconfig, running, folder / f"{gotools.APISERVER.binary}.log")
        controllers = "deployment-controller,replicaset-controller,garbage-collector-controller"
        start(
            gotools.CONTROLLER_MANAGER,
            f"--kubeconfig={kubeconfig}",
            f"--controllers={controllers}",
            "--leader-elect=false",
            "--secure-port=0",
            *RATE,
        )
        yield kubeconfig
    finally:
        for process in reversed(running):
            process.kill()
            process.wait()


def _api_server(folder: Path, etcd: str, port: int) -> list[str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    signing = folder / "service-account.key"
    signing.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    (folder / "tokens.csv").write_text(f"{TOKEN},bench,bench\n")
    return [
        f"--etcd-servers={etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder / 'certificates'}",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/12",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=AlwaysAllow",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={signing}",
        f"--service-account-key-file={signing}",
        # No istiod answers the webhooks that Istio's charts declare.
        "--disable-admission-plugins=ServiceAccount,MutatingAdmissionWebhook,ValidatingAdmissionWebhook",
    ]


@contextmanager
def ready(kubeconfig: Path) -> Iterator[None]:
    """Say of every pod that there is, or comes, that it is ready."""
    config.load_kube_config(str(kubeconfig))  # type: ignore[no-untyped-call]
    core: Any = client.CoreV1Api()
    ended = threading.Event()
    # A pod counts as available some seconds after this moment (minReadySeconds), so it has to be told.
    since = datetime.now(UTC).isoformat()
    conditions = [{"type": kind, "status": "True", "lastTransitionTime": since} for kind in ("Ready", "PodScheduled")]
    status = {"phase": "Running", "conditions": conditions}

    def watch() -> None:
        done: set[str] = set()
        while not ended.wait(0.2):
            for pod in core.list_pod_for_all_namespaces().items:
                if pod.metadata.uid in done:
                    continue
                try:
                    core.patch_namespaced_pod_status(pod.metadata.name, pod.metadata.namespace, {"status": status})
                except ApiException as error:
                    if error.status != 404:  # gone again
                        raise
                done.add(pod.metadata.uid)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _kubeconfig(server: str, certificate: Path) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bench",
        "clusters": [{"name": "bench", "cluster": {"server": server, "certificate-authority": str(certificate)}}],
        "users": [{"name": "bench", "user": {"token": TOKEN}}],
        "contexts": [{"name": "bench", "context": {"cluster": "bench", "user": "bench"}}],
    }


def _wait_until_ready(kubeconfig: Path, running: list[subprocess.Popen[bytes]], log: Path) -> None:
    kubectl = [str(gotools.target(gotools.KUBECTL)), f"--kubeconfig={kubeconfig}", "get", "--raw=/readyz"]
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(kubectl, capture_output=True, check=False).returncode != 0:
        if time.monotonic() > deadline or any(process.poll() is not None for process in running):
            sys.exit(f"the API server did not come up:\n{tail(log)}")
        time.sleep(0.5)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()
