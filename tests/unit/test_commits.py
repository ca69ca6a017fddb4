"""A step's commit holds the step, and nothing of what somebody else is about to commit."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rollout.commits import Commits
from rollout.errors import RolloutError
from rollout.stack import Stack

ROOT = Path(__file__).parents[2]


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
    return subprocess.run(["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "t")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "t@example.com")
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text((ROOT / file.name).read_text())
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    return Stack("local", ROOT, file)


def test_a_step_is_a_commit_of_config_and_journal_alone(stack: Stack) -> None:
    folder = stack.file.parent
    journal = folder / "rollouts" / "local-half-plus.jsonl"
    commits = Commits(stack, "half-plus", journal)
    (folder / "other").write_text("staged by somebody")
    git(folder, "add", "other")
    stack.write(stack.weighted("half-plus", {"v2": 25}))
    journal.parent.mkdir()
    journal.write_text("{}\n")
    commits.commit("Give v2 25 %")
    shown = git(folder, "show", "--stat", "--format=%s", "HEAD")
    assert shown.splitlines()[0] == "Give v2 25 %"
    assert "Pulumi.local.yaml" in shown
    assert "rollouts/local-half-plus.jsonl" in shown
    assert "other" not in shown
    assert git(folder, "status", "--porcelain") == "A  other\n"
    commits.commit("nothing new")
    assert git(folder, "log", "-1", "--format=%s") == "Give v2 25 %\n"


def test_a_weight_that_an_interrupted_run_left_is_no_obstacle(stack: Stack) -> None:
    stack.write(stack.weighted("half-plus", {"v2": 25}))
    Commits(stack, "half-plus").commit("Give v2 25 %")
    assert git(stack.file.parent, "status", "--porcelain") == ""


def test_other_changes_of_the_config_are_not_swept_into_a_step(stack: Stack) -> None:
    stack.file.write_text(stack.file.read_text().replace("timeoutSeconds: 10", "timeoutSeconds: 11"))
    with pytest.raises(RolloutError, match=r"Pulumi\.local\.yaml has other changes"):
        Commits(stack, "half-plus")


def test_a_config_in_no_commit_is_refused(stack: Stack) -> None:
    new = stack.file.with_name("Pulumi.new.yaml")
    new.write_text(stack.file.read_text())
    with pytest.raises(RolloutError, match="is in no commit yet"):
        Commits(Stack("new", ROOT, new), "half-plus")
