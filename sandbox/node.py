"""The node: booted in namespaces of its own, ended by ending its first process, and removed without a trace."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from sandbox import cgroups, debian, gotools, images, inotify, machine, network, node_config
from sandbox.commands import output_of, run_logged, system_environment, tail
from sandbox.errors import SandboxError
from sandbox.images import Image
from sandbox.state import Process, State

MADE = "made.json"
"""In the state folder: the folders that were made outside of it. It is there from before a boot touches anything."""
_INIT = Path(__file__).resolve().parent / "node-init.sh"
_NAMESPACES = ("--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts", "--ipc")
_ENTER = ("--mount", "--net", "--pid", "--uts", "--ipc")
_Found = TypeVar("_Found")


def logs(state: State) -> Path:
    """Where the node's programs write."""
    return state.root / "logs"


def start(state: State) -> State:
    """Start the node's first process with its private folders, and join it to the host.

    Raises:
        SandboxError: the machine lacks something, or containerd did not come up.
    """
    _prepare(state)
    machine.require_machine(state.root, state.root / "scratch")
    network.require_free_addresses(state.root)
    cgroups.create()
    inotify.raise_limit(state.root)
    script = state.root / _INIT.name
    with (logs(state) / "init.log").open("w") as log:
        wrapper = subprocess.Popen(
            ["unshare", *_NAMESPACES, "bash", script, state.root],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=system_environment(),
            cwd="/",
            start_new_session=True,
        )
    first = _wait_for(lambda: _child_of(wrapper.pid), 10, "the node's first process", logs(state) / "init.log")
    state = replace(state, node=Process.of(first)).save()
    network.connect(first, state.root)
    socket = Path(f"/proc/{first}/root/run/containerd/containerd.sock")
    _wait_for(lambda: _alive(state) and socket.exists(), 30, "containerd", logs(state) / "containerd.log")
    return state


def _prepare(state: State) -> None:
    """Write everything the first process reads; folders made on the host are recorded before they are made."""
    for folder in (logs(state), state.root / "bin", state.root / "scratch"):
        folder.mkdir(parents=True, exist_ok=True)
    plugins = debian.cni_folder()
    if plugins is None:
        raise SandboxError(f"the CNI plugins are not installed: {debian.apt_command(['containernetworking-plugins'])}")
    mounts = {state.root / "node" / name: Path(target) for name, target in node_config.PRIVATE_FOLDERS.items()}
    for source in mounts:
        source.mkdir(parents=True, exist_ok=True)
    made = [str(folder) for target in mounts.values() for folder in _missing_folders(target)]
    (state.root / MADE).write_text(json.dumps(sorted(set(made))))
    for target in mounts.values():
        target.mkdir(parents=True, exist_ok=True)
    (state.root / "mounts").write_text("".join(f"{source} {target}\n" for source, target in mounts.items()))
    (state.root / "hostname").write_text(node_config.NODE_NAME)
    (state.root / "pod-cidr").write_text(str(node_config.PODS))
    (state.root / "service-cidr").write_text(str(node_config.SERVICES))
    (state.root / "containerd.toml").write_text(node_config.containerd(plugins))
    (state.root / "kubeadm.yaml").write_text(node_config.kubeadm())
    net = state.root / "node" / "etc-cni" / "net.d"
    net.mkdir(exist_ok=True)
    (net / "10-sandbox.conflist").write_text(node_config.cni())
    for tool in (gotools.KUBELET, gotools.KUBE_PROXY, gotools.KUBE_ROUTER, gotools.KUBEADM):
        (state.root / "bin" / tool.binary).symlink_to(gotools.target(tool))
    shutil.copyfile(_INIT, state.root / _INIT.name)


def _missing_folders(folder: Path) -> Iterator[Path]:
    while not folder.exists():
        yield folder
        folder = folder.parent


def _alive(state: State) -> bool:
    if state.node is None or not state.node.alive:
        raise SandboxError(f"the node's first process ended: {tail(logs(state) / 'init.log', 3)}")
    return True


def _child_of(parent: int) -> int | None:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if int(fields[1]) == parent:
            return int(stat.parent.name)
    return None


def _wait_for(probe: Callable[[], _Found | None], seconds: float, what: str, log: Path) -> _Found:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.1)
    raise SandboxError(f"{what} did not come up within {seconds:.0f} s, log: {log}\n{tail(log, 5)}")


def inside(state: State) -> list[str]:
    """The command that runs another one inside the node.

    Raises:
        SandboxError: there is no node.
    """
    if state.node is None:
        raise SandboxError("the sandbox uses your own cluster: there is no node of its own to enter")
    return ["nsenter", "--target", str(state.node.pid), *_ENTER]


