"""What `status` says: what runs, since when, from where, and how its node and pods are."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from sandbox import gotools, node, plan
from sandbox.commands import output_of, system_environment
from sandbox.errors import SandboxError
from sandbox.lifecycle import leftovers
from sandbox.pulumi_env import find_tools
from sandbox.state import Health, State, holder, load_state


def show(console: Console) -> bool:
    """Print the state of the sandbox; True when it runs and Kubernetes answers."""
    state = load_state()
    if state is None:
        if at_work := holder():
            console.print(f"No sandbox is running yet: process {at_work} is building it, or removing the last one.")
        elif leftovers():
            console.print("No sandbox is running; one that never started has left something: `python -m sandbox down`.")
        else:
            console.print("No sandbox is running: start it with `python -m sandbox up`.")
        return False
    if state.health is Health.GONE:
        console.print(
            f"The sandbox of {state.checkout} is gone: its processes were ended from outside. "
            "`python -m sandbox up` starts it again, `down` removes what is left.",
            soft_wrap=True,
        )
        return False
    word = "running"
    if state.health is Health.INTERRUPTED:
        at_work = holder()
        word = f"starting (process {at_work})" if at_work else "interrupted while it started: run `up` again"
    _line(console, "sandbox", f"{word}, since {state.since:%Y-%m-%d %H:%M:%S} UTC")
    _line(console, "checkout", str(state.checkout))
    _line(console, "state", str(state.root))
    _line(console, "kubeconfig", str(state.kubeconfig))
    if state.context is not None:
        _line(console, "cluster", f"yours: {state.context}")
    elif state.node is not None:
        _line(console, "node", f"process {state.node.pid}, its logs in {node.logs(state)}")
    for tool in find_tools(plan.pulumi_folder(), os.environ).shown:
        _line(console, tool.name, f"yours: {tool.path}" if tool.real else f"the sandbox's own{_version(tool.name)}")
    return state.health is Health.RUNNING and _show_cluster(state, console)


def _version(binary: str) -> str:
    return f", {gotools.PULUMI_VERSION}" if binary == gotools.PULUMI.binary else ", a stand-in"


def _line(console: Console, name: str, value: str) -> None:
    console.print(f"{name:<28}{value}", markup=False, highlight=False, soft_wrap=True)


def _show_cluster(state: State, console: Console) -> bool:
    try:
        nodes = _get(state, "nodes")
        pods = _get(state, "pods", "--all-namespaces")
    except SandboxError as error:
        _line(console, "kubernetes", f"does not answer: {error}")
        return False
    for item in nodes:
        ready = next(c["status"] for c in item["status"]["conditions"] if c["type"] == "Ready")
        info = item["status"]["nodeInfo"]
        word = "Ready" if ready == "True" else "not Ready"
        versions = f"Kubernetes {info['kubeletVersion']}, {info['containerRuntimeVersion'].replace('://', ' ')}"
        _line(console, f"node {item['metadata']['name']}", f"{word}, {versions}, Linux {info['kernelVersion']}")
    totals: Counter[str] = Counter()
    healthy: Counter[str] = Counter()
    for item in pods:
        namespace = item["metadata"]["namespace"]
        totals[namespace] += 1
        healthy[namespace] += pod_ready(item)
    for namespace, total in sorted(totals.items()):
        _line(console, f"pods {namespace}", f"{healthy[namespace]} of {total} ready")
    for item in pods:
        if not pod_ready(item):
            name = f"{item['metadata']['namespace']}/{item['metadata']['name']}"
            _line(console, "", f"not ready: {name}: {pod_reason(item)}")
    return True


def pod_ready(pod: dict[str, Any]) -> bool:
    """True for a pod that serves, and for one that has done its work."""
    if pod["status"].get("phase") == "Succeeded":
        return True
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", []))


def pod_reason(pod: dict[str, Any]) -> str:
    """Why a pod is not ready, as far as Kubernetes says."""
    status = pod["status"]
    for container in (*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return f"{container['name']}: {waiting.get('message') or waiting.get('reason', 'waiting')}"
    return str(status.get("message") or status.get("reason") or status.get("phase", "unknown"))


def _get(state: State, *what: str) -> list[dict[str, Any]]:
    command: list[str | Path] = [
        plan.kubectl(),
        "--kubeconfig",
        state.kubeconfig,
        "get",
        *what,
        "--output=json",
        "--request-timeout=10s",
    ]
    items: list[dict[str, Any]] = json.loads(output_of("kubectl get", command, env=system_environment()))["items"]
    return items
