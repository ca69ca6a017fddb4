"""How many inotify instances a user may have: a proxy takes three, and Linux gives 128 on many machines."""

from __future__ import annotations

from pathlib import Path

LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH = 1024  # the kubelet's 110 pods, each with a proxy, and what the user runs beside them
RECORD = "inotify-instances"
"""In the state folder: the limit as the machine had it. It is there from before the limit changes."""


def raise_limit(root: Path, limit: Path = LIMIT) -> None:
    """Raise a limit that is too low, and record in the state folder `root` what it was.

    Where the machine lets nobody set it, it stays: fewer pods have proxies then, and the rest of the sandbox works.
    """
    before = int(limit.read_text())
    if before >= ENOUGH:
        return
    (root / RECORD).write_text(f"{before}\n")
    _set(limit, ENOUGH)


def restore_limit(root: Path, limit: Path = LIMIT) -> None:
    """Give the machine back the limit it had, unless somebody has set another one since."""
    record = root / RECORD
    if record.exists() and int(limit.read_text()) == ENOUGH:
        _set(limit, int(record.read_text()))


def _set(limit: Path, value: int) -> None:
    try:
        limit.write_text(f"{value}\n")
    except OSError:
        return  # a container's /proc/sys is read-only
