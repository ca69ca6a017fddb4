"""What a `pulumi` that was killed leaves behind: a lock that nobody holds, and Helm releases that nobody recorded."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RELEASE = "kubernetes:helm.sh/v3:Release"
LOCKS = Path(".pulumi") / "locks" / "organization"


def abandoned_locks(backend: Path, project: str, stack: str) -> list[Path]:
    """Return the locks on a stack whose process has ended on this machine; those of a living one are not touched.

    The CLI itself never takes a lock away: it cannot know whether the process runs on another machine. Here it can be
    known, since the backend is a folder of this machine.
    """
    found = []
    for file in sorted((backend / LOCKS / project / stack).glob("*.json")):
        holder = json.loads(file.read_text())
        if holder["hostname"] == socket.gethostname() and not _runs_pulumi(int(holder["pid"])):
            found.append(file)
    return found


def _runs_pulumi(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False
    return Path(command.decode(errors="replace")).name == "pulumi"


def unfinished(exported: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the operations that a state, as `pulumi stack export` prints it, says were begun and not ended."""
    return list(exported.get("deployment", {}).get("pending_operations") or [])


def stale_release_records(operations: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return (namespace, label selector) of the Secrets in which Helm records releases that were begun and not ended.

    Without its record Helm installs the release again over the objects that are there, which carry its name; with it,
    Helm refuses for ever. A release that was only being upgraded keeps the record of the revision before.
    """
    found = []
    for operation in operations:
        resource = operation["resource"]
        if resource["type"] != RELEASE:
            continue
        inputs = resource["inputs"]
        selector = f"owner=helm,name={inputs['name']}"
        if operation["type"] != "creating":
            selector += ",status in (pending-install,pending-upgrade,pending-rollback)"
        found.append((str(inputs["namespace"]), selector))
    return found
