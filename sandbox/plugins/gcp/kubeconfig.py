"""The sandbox's cluster, as its kubeconfig tells: what a made-up cluster of Google's has as its address."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE_VARIABLE = "SANDBOX_KUBECONFIG"
"""The sandbox's own kubeconfig, also where KUBECONFIG has come to mean another one."""
AUTH_PLUGIN = "gke-gcloud-auth-plugin"


class NoSandboxError(Exception):
    """There is no cluster to stand in for Google's; the message says what to do."""


@dataclass(frozen=True)
class Access:
    """The current context of a kubeconfig."""

    server: str
    """With the scheme."""
    authority: bytes
    """PEM; empty when the server's certificate is publicly trusted."""
    user: Mapping[str, Any]
    """The user's entry, as it stands there."""
    folder: Path
    """What file names in it are relative to."""

    @property
    def host(self) -> str:
        """Address and port, as a client writes them behind https://."""
        return self.server.removeprefix("https://").rstrip("/")

    def data(self, name: str) -> bytes:
        """Return what the user's entry has under `name`-data, or in the file that it names; empty without either."""
        return _data(dict(self.user), name, self.folder)


def access(environ: Mapping[str, str]) -> Access:
    """Read the sandbox's kubeconfig.

    Raises:
        NoSandboxError: there is none, or it is not one.
    """
    named = environ.get(FILE_VARIABLE) or environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    if not named or not Path(named).is_file():
        where = f"there is no {named}" if named else "KUBECONFIG is not set"
        raise NoSandboxError(f"no sandbox is running: {where}. Run: python3 -m sandbox up")
    try:
        return _current(Path(named))
    except (yaml.YAMLError, KeyError, TypeError, ValueError, StopIteration) as error:
        raise NoSandboxError(f"{named} is no kubeconfig with a current context: {type(error).__name__}") from error


def _current(file: Path) -> Access:
    loaded = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe
    context = _named(loaded["contexts"], loaded["current-context"])["context"]
    cluster = _named(loaded["clusters"], context["cluster"])["cluster"]
    user = _named(loaded["users"], context["user"])["user"]
    if (user.get("exec") or {}).get("command", "").endswith(AUTH_PLUGIN):
        raise NoSandboxError(f"{file} is for a cluster on GKE, not the sandbox's. Run: python3 -m sandbox up")
    return Access(cluster["server"], _data(cluster, "certificate-authority", file.parent), user, file.parent)


def _named(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _data(entry: dict[str, Any], name: str, folder: Path) -> bytes:
    if inline := entry.get(f"{name}-data"):
        return base64.b64decode(inline)
    return (folder / entry[name]).read_bytes() if entry.get(name) else b""
