"""How a command ends: 1 is an answer of most of them, so nothing that is none may end with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from rollout.cli import app
from rollout.cli_options import failures
from rollout.errors import RolloutError
from rollout.journal import STEP, Journal

ROOT = Path(__file__).parents[2]
CONFLICT = """\
config:
  tfserving-mesh:cluster: {kind: existing}
<<<<<<< HEAD
  tfserving-mesh:v2Weight: 5
=======
  tfserving-mesh:v2Weight: 25
>>>>>>> canary-25
"""


def ended(capsys: pytest.CaptureFixture[str], act: Callable[[], object]) -> tuple[int, str]:
    """The exit code and what was said."""
    with pytest.raises(typer.Exit) as end, failures():
        act()
    return end.value.exit_code, capsys.readouterr().err


@pytest.mark.parametrize("end", [typer.Exit(0), typer.Exit(3), typer.BadParameter("5,4 does not rise")])
def test_an_answer_stays_what_it_is(end: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(type(end)) as raised, failures():
        raise end
    assert raised.value is end
    assert capsys.readouterr().err == ""


def test_what_an_operator_can_mend_is_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def refuse() -> None:
        raise RolloutError("no stack is selected")

    missing = tmp_path / "none"
    assert ended(capsys, refuse) == (2, "rollout: no stack is selected\n")
    assert ended(capsys, missing.read_text) == (2, f"rollout: {missing}: No such file or directory\n")


def test_a_full_disk_is_a_line_that_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    def write() -> None:
        with Path("/dev/full").open("w") as out:
            out.write("x")

    code, said = ended(capsys, write)
    assert code == 2
    assert said.startswith("rollout: test_endings.py, line ")
    assert said.endswith(": No space left on device\n")
    full = Journal(Path("/dev/full"))
    expected = (2, "rollout: /dev/full cannot be written: No space left on device\n")
    assert ended(capsys, lambda: full.add(STEP, 0.0)) == expected


def test_a_mistake_of_the_program_is_no_failed_canary(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = ended(capsys, lambda: {"something": 1}["nothing"])
    assert code == 2
    assert said.startswith("Traceback (most recent call last)")
    assert said.endswith("KeyError: 'nothing'\n")


@pytest.mark.parametrize("command", ["promote", "gate", "rollback", "status"])
@pytest.mark.parametrize("broken", ["Pulumi.yaml", "Pulumi.dev.yaml"])
def test_a_merge_that_is_not_done_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, broken: str
) -> None:
    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (tmp_path / name).write_text(CONFLICT if name == broken else (ROOT / name).read_text())
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, [command, "--stack", "dev"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("rollout: ")
    for said in (broken, "is no YAML: ", "line 3", "could not find expected ':'"):
        assert said in done.stderr.replace("lines", "line")
    assert "Traceback" not in done.stderr


def test_a_file_of_yaml_that_is_mended_meanwhile_is_still_no_mistake_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rollout.cli_options import stack_of
    from rollout.stack_file import load

    for name in ("Pulumi.yaml", "Pulumi.dev.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.chdir(tmp_path)
    stack_of("dev", None)
    code, said = ended(capsys, lambda: load(CONFLICT))
    assert (code, said.partition(",")[0]) == (2, "rollout: a file of the stack")


@pytest.mark.parametrize("say", ["typer.echo('x')", "rich.console.Console().print('x')"])
def test_a_reader_that_goes_away_is_no_failed_canary(say: str) -> None:
    code = (
        "import rich.console, sys, typer\n"
        "from rollout.cli_options import failures\n"
        f"try:\n    with failures():\n        {say}\n"
        "except typer.Exit as end:\n    sys.exit(end.exit_code)"
    )
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout
    process.stdout.close()
    _, said = process.communicate()
    assert (process.returncode, said) == (2, "rollout: stopped, for nobody reads the output any more\n")
