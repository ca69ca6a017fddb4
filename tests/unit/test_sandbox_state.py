from __future__ import annotations

import os
import subprocess
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from sandbox import state as states
from sandbox.errors import SandboxError
from sandbox.paths import CHECKOUT, cache_root, state_root
from sandbox.state import Health, Phase, Process, State, exclusive, load_state, new_state, running_state


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def running() -> State:
    return replace(new_state(None), node=Process.of(os.getpid()), phase=Phase.READY).save()


def test_what_is_recorded_is_read_again(running: State) -> None:
    assert load_state() == running
    assert running_state() == running
    assert running.kubeconfig == state_root() / "kubeconfig"


def test_nothing_on_record_is_told_with_the_command_that_starts_one() -> None:
    assert load_state() is None
    with pytest.raises(SandboxError, match="no sandbox is running: start it with `python -m sandbox up`"):
        running_state()


def test_a_node_killed_from_outside_is_recognised_as_gone(running: State) -> None:
    ended = subprocess.Popen(["sleep", "60"])
    state = replace(running, node=Process.of(ended.pid)).save()
    before = state.health
    ended.kill()
    ended.wait()
    assert (before, state.health) == (Health.RUNNING, Health.GONE)
    with pytest.raises(SandboxError, match="ended from outside"):
        running_state()


def test_a_node_that_is_dead_but_not_yet_collected_counts_as_gone() -> None:
    ended = subprocess.Popen(["sleep", "60"])
    process = Process.of(ended.pid)
    ended.kill()
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
    assert not process.alive
    ended.wait()


def test_another_process_with_the_same_id_is_not_taken_for_the_node(running: State) -> None:
    assert running.node is not None
    other = replace(running.node, start_ticks=running.node.start_ticks - 1)
    assert replace(running, node=other).health is Health.GONE


def test_a_restart_of_the_machine_ends_the_sandbox(running: State) -> None:
    assert running.node is not None
    assert replace(running, node=replace(running.node, boot_id="an earlier one")).health is Health.GONE


def test_an_interrupted_up_is_not_taken_for_a_running_sandbox(running: State) -> None:
    replace(running, phase=Phase.BOOTING).save()
    with pytest.raises(SandboxError, match="not complete yet: `python -m sandbox up` starts it anew"):
        running_state()


def test_a_second_checkout_is_told_where_the_sandbox_runs(running: State, tmp_path: Path) -> None:
    replace(running, checkout=tmp_path).save()
    with pytest.raises(SandboxError, match=f"running from {tmp_path} .*cd {tmp_path} && python -m sandbox down"):
        running_state()


def test_a_sandbox_whose_checkout_was_deleted_can_be_ended_from_anywhere(running: State, tmp_path: Path) -> None:
    replace(running, checkout=tmp_path / "deleted").save()
    with pytest.raises(SandboxError, match="no longer there: end it with `python -m sandbox down`"):
        running_state()


def test_a_foreign_sandbox_that_is_gone_stands_in_nobodys_way(running: State, tmp_path: Path) -> None:
    assert running.node is not None
    gone = replace(running, checkout=tmp_path, node=replace(running.node, boot_id="an earlier one"))
    states.refuse_foreign(gone)
    with pytest.raises(SandboxError):
        states.refuse_foreign(replace(running, checkout=tmp_path))


def test_a_damaged_record_names_the_command_that_clears_it(running: State) -> None:
    running.file.write_text("{")
    with pytest.raises(SandboxError, match=r"damaged .* run `python -m sandbox down`"):
        load_state()


def test_two_at_once_are_refused_and_the_second_is_told_who_is_first() -> None:
    with exclusive():
        assert states.holder() == os.getpid()
        with (
            pytest.raises(SandboxError, match=rf"another `python -m sandbox` is at work \(process {os.getpid()}\)"),
            exclusive(),
        ):
            pytest.fail("two held it at once")
    assert states.holder() is None
    with exclusive():
        pass


def test_commands_of_two_folders_with_long_names_do_not_hold_each_other_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ExitStack() as held:
        for folder in ("a" * 120, "a" * 119 + "b"):
            monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / folder))
            assert states.holder() is None
            held.enter_context(exclusive())
            assert states.holder() == os.getpid()


def test_while_one_is_being_made_nobody_is_told_to_start_one() -> None:
    with exclusive(), pytest.raises(SandboxError, match=rf"being made by process {os.getpid()}"):
        running_state()


def test_a_relative_folder_in_the_environment_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_root() == Path.home() / ".cache" / "tfserving-mesh"


def test_the_record_says_which_checkout_made_it(running: State) -> None:
    assert running.checkout == CHECKOUT
    assert (CHECKOUT / "sandbox" / "state.py").exists()


def test_whoever_asks_again_and_again_during_a_long_build_is_told_that_it_runs() -> None:
    with exclusive():
        assert {states.holder() for _ in range(200)} == {os.getpid()}
