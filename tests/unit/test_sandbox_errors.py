from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from sandbox import commands, debian, gotools, machine
from sandbox.errors import GIB, SandboxError, explain, require_space
from sandbox.machine import Feature


@pytest.mark.parametrize(
    ("output", "remedy"),
    [
        ("dial tcp: lookup proxy on 1.1.1.1:53: no such host", "network is out of reach"),
        ("Temporary failure resolving 'deb.example.org'", "network is out of reach"),
        ("write /x: no space left on device", "disk is full"),
        ("E: No space left on device; Failed to fetch", "disk is full"),
        ("go: go.mod requires go >= 1.26.0 (running go 1.22.1)", "Go 1.26.0 or newer"),
        ("missing go.sum entry for module", "git checkout"),
        ("E: Could not open lock file - open (13: Permission denied) are you root?", "as root"),
        ("E: Unable to locate package containerd", "apt-get update"),
    ],
)
def test_a_known_failure_is_told_with_its_remedy(output: str, remedy: str) -> None:
    said = explain(output)
    assert said is not None
    assert remedy in said
    assert "\n" not in said


def test_an_unknown_failure_is_not_given_a_wrong_remedy() -> None:
    assert explain("main.go:3: undefined: x") is None


def test_a_failed_command_shows_its_last_lines_and_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "step.log"
    with pytest.raises(SandboxError, match="exit code 3") as failure:
        commands.run_logged("the step", ["sh", "-c", "echo early; echo the reason >&2; exit 3"], log)
    assert "the reason" in str(failure.value)
    assert str(log) in str(failure.value)


def test_a_program_that_is_not_installed_is_named(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="`no-such-program` is not installed"):
        commands.run_logged("the step", ["no-such-program"], tmp_path / "log")


def test_a_full_disk_is_told_before_the_work_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=GIB))
    with pytest.raises(SandboxError, match=r"needs about 4.0 GiB in .*not/yet/there, but only 1.0 GiB"):
        require_space(tmp_path / "not" / "yet" / "there", 4 * GIB, "booting the node")
    require_space(tmp_path, GIB // 2, "less")


def test_a_machine_without_go_says_which_version_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    gotools.go_program.cache_clear()
    with pytest.raises(SandboxError, match=r"install Go 1\.\d+(\.\d+)? or newer"):
        gotools.go_program()


def test_a_go_that_is_too_old_is_told_with_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "go"
    old.write_text("#!/bin/sh\necho go1.19.8\n")
    old.chmod(0o755)
    monkeypatch.setattr(gotools, "go_program", lambda: old)
    gotools.go_version.cache_clear()
    with pytest.raises(SandboxError, match=f"{old} is go1.19.8"):
        gotools.go_version()
    gotools.go_version.cache_clear()


def test_an_ordinary_user_is_told_the_exact_apt_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(debian, "which", lambda name: f"/usr/bin/{name}")
    with pytest.raises(
        SandboxError, match=r"apt-get update && apt-get install --no-install-recommends containerd runc$"
    ):
        debian.install(["containerd", "runc"])


def test_booting_without_root_names_both_ways_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match=r"needs root: .*sudo.* --context NAME"):
        machine.require_root()


def test_a_missing_kernel_feature_is_named_with_what_the_kernel_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_NAMESPACES", ())
    feature = Feature("bridges (CONFIG_BRIDGE)", "echo Operation not supported >&2; exit 2")
    with pytest.raises(SandboxError, match=r"cannot do bridges \(CONFIG_BRIDGE\), .*: Operation not supported"):
        machine.require_feature(feature, tmp_path)
