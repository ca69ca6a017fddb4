"""A killed `pulumi up` must not block `make up` for good; a running one must not be pushed aside."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from sandbox.recovery import abandoned_locks, stale_release_records, unfinished


def lock(backend: Path, pid: int, hostname: str) -> Path:
    folder = backend / ".pulumi" / "locks" / "organization" / "tfserving-mesh" / "local"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{pid}.json"
    file.write_text(
        json.dumps({"pid": pid, "username": "me", "hostname": hostname, "timestamp": "2026-01-01T00:00:00Z"})
    )
    return file


@pytest.fixture
def ended() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_killed_process_is_abandoned(tmp_path: Path, ended: int) -> None:
    file = lock(tmp_path, ended, socket.gethostname())
    assert abandoned_locks(tmp_path, "tfserving-mesh", "local") == [file]
    assert abandoned_locks(tmp_path, "tfserving-mesh", "other") == []


def test_the_lock_of_a_running_pulumi_is_respected(tmp_path: Path) -> None:
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([str(program), "20"]) as running:
        while not Path(f"/proc/{running.pid}/cmdline").read_bytes():
            time.sleep(0.01)  # it has not got its arguments yet
        lock(tmp_path, running.pid, socket.gethostname())
        assert abandoned_locks(tmp_path, "tfserving-mesh", "local") == []
        running.kill()


def test_a_reused_process_id_does_not_keep_the_lock(tmp_path: Path) -> None:
    file = lock(tmp_path, os.getpid(), socket.gethostname())
    assert abandoned_locks(tmp_path, "tfserving-mesh", "local") == [file]


def test_another_machines_lock_is_respected(tmp_path: Path, ended: int) -> None:
    lock(tmp_path, ended, "elsewhere")
    assert abandoned_locks(tmp_path, "tfserving-mesh", "local") == []


def operation(kind: str, of: str = "kubernetes:helm.sh/v3:Release") -> dict[str, object]:
    return {"type": kind, "resource": {"type": of, "inputs": {"name": "istiod", "namespace": "istio-system"}}}


def test_an_install_that_was_killed_can_be_done_again() -> None:
    assert stale_release_records([operation("creating")]) == [("istio-system", "owner=helm,name=istiod")]


def test_an_upgrade_that_was_killed_keeps_the_revision_before() -> None:
    ((_, selector),) = stale_release_records([operation("updating")])
    assert "status in (pending-install,pending-upgrade,pending-rollback)" in selector


def test_other_objects_records_are_left_alone() -> None:
    assert stale_release_records([operation("creating", "kubernetes:core/v1:Secret")]) == []


def test_a_state_without_unfinished_operations_needs_nothing() -> None:
    assert unfinished({"version": 3, "deployment": {}}) == []
    assert unfinished({"version": 3, "deployment": {"pending_operations": None}}) == []
