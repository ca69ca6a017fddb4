"""Google as a model server on GKE meets it, played on the sandbox: Cloud Storage, and the metadata server of the pods.

Storage runs on the host's end of the link: outside the cluster, as the real one is. The metadata server runs on the
node, whose network has its address meanwhile; the host's own network never has it. The cluster's DNS knows the names as
long as both run.
"""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sandbox import authority, gotools
from sandbox.commands import output_of, system_environment
from sandbox.node_config import HOST_ADDRESS
from sandbox.state import State, running_state
from tests.e2e.conftest import Cluster, own_node, wait_for

STORAGE_HOSTS = ("storage.googleapis.com", "www.googleapis.com")
METADATA_HOST = "metadata.google.internal"
METADATA_ADDRESS = "169.254.169.254"


@dataclass
class Google:
    """What runs.

    Attributes:
        folder: `buckets` in it has a folder for each bucket; storage reads them when it starts.
        pool: the workload pool, PROJECT.svc.id.goog; without an annotation a pod is POOL[NAMESPACE/SERVICE ACCOUNT].
    """

    folder: Path
    pool: str
    state: State
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def allow(
        self, readers: Mapping[str, Sequence[str]] | None = None, users: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Say who may do what from now on.

        Args:
            readers: by bucket, the identities with roles/storage.objectViewer; one that is left out is open to all.
            users: by Google service account, those with roles/iam.workloadIdentityUser; likewise.
        """
        file = self.folder / "access.json"
        staged = file.with_suffix(".new")
        staged.write_text(json.dumps({"readers": readers or {}, "users": users or {}}))
        staged.replace(file)

    def requests(self, server: str = "storage") -> list[dict[str, Any]]:
        """Return what `storage` or `metadata` was asked: method, host, uri, from, identity, status."""
        return [json.loads(line) for line in self._log(server).read_text().splitlines() if line.startswith("{")]

    def objects_read(self) -> dict[str, set[str]]:
        """Return by identity the objects whose contents it got, as gs:// paths."""
        read: dict[str, set[str]] = {}
        for each in self.requests():
            if each["host"] == STORAGE_HOSTS[0] and each["status"] in {200, 206}:
                path = each["uri"].lstrip("/").replace("%2F", "/")
                read.setdefault(each["identity"], set()).add(f"gs://{path}")
        return read

    def tokens(self) -> list[str]:
        """Return whose pods got a token; the agents of sidecars, too, ask the metadata server, about their platform."""
        path = "/service-accounts/default/token"
        return [
            each["identity"]
            for each in self.requests("metadata")
            if each["uri"].endswith(path) and each["status"] == 200
        ]

    def start_storage(self) -> None:
        pem = self.folder / "server.pem"
        authority.issue(STORAGE_HOSTS, pem)
        flags = [f"--buckets={self.folder / 'buckets'}", f"--certificate={pem}"]
        self._start("storage", [], HOST_ADDRESS, 443, flags)

    def start_metadata(self) -> None:
        self._inside("ip", "address", "replace", f"{METADATA_ADDRESS}/32", "dev", "lo")
        kubeconfig = self.folder / "kubeconfig.json"
        kubeconfig.write_text(json.dumps(yaml.safe_load(self.state.kubeconfig.read_text())))
        flags = [f"--kubeconfig={kubeconfig}", f"--workload-pool={self.pool}"]
        self._start("metadata", self._enter(), METADATA_ADDRESS, 80, flags)

    def stop(self, server: str) -> None:
        if (process := self.running.pop(server, None)) is not None:
            process.terminate()
            process.wait()
        if server == "metadata":
            self._inside("ip", "address", "flush", "dev", "lo", "to", f"{METADATA_ADDRESS}/32")

    def _start(self, server: str, enter: Sequence[str], address: str, port: int, flags: Sequence[str]) -> None:
        command = [*enter, str(gotools.target(gotools.GOOGLE)), server, f"--listen={address}:{port}", *flags]
        command += [f"--token-key={self.folder / 'token-key'}", f"--access={self.folder / 'access.json'}"]
        with self._log(server).open("ab") as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log, env=system_environment())
        self.running[server] = process

        def listening() -> bool:
            assert process.poll() is None, f"{server} ended: {self._log(server).read_text()}"
            return address in self._listeners(enter, port)

        wait_for(listening, f"{server} to listen")

    def _listeners(self, enter: Sequence[str], port: int) -> str:
        return output_of("ss", [*enter, "ss", "-Htln", f"sport = :{port}"], env=system_environment())

    def _enter(self) -> list[str]:
        """Return what runs a command in the node's network, in its own place, so that it ends when told to."""
        assert self.state.node is not None
        return ["nsenter", "--target", str(self.state.node.pid), "--net"]

    def _inside(self, *command: str) -> None:
        output_of(" ".join(command), [*self._enter(), *command], env=system_environment())

    def _log(self, server: str) -> Path:
        return self.folder / f"{server}.log"


@contextmanager
def played(cluster: Cluster, folder: Path, pool: str = "sandbox.svc.id.goog") -> Iterator[Google]:
    """Play Google until the end of the block; everybody may do everything until `allow` says otherwise.

    Args:
        cluster: the sandbox.
        folder: where `buckets` lies.
        pool: the workload pool, PROJECT.svc.id.goog.
    """
    own_node("Google is played")
    if not gotools.built(gotools.GOOGLE):
        gotools.build(gotools.GOOGLE)
    (folder / "token-key").write_bytes(secrets.token_bytes(32))
    google = Google(folder, pool, running_state())
    google.allow()
    try:
        google.start_storage()
        google.start_metadata()
        with names(cluster, {HOST_ADDRESS: STORAGE_HOSTS, METADATA_ADDRESS: (METADATA_HOST,)}):
            yield google
    finally:
        google.stop("storage")
        google.stop("metadata")


@contextmanager
def names(cluster: Cluster, hosts: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Let the cluster's DNS know hosts, by address, until the end of the block."""
    before = cluster.core.read_namespaced_config_map("coredns", "kube-system").data["Corefile"]
    lines = "".join(f"       {address} {' '.join(each)}\n" for address, each in hosts.items())
    corefile = before.replace("    errors\n", f"    errors\n    hosts {{\n{lines}       fallthrough\n    }}\n", 1)
    assert corefile != before
    try:
        _restart_dns(cluster, corefile)
        yield
    finally:
        _restart_dns(cluster, before)


def _restart_dns(cluster: Cluster, corefile: str) -> None:
    cluster.core.patch_namespaced_config_map("coredns", "kube-system", {"data": {"Corefile": corefile}})
    cluster.core.delete_collection_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns")

    def ready() -> bool:
        deployment = cluster.apps.read_namespaced_deployment("coredns", "kube-system")
        pods = cluster.core.list_namespaced_pod("kube-system", label_selector="k8s-app=kube-dns").items
        gone = all(pod.metadata.deletion_timestamp is None for pod in pods)
        return gone and deployment.status.ready_replicas == deployment.spec.replicas

    wait_for(ready, "CoreDNS to be ready")
