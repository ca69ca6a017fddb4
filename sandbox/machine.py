"""What the machine must offer before a node is booted: root, kernel features, disk; asked for, not guessed."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sandbox.commands import system_environment, which
from sandbox.errors import GIB, SandboxError, require_space

BOOT_SPACE = 4 * GIB  # images twice (archive and unpacked), etcd, logs
_MODULES = ("overlay", "br_netfilter", "veth", "bridge", "nf_conntrack", "xt_conntrack", "xt_REDIRECT", "xt_comment")

_NAMESPACES = ("unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--uts", "--ipc")


@dataclass(frozen=True)
class Feature:
    """A thing the kernel can do, tried in throw-away namespaces."""

    name: str
    script: str


FEATURES = (
    Feature("namespaces (CONFIG_NAMESPACES, CONFIG_PID_NS, CONFIG_NET_NS)", "true"),
    Feature("pairs of interfaces (CONFIG_VETH)", "ip link add probe0 type veth peer name probe1"),
    Feature("bridges (CONFIG_BRIDGE)", "ip link add probe2 type bridge"),
    Feature(
        "iptables with NAT and connection tracking (CONFIG_NF_NAT, CONFIG_NETFILTER_XT_MATCH_CONNTRACK)",
        "iptables -t nat -A OUTPUT -p tcp -m comment --comment probe -m conntrack --ctstate NEW -j REDIRECT",
    ),
    Feature(
        "overlay file systems in the state folder (CONFIG_OVERLAY_FS, and a state folder that is not on one itself)",
        'mkdir -p "$0/l" "$0/u" "$0/w" "$0/m"'
        ' && mount -t overlay -o "lowerdir=$0/l,upperdir=$0/u,workdir=$0/w" overlay "$0/m"',
    ),
)


def require_root() -> None:
    """Refuse to go on without root.

    Raises:
        SandboxError: not root.
    """
    if os.geteuid() != 0:
        raise SandboxError(
            'booting a node needs root: run it as root (sudo -E env PATH="$PATH" make up), '
            "or use a cluster you have: python -m sandbox up --context NAME"
        )


def require_machine(state_root: Path, scratch: Path) -> None:
    """Refuse a machine on which the node could not boot; `scratch` is a folder in the state that may be filled.

    Raises:
        SandboxError: it names what is missing.
    """
    require_root()
    require_space(state_root, BOOT_SPACE, "booting the node")
    modprobe = which("modprobe")
    if modprobe and Path("/proc/modules").exists():
        # Best effort: a feature may be built in under another name. What really is missing shows below.
        subprocess.run([modprobe, "--quiet", "--all", *_MODULES], capture_output=True, check=False)
    for feature in FEATURES:
        require_feature(feature, scratch)


def require_feature(feature: Feature, scratch: Path) -> None:
    """Try a feature and leave no trace of it.

    Raises:
        SandboxError: the kernel refuses; the message has its reason.
    """
    done = subprocess.run(
        [*_NAMESPACES, "sh", "-c", feature.script, scratch],
        capture_output=True,
        text=True,
        env=system_environment(),
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SandboxError(f"this machine's kernel cannot do {feature.name}, which the node needs: {said}")
