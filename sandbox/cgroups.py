"""The node's control groups: one folder of ours in each hierarchy, and nothing outside of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.errors import SandboxError
from sandbox.node_config import CGROUP

_MOUNT = Path("/sys/fs/cgroup")


def _ours() -> Iterator[Path]:
    if (_MOUNT / "cgroup.controllers").exists():  # version 2: one hierarchy
        yield _MOUNT / CGROUP
        return
    for hierarchy in sorted(_MOUNT.iterdir()):
        # Links such as cpu,cpuacct lead to folders that are visited anyway.
        if hierarchy.is_dir() and not hierarchy.is_symlink():
            yield hierarchy / CGROUP


def create() -> None:
    """Make our folder in each hierarchy: the kubelet refuses a root that is not there.

    Raises:
        SandboxError: the machine's control groups cannot be written.
    """
    try:
        for folder in _ours():
            folder.mkdir(exist_ok=True)
            _enable_controllers(folder)
    except OSError as error:
        raise SandboxError(f"control groups cannot be made in {_MOUNT}: {error.strerror}") from error


def _enable_controllers(folder: Path) -> None:
    available = folder.parent / "cgroup.controllers"
    if not available.exists() or folder.parent != _MOUNT:
        return  # version 1, or the version 2 hierarchy beside it that has no controllers
    for level in (folder.parent, folder):
        for controller in available.read_text().split():
            if controller not in (level / "cgroup.subtree_control").read_text().split():
                (level / "cgroup.subtree_control").write_text(f"+{controller}")


def remove(*, patience: float = 10.0) -> None:
    """Remove our folders; the kernel may need a moment (seconds) until the last process of a group has really ended."""
    deadline = time.monotonic() + patience
    while left := [folder for folder in _ours() if folder.exists() and not _removed(folder)]:
        if time.monotonic() > deadline:
            raise SandboxError(f"the control group {left[0]} is still in use by a process: see {left[0]}/cgroup.procs")
        time.sleep(0.1)


def _removed(folder: Path) -> bool:
    inner = sorted((path for path in folder.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts))
    try:
        for path in (*inner, folder):
            path.rmdir()
    except OSError:
        return False
    return True
