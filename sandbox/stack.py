"""The project's program on the sandbox: `pulumi up` of its stack, a calling pod, and a look at the result."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sandbox.errors import SandboxError
from sandbox.recovery import abandoned_locks, stale_release_records, unfinished

if TYPE_CHECKING:
    from sandbox.state import State

PROJECT = "tfserving-mesh"
CALLER_MANIFEST = Path(__file__).with_name("caller.yaml")


def stack_of(state: State) -> str:
    """Return the stack's name: `local` has Istio from the sandbox's own build, `own` the released one."""
    return "local" if state.context is None else "own"


def deploy(state: State) -> None:
    """Bring the program up and show what is there.

    Raises:
        SandboxError: `pulumi up` or the calling pod failed; what they printed stands above.
    """
    from sandbox import tour
    from sandbox.environment import variables as sandbox_variables

    variables, stack = {**os.environ, **sandbox_variables(state, os.environ)}, stack_of(state)
    run(["pulumi", "stack", "select", "--create", stack], state, variables, quiet=True)
    _recover(state, variables, stack)
    run(["pulumi", "up", "--yes", "--skip-preview", "--stack", stack], state, variables)
    exported = outputs(state, variables)
    manifest = state.root / CALLER_MANIFEST.name
    manifest.write_text(caller(exported["rootCertificate"]))
    run(["kubectl", "apply", "--server-side", "-f", str(manifest)], state, variables, quiet=True)
    wait = ["kubectl", "-n", "callers", "rollout", "status", "deployment/caller", "--timeout=120s"]
    run(wait, state, variables, quiet=True)
    os.environ["KUBECONFIG"] = variables["KUBECONFIG"]
    tour.show(exported)


def caller(root: str) -> str:
    """Return the calling pod's manifest; another root makes the pod anew, for its proxy trusts the former one."""
    namespace, deployment = yaml.safe_load_all(CALLER_MANIFEST.read_text())
    digest = hashlib.sha256(root.encode()).hexdigest()[:16]
    deployment["spec"]["template"]["metadata"]["annotations"] = {f"{PROJECT}/root": digest}
    return yaml.safe_dump_all([namespace, deployment], sort_keys=False)


def _recover(state: State, variables: dict[str, str], stack: str) -> None:
    """Clear away what a killed `pulumi up` left, so that the next one goes on from what it made."""
    if abandoned_locks(state.root / "pulumi-state", PROJECT, stack):
        run(["pulumi", "cancel", "--yes", "--stack", stack], state, variables, quiet=True)
    operations = unfinished(
        json.loads(run(["pulumi", "stack", "export", "--stack", stack], state, variables, quiet=True))
    )
    if not operations:
        return
    for namespace, selector in stale_release_records(operations):
        run(["kubectl", "--namespace", namespace, "delete", "secret", "-l", selector], state, variables, quiet=True)
    clear = ["pulumi", "refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--stack", stack]
    run(clear, state, variables, quiet=True)


def outputs(state: State, variables: dict[str, str]) -> dict[str, Any]:
    """Return the stack's outputs, those that are secret left out."""
    shown = run(["pulumi", "stack", "output", "--json", "--stack", stack_of(state)], state, variables, quiet=True)
    return dict(json.loads(shown))


def run(command: list[str], state: State, variables: dict[str, str], *, quiet: bool = False) -> str:
    """Run a command in the project's folder; quiet ones print only when they fail.

    Raises:
        SandboxError: it failed.
    """
    ended = subprocess.run(
        command,
        cwd=state.checkout,
        env=variables,
        check=False,
        text=True,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
    )
    if ended.returncode != 0:
        said = f":\n{ended.stdout}" if quiet else "; what it said stands above"
        raise SandboxError(f"`{' '.join(command)}` failed{said}")
    return ended.stdout or ""
