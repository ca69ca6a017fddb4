"""What the tests do to the cluster behind the plugin's back, and see of it: by kubectl."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sandbox.plan import path_folder

Object = dict[str, Any]
Found = TypeVar("Found")


def unique(prefix: str) -> str:
    """A name that no other test run has."""
    return f"{prefix}-{secrets.token_hex(4)}"


def eventually(look: Callable[[], Found | None], what: str, seconds: float = 30.0) -> Found:
    """Looks until there is something to see; AssertionError after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not after {seconds:.0f} s"
        time.sleep(0.1)


class Cluster:
    """A cluster by its kubeconfig."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._kubectl = shutil.which("kubectl") or str(path_folder() / "kubectl")

    def kubectl(self, *args: str, stdin: str | None = None, check: bool = True) -> str:
        """Runs kubectl and returns what it printed; CalledProcessError unless it succeeds."""
        done = subprocess.run(
            [self._kubectl, *args],
            input=stdin,
            env=os.environ | {"KUBECONFIG": str(self.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(args)}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str, namespace: str = "") -> Object | None:
        """One object with its managed fields; None when there is none."""
        place = ["-n", namespace] if namespace else []
        text = self.kubectl("get", kind, name, *place, "-o", "json", "--show-managed-fields", "--ignore-not-found")
        return json.loads(text) if text else None

    def live(self, kind: str, name: str, namespace: str = "") -> Object:
        """One object that has to be there."""
        found = self.get(kind, name, namespace)
        assert found is not None, f"{kind} {namespace}/{name} does not exist"
        return found

    def make(self, *objects: Object, server_side: str = "") -> None:
        """Applies objects, server-side under the given manager's name if there is one."""
        how = ["--server-side", "--field-manager", server_side, "--force-conflicts"] if server_side else []
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.kubectl("apply", *how, "-f", "-", stdin=text)

    def patch(self, kind: str, name: str, namespace: str, patch: Object, *flags: str) -> None:
        """Merges a patch into an object."""
        self.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", json.dumps(patch), *flags)

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace for the time being."""
        name = unique("plugin-test")
        self.kubectl("create", "namespace", name)
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")

    @contextmanager
    def definition(self, *, namespaced: bool = True) -> Iterator[Definition]:
        """A custom resource definition for the time being, not created yet."""
        definition = Definition(unique("x").replace("-", ""), namespaced)
        try:
            yield definition
        finally:
            self.kubectl("delete", "crd", definition.name, "--wait=false", "--ignore-not-found")


class Definition:
    """A custom resource definition whose objects have a `spec` and a `status` of any shape."""

    def __init__(self, word: str, namespaced: bool) -> None:  # noqa: FBT001 - only made above
        self.group, self.plural, self.kind = f"{word}.example.com", "routes", "Route"
        self.name = f"{self.plural}.{self.group}"
        self.version = f"{self.group}/v1"
        self.token = f"kubernetes:{self.version}:{self.kind}"
        self._scope = "Namespaced" if namespaced else "Cluster"

    @property
    def manifest(self) -> Object:
        """The definition as an object."""
        anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        return {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": self.name},
            "spec": {
                "group": self.group,
                "scope": self._scope,
                "names": {"plural": self.plural, "singular": "route", "kind": self.kind},
                "versions": [version],
            },
        }

    def create(self, cluster: Cluster) -> None:
        """Creates the definition and waits until its objects are served."""
        cluster.make(self.manifest)
        cluster.kubectl("wait", "--for=condition=Established", f"crd/{self.name}", "--timeout=30s")
