"""What is known of the one running sandbox: written by `up`, read by every other command, deleted by `down`."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from sandbox.errors import SandboxError
from sandbox.paths import CHECKOUT, state_root


class Phase(StrEnum):
    """How far `up` came."""

    BOOTING = "booting"
    READY = "ready"


class Health(StrEnum):
    """What a look at the machine says of the recorded sandbox."""

    RUNNING = "running"
    INTERRUPTED = "interrupted"  # its `up` did not get to the end
    GONE = "gone"  # its processes were ended from outside, or the machine was restarted


@dataclass(frozen=True)
class Process:
    """A process that is told apart from a later one with the same id."""

    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat: clock ticks from the machine's boot to the process's start."""
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has this id now.

        Raises:
            ProcessLookupError: there is none, or it has ended and only waits for its parent.
        """
        ticks = _start_ticks(pid)
        if ticks is None:
            raise ProcessLookupError(pid)
        return cls(pid, ticks, _boot_id())

    @property
    def alive(self) -> bool:
        """True only for the very same process, not for another one that got its id."""
        return self.boot_id == _boot_id() and _start_ticks(self.pid) == self.start_ticks


@dataclass(frozen=True)
class State:
    """The sandbox that runs: a node booted by `up`, or the user's own cluster named by a kubeconfig context."""

    root: Path
    """The state folder: everything the sandbox wrote, apart from the cache."""
    kubeconfig: Path
    """Works from the host as it is."""
    checkout: Path
    """The working copy whose `up` made it."""
    since: datetime
    phase: Phase
    node: Process | None
    """The node's first process; None for a user's own cluster."""
    context: str | None
    """The user's kubeconfig context, or None for a node of the sandbox's own."""

    @property
    def file(self) -> Path:
        """Where this is recorded."""
        return self.root / "state.json"

    @property
    def health(self) -> Health:
        """What a look at the machine says."""
        if self.node is not None and not self.node.alive:
            return Health.GONE
        return Health.RUNNING if self.phase is Phase.READY else Health.INTERRUPTED

    def save(self) -> State:
        """Record it, whole or not at all."""
        self.root.mkdir(parents=True, exist_ok=True)
        staged = self.file.with_suffix(".new")
        staged.write_text(json.dumps(_to_json(self), indent=2) + "\n")
        staged.replace(self.file)
        return self

    def ready(self) -> State:
        """The same sandbox after its boot, recorded."""
        return replace(self, phase=Phase.READY).save()


def new_state(context: str | None) -> State:
    """What a sandbox of this checkout starts with; nothing is written yet."""
    root = state_root()
    return State(
        root=root,
        kubeconfig=root / "kubeconfig",
        checkout=CHECKOUT,
        since=datetime.now(UTC).replace(microsecond=0),
        phase=Phase.BOOTING,
        node=None,
        context=context,
    )


def load_state() -> State | None:
    """The recorded sandbox, or None when there is none (or only a folder that never got a complete record)."""
    file = state_root() / "state.json"
    try:
        return _from_json(json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise SandboxError(
            f"{file} is damaged ({error}): run `python -m sandbox down` to remove what is left"
        ) from error


def running_state() -> State:
    """The sandbox of this checkout, which runs.

    Raises:
        SandboxError: nothing runs, it is only half there, or it belongs to another checkout.
    """
    state = load_state()
    if state is None:
        raise SandboxError(f"no sandbox is running: {_how_to_get_one()}")
    if state.health is Health.GONE:
        raise SandboxError("the sandbox's processes were ended from outside: `python -m sandbox up` starts it again")
    if state.health is Health.INTERRUPTED:
        remedy = "wait for its `up`" if holder() else "`python -m sandbox up` starts it anew"
        raise SandboxError(f"the sandbox is not complete yet: {remedy}")
    refuse_foreign(state)
    return state


def _how_to_get_one() -> str:
    at_work = holder()
    return f"one is being made by process {at_work}" if at_work else "start it with `python -m sandbox up`"


def refuse_foreign(state: State) -> None:
    """Refuse to touch a sandbox that another working copy has.

    Raises:
        SandboxError: it says which.
    """
    if state.checkout == CHECKOUT or state.health is Health.GONE:
        return
    if state.checkout.exists():
        raise SandboxError(
            f"a sandbox is running from {state.checkout} (since {state.since:%Y-%m-%d %H:%M} UTC): use it there, "
            f"or end it with: cd {state.checkout} && python -m sandbox down"
        )
    raise SandboxError(
        f"a sandbox is running from {state.checkout}, which is no longer there: end it with `python -m sandbox down`"
    )


@contextmanager
def exclusive() -> Iterator[None]:
    """Hold off every other `build`, `up` and `down` of this user, from whatever checkout.

    A socket name that lives in the kernel: it ends with the process however that ends, and leaves no file behind.

    Raises:
        SandboxError: another one is at work; it says which process.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as lock:
        try:
            lock.bind(_lock_name())
        except OSError as error:
            who = f" (process {pid})" if (pid := holder()) else ""
            raise SandboxError(f"another `python -m sandbox` is at work{who}: wait for it or end it") from error
        # Who asks is never answered and stays in the queue: it is as long as the kernel lets it be.
        lock.listen(65535)
        yield


def holder() -> int | None:
    """The process that builds, boots or removes at this moment, or None."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(1.0)
            peer.connect(_lock_name())
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError:
        return None
    return int(struct.unpack("3i", credentials)[0])


def _lock_name() -> str:
    # A digest: a socket's name has 107 bytes, and the folder's may well have more.
    return f"\0tfserving-mesh:{hashlib.sha256(bytes(state_root())).hexdigest()}"


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _start_ticks(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets and may hold blanks and brackets itself.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _to_json(state: State) -> dict[str, Any]:
    node = state.node
    return {
        "root": str(state.root),
        "kubeconfig": str(state.kubeconfig),
        "checkout": str(state.checkout),
        "since": state.since.isoformat(),
        "phase": state.phase.value,
        "node": None if node is None else {"pid": node.pid, "start_ticks": node.start_ticks, "boot_id": node.boot_id},
        "context": state.context,
    }


def _from_json(data: dict[str, Any]) -> State:
    node = data["node"]
    return State(
        root=Path(data["root"]),
        kubeconfig=Path(data["kubeconfig"]),
        checkout=Path(data["checkout"]),
        since=datetime.fromisoformat(data["since"]),
        phase=Phase(data["phase"]),
        node=None if node is None else Process(node["pid"], node["start_ticks"], node["boot_id"]),
        context=data["context"],
    )
