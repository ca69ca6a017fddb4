"""After a rollback the journal has its end, and the operator knows what would bring the canary back."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rollout import journal
from rollout.cli import app
from rollout.journal import Journal
from rollout.rollback_files import write_down
from rollout.stack import Stack

ROOT = Path(__file__).parents[2]
COMES_BACK = ": until then the next `pulumi up` from elsewhere gives v2 5 % again"


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack in no git repository, with v2 at 5 %."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "t")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "t@example.com")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text((ROOT / file.name).read_text())
    return Stack("local", ROOT, file)


@pytest.fixture
def checkout(stack: Stack) -> Stack:
    """The same in a commit."""
    folder = stack.file.parent
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return stack


@pytest.fixture
def log(stack: Stack) -> Journal:
    return Journal.of(stack, "half-plus")


def rolled_back(stack: Stack, *, done: bool = True, commit: bool = False) -> tuple[bool, list[str]]:
    """What is left to do by a rollback of v2."""
    model = stack.model(None)
    stack.write(stack.weighted(model.name, {"v2": 0}))
    said: list[str] = []
    return write_down(stack, model, Journal.of(stack, model.name), said.append, done=done, commit=commit), said


def test_a_rollout_that_is_rolled_back_by_hand_is_no_longer_under_way(stack: Stack, log: Journal) -> None:
    log.add(journal.STEP, 1, version="v2", weight=5)
    assert rolled_back(stack) == (True, [])
    last = log.last()[-1]
    assert (last["event"], last["version"], last["recorded"]) == (journal.ROLLED_BACK, "v2", True)
    rolled_back(stack)
    assert len(log.events()) == 2


def test_a_rollback_that_is_not_complete_ends_no_rollout(stack: Stack, log: Journal) -> None:
    log.add(journal.STEP, 1, version="v2", weight=5)
    rolled_back(stack, done=False)
    last = log.last()[-1]
    assert (last["event"], last["weight"], last["why"]) == (journal.HELD, 5, "a rollback by hand is not complete")
    assert log.canary() == "v2"


@pytest.mark.parametrize("before", [(), ("v1",)])
def test_a_rollback_of_what_the_journal_knows_nothing_of_is_not_in_it(
    stack: Stack, log: Journal, before: tuple[str, ...]
) -> None:
    for version in before:
        log.add(journal.STEP, 1, version=version, weight=5)
    rolled_back(stack)
    assert len(log.events()) == len(before)


def test_a_rollback_that_is_in_no_commit_says_so(checkout: Stack) -> None:
    assert rolled_back(checkout) == (True, [f"Commit and push Pulumi.local.yaml{COMES_BACK}"])


def test_a_rollback_whose_commit_has_it_already_says_nothing(checkout: Stack) -> None:
    checkout.write(checkout.weighted("half-plus", {"v2": 0}))
    git(checkout.file.parent, "commit", "--quiet", "--all", "--message", "second")
    checkout.write(checkout.weighted("half-plus", {"v2": 25}))
    assert rolled_back(checkout) == (True, [])


def test_a_rollback_is_a_commit_of_config_and_journal_when_it_is_asked_for(checkout: Stack, log: Journal) -> None:
    log.add(journal.STEP, 1, version="v2", weight=5)
    assert rolled_back(checkout, commit=True) == (True, [f"Push the commit{COMES_BACK}"])
    folder = checkout.file.parent
    assert git(folder, "log", "-1", "--format=%s") == "Roll half-plus back to v1\n"
    assert git(folder, "show", "--format=", "--name-only").splitlines() == [
        "Pulumi.local.yaml",
        "rollouts/local-half-plus.jsonl",
    ]
    assert git(folder, "status", "--porcelain") == ""


def test_what_cannot_be_committed_or_journalled_is_said(checkout: Stack, log: Journal) -> None:
    checkout.file.write_text(checkout.file.read_text().replace("timeoutSeconds: 10", "timeoutSeconds: 11"))
    log.add(journal.STEP, 1, version="v2", weight=5)
    log.file.write_text("nonsense\n" + log.file.read_text())
    written, said = rolled_back(checkout, commit=True)
    assert not written
    assert "line 1, is no event of a rollout" in said[0]
    assert "Pulumi.local.yaml has other changes. Run: git commit" in said[1]
    assert said[2:] == [f"Commit and push Pulumi.local.yaml{COMES_BACK}"]


@pytest.mark.parametrize(("words", "done", "code"), [([], True, 0), ([], False, 1), (["--commit"], True, 1)])
def test_the_command_ends_with_0_only_when_nothing_is_left(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, words: list[str], *, done: bool, code: int
) -> None:
    def rollback(stack: Stack, *_: Any) -> bool:
        stack.write(stack.weighted("half-plus", {"v2": 0}))
        return done

    monkeypatch.setattr("rollout.rollback.rollback", rollback)
    monkeypatch.setattr("rollout.target.cluster_of", lambda *_: None)
    monkeypatch.chdir(ROOT)
    ended = CliRunner().invoke(app, ["rollback", "--stack", "local", "--config-file", str(stack.file), *words])
    assert ended.exit_code == code, ended.output
    assert ("is in no commit yet" in ended.output) == bool(words)
