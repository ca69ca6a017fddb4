"""What goes wrong on a user's machine, said in one line each with the remedy."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

GIB = 1024**3


class SandboxError(Exception):
    """A failure the user can act on: its text is one line that names the problem and the remedy."""


_NETWORK = re.compile(
    r"dial tcp|no such host|proxyconnect|i/o timeout|TLS handshake timeout|connection refused"
    r"|network is unreachable|temporary failure in name resolution|temporary failure resolving|could not resolve"
    r"|failed to fetch|could not connect to|connection timed out",
    re.IGNORECASE,
)
_GO_TOO_OLD = re.compile(r"requires go >= ?(?P<wanted>[0-9.]+)")


def explain(output: str) -> str | None:
    """The remedy for a failed command whose combined output is `output`, or None when it is not a known cause."""
    if re.search(r"no space left on device", output, re.IGNORECASE):
        return "the disk is full: free some space and run the same command again, it goes on where it stopped"
    if old := _GO_TOO_OLD.search(output):
        return f"Go {old['wanted']} or newer is needed: put a newer `go` first on PATH"
    if re.search(r"missing go\.sum entry|checksum mismatch|updates to go\.mod needed", output):
        return "a committed go.mod or go.sum does not match what was downloaded: restore it with git checkout"
    if re.search(
        r"permission denied \(you must be root\)|operation not permitted|are you root\?", output, re.IGNORECASE
    ):
        return "root is needed: run it as root (sudo -E), or use --context NAME for a cluster you have"
    if re.search(r"unable to locate package|has no installation candidate", output, re.IGNORECASE):
        return "a Debian package is unknown to apt: check /etc/apt/sources.list, then run apt-get update"
    if _NETWORK.search(output):
        return "the network is out of reach: check the connection, GOPROXY and http(s)_proxy, and run it again"
    return None


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Refuse to begin when the file system that will hold `folder` has fewer than `needed` bytes free.

    Raises:
        SandboxError: it names the folder, what is needed and what is there.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise SandboxError(
            f"{purpose} needs about {needed / GIB:.1f} GiB in {folder}, but only {free / GIB:.1f} GiB are free there: "
            "free some space, or point XDG_CACHE_HOME / XDG_STATE_HOME / GOCACHE to a larger disk"
        )
