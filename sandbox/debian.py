"""Debian packages the node is made of, installed when they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.commands import run_logged, which
from sandbox.errors import SandboxError
from sandbox.paths import log_folder

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


@dataclass(frozen=True)
class Package:
    """A Debian package and how to see that what we need of it is there, wherever it came from."""

    name: str
    present: Callable[[], bool]


def _program(name: str) -> Callable[[], bool]:
    return lambda: which(name) is not None


def cni_folder() -> Path | None:
    """The folder with the CNI plugins the node uses."""
    wanted = ("bridge", "host-local", "loopback", "portmap")
    return next((folder for folder in CNI_FOLDERS if all((folder / name).exists() for name in wanted)), None)


# Go verifies the module proxy's certificate with these.
DOWNLOAD = (Package("ca-certificates", lambda: Path("/etc/ssl/certs/ca-certificates.crt").exists()),)

# Probed by program, not by package: Docker's own containerd.io, for one, serves as well and conflicts with Debian's.
NODE = (
    Package("containerd", _program("containerd")),
    Package("runc", _program("runc")),
    Package("containernetworking-plugins", lambda: cni_folder() is not None),
    Package("iptables", _program("iptables")),
    Package("ipset", _program("ipset")),
    Package("conntrack", _program("conntrack")),
    Package("mmdebstrap", _program("mmdebstrap")),
    Package("iproute2", _program("ip")),
    Package("kmod", _program("modprobe")),
    Package("util-linux", _program("nsenter")),
    Package("mount", _program("mount")),
)


def missing(packages: Sequence[Package]) -> list[str]:
    """Names of the packages whose contents are not on this machine."""
    return [package.name for package in packages if not package.present()]


def apt_command(names: Sequence[str]) -> str:
    """What a user without root has to have run, as one shell line."""
    return f"apt-get update && apt-get install --no-install-recommends {' '.join(names)}"


def install(names: Sequence[str]) -> None:
    """Install the packages by apt.

    Raises:
        SandboxError: not root (the message is the exact command), no apt, or apt failed.
    """
    if which("apt-get") is None:
        raise SandboxError(f"this machine has no apt-get: install what these Debian packages hold: {' '.join(names)}")
    if os.geteuid() != 0:
        raise SandboxError(f"Debian packages are missing and only root can install them: {apt_command(names)}")
    env = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    run_logged("apt-get update", ["apt-get", "update"], log_folder() / "apt-update.log", env=env)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *names]
    run_logged(f"apt-get install {' '.join(names)}", command, log_folder() / "apt-install.log", env=env)
    if still := missing([package for package in (*DOWNLOAD, *NODE) if package.name in names]):
        raise SandboxError(f"apt installed {' '.join(still)}, but what is needed of it is not there")