def import_images(state: State, wanted: Iterable[Image]) -> list[str]:
    """Give the node's containerd the images that it does not have in their present form; return their references."""
    record = state.root / "images"
    record.mkdir(exist_ok=True)
    imported = []
    for image in wanted:
        archive = images.target(image)
        done = record / f"{archive.name}.imported"
        if not done.exists():
            command = [*inside(state), "ctr", "--namespace", "k8s.io", "images", "import", str(archive)]
            log = logs(state) / f"import-{archive.stem}.log"
            run_logged(f"importing {image.reference}", command, log, env=system_environment())
            done.touch()
            imported += image.references
    return imported


def restart_pods(state: State, references: Collection[str]) -> None:
    """Replace the pods that were started from what these images were before, and wait until all Deployments are up."""
    found = json.loads(kubectl(state, "get", "pods", "--all-namespaces", "--output=json"))["items"]
    for namespace, names in former(found, references).items():
        kubectl(state, "delete", "pods", *names, f"--namespace={namespace}", "--ignore-not-found")
    up = ["--for=condition=Available", "--all-namespaces", "--all", "--timeout=180s"]
    kubectl(state, "wait", "deployments", *up)


def former(pods: Iterable[dict[str, Any]], references: Collection[str]) -> dict[str, list[str]]:
    """Return by namespace the names of the pods that run one of these images and that a Deployment makes anew.

    The control plane's own pods are not among them: they are the kubelet's, which no request replaces.
    """
    names: dict[str, list[str]] = {}
    for pod in pods:
        containers = [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]
        owners = {owner["kind"] for owner in pod["metadata"].get("ownerReferences", [])}
        # A pod may leave out Docker's registry, as a Deployment of TF Serving does.
        images_of = {name for each in containers for name in (each["image"], f"docker.io/{each['image']}")}
        if "ReplicaSet" in owners and not images_of.isdisjoint(references):
            names.setdefault(pod["metadata"]["namespace"], []).append(pod["metadata"]["name"])
    return names


def initialise(state: State) -> None:
    """Make it a Kubernetes node by kubeadm, and hand the kubeconfig out."""
    kubeadm = str(state.root / "bin" / "kubeadm")
    command = [*inside(state), kubeadm, "init", "--config", str(state.root / "kubeadm.yaml")]
    command += ["--ignore-preflight-errors=all", "--skip-phases=addon/kube-proxy", "--v=1"]
    run_logged("kubeadm init", command, logs(state) / "kubeadm.log", env=system_environment())
    shutil.copyfile(state.root / "node" / "etc-kubernetes" / "admin.conf", state.kubeconfig)
    state.kubeconfig.chmod(0o600)


def kubectl(state: State, *arguments: str) -> str:
    """What the sandbox's own kubectl prints.

    Raises:
        SandboxError: it failed.
    """
    command: list[str | Path] = [gotools.target(gotools.KUBECTL), "--kubeconfig", state.kubeconfig, *arguments]
    return output_of(f"kubectl {' '.join(arguments)}", command, env=system_environment())


def wait_ready(state: State) -> None:
    """Wait until the node is Ready and its DNS answers, which needs kube-proxy."""
    # One replica is enough for one node.
    kubectl(state, "--namespace=kube-system", "scale", "deployment/coredns", "--replicas=1")
    kubectl(state, "wait", "--for=condition=Ready", f"node/{node_config.NODE_NAME}", "--timeout=120s")
    try:
        kubectl(state, "--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")
    except SandboxError as error:
        raise SandboxError(f"{error} (logs: {logs(state)})") from error


def remove(root: Path) -> None:
    """Remove a node whatever state it is in: processes, interface, control groups, limits, folders made on the host.

    `root` is the state folder; it is removed last, so that an interrupted removal is finished by the next one.
    """
    _end_processes(root)
    network.disconnect(root)
    cgroups.remove()
    inotify.restore_limit(root)
    _remove_made(root / MADE)


def _end_processes(root: Path) -> None:
    """End the first processes by SIGKILL: the kernel ends everything else in their namespaces with them."""
    script = str(root / _INIT.name).encode()
    deadline = time.monotonic() + 30
    while found := list(_with_argument(script)):
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # ended by itself, or with another one
        if time.monotonic() > deadline:
            raise SandboxError(
                f"the node's process {found[0]} does not end, even by SIGKILL: see /proc/{found[0]}/stack"
            )
        time.sleep(0.1)


def _with_argument(argument: bytes) -> Iterator[int]:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if argument in file.read_bytes().split(b"\0"):
                yield int(file.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked


def _remove_made(record: Path) -> None:
    """Remove the folders that `_prepare` made on the host, as far as nobody has put anything there since."""
    if record.exists():
        for folder in sorted(map(Path, json.loads(record.read_text())), key=lambda path: -len(path.parts)):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
