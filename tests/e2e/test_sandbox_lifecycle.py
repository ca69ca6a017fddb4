"""The sandbox ended, killed and started again. It removes the one that runs: only with SANDBOX_LIFECYCLE=1."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sandbox.inotify import LIMIT
from sandbox.node_config import CGROUP, PRIVATE_FOLDERS
from sandbox.paths import CHECKOUT, state_root
from sandbox.state import Process, load_state
from sandbox.suite import LIFECYCLE_SWITCH

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.environ.get(LIFECYCLE_SWITCH) != "1", reason=f"ends the sandbox: set {LIFECYCLE_SWITCH}=1"),
]


def sandbox(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *words],
        cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Traces:
    """Everything of the machine that a sandbox could leave something in."""

    processes: frozenset[str]
    mounts: frozenset[str]
    interfaces: frozenset[str]
    routes: str
    iptables: str
    folders: frozenset[str]
    inotify_instances: str

    @classmethod
    def now(cls) -> Traces:
        processes = set()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                in_a_pod = CGROUP in (folder / "cgroup").read_text()
                command = (folder / "cmdline").read_text().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue  # it has ended, or belongs to the machine itself: what root started here, root can look into
            if in_a_pod or str(state_root()) in command:
                processes.add(f"{folder.name} {command}")
        folders = [Path(folder) for folder in (*PRIVATE_FOLDERS.values(), "/opt/cni", "/usr/libexec/kubernetes")]
        folders += [state_root().parent, CHECKOUT / ".sandbox", *Path("/sys/fs/cgroup").glob(f"**/{CGROUP}")]
        return cls(
            frozenset(processes),
            # Which mounts there are, by source and target: the ids in front of them count up.
            frozenset(" ".join(line.split()[:2]) for line in Path("/proc/self/mounts").read_text().splitlines()),
            frozenset(name for _, name in socket.if_nameindex()),
            said("ip", "route", "show", "table", "all"),
            "\n".join(line for line in said("iptables-save").splitlines() if not line.startswith("#")),
            frozenset(str(folder) for folder in folders if folder.exists()),
            LIMIT.read_text(),
        )


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module", autouse=True)
def untouched() -> Iterator[Traces]:
    """The machine without a sandbox, as these tests find it and leave it."""
    removed = sandbox("down")
    assert removed.returncode == 0, removed.stderr
    yield Traces.now()
    assert sandbox("down").returncode == 0


def start_and_kill() -> None:
    """End an `up` by SIGKILL a few seconds after its node's first process came to life."""
    with subprocess.Popen(
        [sys.executable, "-m", "sandbox", "up", "--cluster-only"], cwd=CHECKOUT, stdout=subprocess.DEVNULL
    ) as starting:
        deadline = time.monotonic() + 60
        while (state := load_state()) is None or state.node is None:
            assert starting.poll() is None, "it ended by itself"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(4)
        second = sandbox("up", "--cluster-only")
        assert second.returncode == 1
        assert f"at work (process {starting.pid})" in second.stderr
        assert f"starting (process {starting.pid})" in sandbox("status").stdout
        starting.send_signal(signal.SIGKILL)


def node() -> Process:
    state = load_state()
    assert state is not None
    assert state.node is not None
    return state.node


def test_a_half_booted_node_is_removed_without_a_trace(untouched: Traces) -> None:
    start_and_kill()
    assert node().alive
    done = sandbox("down")
    assert done.returncode == 0, done.stderr
    assert Traces.now() == untouched


def test_an_up_killed_half_way_is_picked_up_by_the_next() -> None:
    start_and_kill()
    interrupted = node()
    told = sandbox("env")
    assert told.returncode == 1
    assert "`python -m sandbox up` starts it anew" in told.stderr
    done = sandbox("up", "--cluster-only")
    assert done.returncode == 0, done.stderr
    assert not interrupted.alive
    assert sandbox("exec", "--", "kubectl", "wait", "--for=condition=Ready", "node/sandbox").returncode == 0


def test_a_node_killed_from_outside_is_recognised_and_replaced() -> None:
    killed = node()
    os.kill(killed.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while killed.alive and time.monotonic() < deadline:
        time.sleep(0.1)
    for command in ("status", "env", "exec -- true"):
        told = sandbox(*command.split())
        assert told.returncode == 1
        assert "ended from outside" in told.stdout + told.stderr
    done = sandbox("up", "--cluster-only")
    assert done.returncode == 0, done.stderr
    assert node().alive
    assert sandbox("status").returncode == 0


def test_down_leaves_no_trace_and_twice_is_no_error(untouched: Traces) -> None:
    for _ in range(2):
        done = sandbox("down")
        assert done.returncode == 0, done.stderr
        assert Traces.now() == untouched
    assert "nothing to remove" in done.stdout
