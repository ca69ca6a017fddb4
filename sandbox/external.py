"""A cluster that the user already has, named by a kubeconfig context: nothing is booted, only used."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console

from sandbox import environment, images, stack
from sandbox.commands import run_logged
from sandbox.errors import SandboxError
from sandbox.paths import log_folder
from sandbox.progress import Step, run_steps
from sandbox.state import State, load_state, new_state

_FILE_KEYS = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


def use(context: str, console: Console) -> State:
    """Take the user's cluster as the sandbox: a kubeconfig with that context alone, and our two images.

    Raises:
        SandboxError: there is no such context, or kind could not load an image.
    """
    state = load_state() or new_state(context)
    config = minified(context, kubeconfig_files())
    state.save()
    state.kubeconfig.touch(mode=0o600)
    state.kubeconfig.write_text(yaml.safe_dump(config, sort_keys=False))
    _hand_over_images(context, state, console)
    return state.ready()


def _hand_over_images(context: str, state: State, console: Console) -> None:
    archives = {image.reference: images.target(image) for image in images.WORKLOADS}
    if not context.startswith("kind-") or shutil.which("kind") is None:
        console.print(f"Load these images into the nodes of {context}; the cluster cannot pull them:", soft_wrap=True)
        for reference, archive in archives.items():
            console.print(f"  {reference}  {archive}", soft_wrap=True, highlight=False)
        return
    record = state.root / "images"
    record.mkdir(exist_ok=True)
    missing = {name: file for name, file in archives.items() if not (record / f"{file.name}.imported").exists()}

    def load(reference: str, archive: Path) -> None:
        name = context.removeprefix("kind-")
        command: list[str | Path] = ["kind", "load", "image-archive", archive, "--name", name]
        run_logged(f"loading {reference}", command, log_folder() / "kind-load.log")
        (record / f"{archive.name}.imported").touch()

    run_steps(
        [Step(f"load {name} into {context}", partial(load, name, file)) for name, file in missing.items()], console
    )


def leave(state: State) -> None:
    """Take the stack out of the user's cluster before its record is deleted.

    Raises:
        SandboxError: `pulumi destroy` failed; what it printed stands above.
    """
    if not any((state.root / "pulumi-state").rglob(f"{stack.stack_of(state)}.json")):
        return  # nothing was ever deployed
    settings = {**os.environ, **environment.variables(state, os.environ)}
    try:
        name = stack.stack_of(state)
        stack.run(["pulumi", "destroy", "--yes", "--skip-preview", "--stack", name], state, settings)
    except SandboxError as error:
        raise SandboxError(f"{error}. To forget a cluster that is no longer there: down --leave-cluster") from error


def kubeconfig_files() -> list[Path]:
    """Where kubectl looks for the user's clusters."""
    configured = [Path(entry) for entry in os.environ.get("KUBECONFIG", "").split(os.pathsep) if entry]
    return configured or [Path.home() / ".kube" / "config"]


def minified(context: str, files: list[Path]) -> dict[str, Any]:
    """A kubeconfig with that context, its cluster and its user alone; the first file wins, as with kubectl.

    Raises:
        SandboxError: none of the files has the context (the message lists those there are), or one is no YAML.
    """
    contexts: dict[str, Any] = {}
    clusters: dict[str, Any] = {}
    users: dict[str, Any] = {}
    for file in files:
        if not file.exists():
            continue
        loaded = _read(file)
        for known, section, kind in (
            (contexts, "contexts", "context"), (clusters, "clusters", "cluster"), (users, "users", "user")
        ):  # fmt: skip
            for entry in loaded.get(section) or []:
                known.setdefault(entry["name"], _absolute(entry.get(kind) or {}, file.parent))
    if context not in contexts:
        known_names = ", ".join(sorted(contexts)) or "none"
        raise SandboxError(
            f"there is no kubeconfig context {context}; there are: {known_names} (KUBECONFIG names the file)"
        )
    chosen = contexts[context]
    cluster, user = chosen.get("cluster"), chosen.get("user")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": chosen}],
        "clusters": [{"name": cluster, "cluster": clusters[cluster]}] if cluster in clusters else [],
        "users": [{"name": user, "user": users[user]}] if user in users else [],
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise SandboxError(f"{file} cannot be read as a kubeconfig: {error}") from error
    if not isinstance(loaded, dict):
        raise SandboxError(f"{file} is no kubeconfig")
    return loaded


def _absolute(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """File names in a kubeconfig are relative to its own folder, which ours does not share."""
    return {key: str(folder / value) if key in _FILE_KEYS else value for key, value in entry.items()}
