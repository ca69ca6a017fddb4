"""Pulumi is let end by itself when a command is interrupted, and what it says of a lock comes with what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollout import pulumi_cli
from rollout.errors import RolloutError
from rollout.stack import Stack

ROOT = Path(__file__).parents[2]
# As the real one: cancelled once it needs a while to end, cancelled twice it ends at once.
PULUMI = """
    import signal, sys, time
    from pathlib import Path

    heard = []

    def hear(*_):
        heard.append(time.monotonic())
        Path("heard").touch()

    signal.signal(signal.SIGINT, hear)
    Path("running").touch()
    started = time.monotonic()
    while time.monotonic() < (heard[0] + 1 if heard else started + 20) and len(heard) < 2:
        if Path("finish").exists():
            sys.exit(0)
        time.sleep(0.01)
    Path("ended").write_text("at once" if len(heard) > 1 else "cleanly")
    sys.exit(1)
"""
# What a command does that moves traffic.
COMMAND = """
    import sys
    from pathlib import Path

    import typer

    from rollout.cli_options import failures
    from rollout.pulumi_cli import up
    from rollout.stack import Stack

    try:
        with failures():
            up(Stack("dev", Path.cwd(), Path("Pulumi.dev.yaml")), "a step")
    except typer.Exit as end:
        sys.exit(end.exit_code)
"""


def fake(folder: Path, script: str) -> Path:
    """Put a `pulumi` into a folder."""
    (folder / "bin").mkdir(exist_ok=True)
    program = folder / "bin" / "pulumi"
    program.write_text(f"#!{sys.executable} -SE\n{textwrap.dedent(script)}")
    program.chmod(0o755)
    return program.parent


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# What runs in the background may have been started deaf to these, and all that it starts.
HEARING = ("env", "--default-signal=INT,HUP,TERM")


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command in a session of its own, and wait until its Pulumi runs."""
    begun: list[subprocess.Popen[str]] = []

    def begin(*before: str) -> subprocess.Popen[str]:
        path = f"{fake(tmp_path, PULUMI)}:{os.environ['PATH']}"
        process = subprocess.Popen(
            [*HEARING, *before, sys.executable, "-c", textwrap.dedent(COMMAND)],
            cwd=tmp_path,
            env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        begun.append(process)
        wait_for((tmp_path / "running").exists)
        return process

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], folder: Path) -> tuple[int, str, str]:
    """How the command ended, what it said, and how its Pulumi had ended by then."""
    _, errors = process.communicate(timeout=20)
    how = folder / "ended"
    return process.returncode, errors, how.read_text() if how.exists() else "killed"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_pulumi_ends_by_itself_when_the_command_is_interrupted(
    begin: Callable[..., subprocess.Popen[str]], tmp_path: Path, number: signal.Signals
) -> None:
    process = begin()
    os.killpg(process.pid, number)  # a terminal's Ctrl-C goes to all that run in it
    code, errors, how = ended(process, tmp_path)
    assert (code, how) == (130, "cleanly")
    assert errors.splitlines() == [
        pulumi_cli._WAITING,
        "rollout: interrupted; the same command goes on where it stopped",
    ]


def test_a_second_interruption_is_handed_on_too(begin: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = begin()
    os.killpg(process.pid, signal.SIGINT)
    wait_for((tmp_path / "heard").exists)
    os.killpg(process.pid, signal.SIGINT)
    code, errors, how = ended(process, tmp_path)
    assert (code, how) == (130, "at once")
    assert errors.count("waiting") == 1


def test_a_terminal_that_closes_is_no_wish_to_end_at_once(
    begin: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = begin()
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
        os.killpg(process.pid, number)
        time.sleep(0.1)
    code, _, how = ended(process, tmp_path)
    assert (code, how) == (130, "cleanly")


def test_nohup_holds(begin: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = begin("nohup")
    os.killpg(process.pid, signal.SIGHUP)
    time.sleep(0.3)
    (tmp_path / "finish").touch()
    code, errors, _ = ended(process, tmp_path)
    assert (code, errors) == (0, "")


def stack(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> Stack:
    monkeypatch.setenv("PATH", f"{fake(folder, script)}:{os.environ['PATH']}")
    return Stack("dev", folder, folder / "Pulumi.dev.yaml")


def test_an_interruption_between_two_runs_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    found = stack(tmp_path, monkeypatch, "print('{\"a\": 1}')")
    assert pulumi_cli.outputs(found) == {"a": 1}
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RolloutError, match="cannot run pulumi: No such file"):
        pulumi_cli.outputs(found)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_lock_comes_with_the_command_that_takes_it_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "the stack is currently locked by 1 lock(s)\n  file:///x.json: created by me@here (pid 7)"
    found = stack(tmp_path, monkeypatch, f"import sys; sys.exit({f'error: {said}'!r})")
    for run in (lambda: pulumi_cli.up(found, "a step"), lambda: pulumi_cli.preview(found)):
        with pytest.raises(RolloutError) as raised:
            run()
        lines = str(raised.value).splitlines()
        assert lines[-2].endswith("created by me@here (pid 7)")
        assert lines[-1] == (
            "If no `pulumi up` of dev runs anywhere, one that was killed has left the lock. "
            "Run: pulumi cancel --stack dev"
        )
    other = stack(tmp_path, monkeypatch, "import sys; sys.exit('error: the program is broken')")
    with pytest.raises(RolloutError) as raised:
        pulumi_cli.up(other, "a step")
    assert "cancel" not in str(raised.value)
