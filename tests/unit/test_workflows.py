"""The workflows that act on environments give nobody more than they need, and leave no environment out."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
SCRIPTS = sorted((GITHUB / "scripts").glob("*.sh"))
# The stacks that make their own cluster are the environments.
STACKS = {
    file.name.split(".")[1]
    for file in ROOT.glob("Pulumi.*.yaml")
    if yaml.safe_load(file.read_text())["config"].get("tfserving-mesh:cluster", {}).get("kind") == "gke"
}

# What a job may write; every other right is to read.
WRITES = {
    ("preview.yml", "preview"): {"id-token"},
    ("preview.yml", "comment"): {"pull-requests"},
    ("up.yml", "up"): {"id-token"},
    ("drift.yml", "drift"): {"id-token"},
    ("drift.yml", "issue"): {"issues"},
}
# What anyone who opens a pull request or an issue can write into an expression: GitHub's own list for script injection.
UNTRUSTED = re.compile(r"github\.(head_ref|ref_name|actor|event\.)|steps\.|inputs\.|matrix\.")
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


def _read(file: Path) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(file.read_text())
    return content


def _jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for file in WORKFLOWS:
        for name, job in _read(file)["jobs"].items():
            yield file.name, name, job


def _steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for file, name, job in _jobs():
        yield from ((f"{file} {name}", step) for step in job["steps"])
    for action in ACTIONS:
        yield from ((action.parent.name, step) for step in _read(action)["runs"]["steps"])


def test_the_workflows_are_those_that_are_meant() -> None:
    assert [file.name for file in WORKFLOWS] == ["drift.yml", "preview.yml", "up.yml"]


@pytest.mark.parametrize("file", [*WORKFLOWS, *ACTIONS], ids=lambda file: f"{file.parent.name}/{file.name}")
def test_an_action_that_is_replaced_under_its_tag_does_not_reach_the_jobs(file: Path) -> None:
    used = re.findall(r"^\s*(?:- )?uses: *(.*)$", file.read_text(), re.MULTILINE)
    assert used
    for line in used:
        assert re.fullmatch(r"\./\.github/actions/[a-z-]+|[\w.-]+(/[\w.-]+)+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line


def test_one_action_has_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for _, step in _steps():
        action, _, commit = step.get("uses", "").partition("@")
        pins.setdefault(action, set()).add(commit)
    assert {action: commits for action, commits in pins.items() if len(commits) > 1} == {}


def test_a_job_may_write_only_what_it_is_there_to_write() -> None:
    found = {}
    for file, name, job in _jobs():
        assert set(job["permissions"].values()) <= {"read", "write"}
        found[file, name] = {right for right, level in job["permissions"].items() if level == "write"}
    assert found == WRITES


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: str(file.name))
def test_a_job_that_declares_no_rights_has_none(file: Path) -> None:
    assert _read(file)["permissions"] == {}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: str(file.name))
def test_a_strangers_pull_request_never_runs_with_the_repositorys_rights(file: Path) -> None:
    triggers = set(_read(file)[True])  # YAML reads `on` as true
    assert triggers <= {"pull_request", "push", "schedule", "workflow_dispatch"}


def test_no_text_from_outside_becomes_shell() -> None:
    scripts = [(place, step["run"]) for place, step in _steps() if "run" in step]
    assert len(scripts) > len(WORKFLOWS)
    for place, script in scripts:
        inside = [found for found in EXPRESSION.findall(script) if UNTRUSTED.search(found)]
        assert inside == [], f"{place}: hand it on by env instead"


def test_a_checkout_leaves_no_token_for_the_program_to_find() -> None:
    checkouts = [step for _, step in _steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert [step["with"].get("persist-credentials") for step in checkouts] == [False] * len(checkouts)


def test_every_environment_is_in_every_matrix() -> None:
    matrices = {file: set(job["strategy"]["matrix"]["stack"]) for file, _, job in _jobs() if "strategy" in job}
    assert STACKS
    assert matrices == {"preview.yml": STACKS, "drift.yml": STACKS}


def test_every_environment_is_brought_up_by_something() -> None:
    job = _read(GITHUB / "workflows" / "up.yml")["jobs"]["up"]
    chosen = "${{ github.ref_type == 'tag' && 'prod' || 'dev' }}"
    # The environment is what asks for approval; it has to be the one of the stack that changes.
    assert (job["environment"], job["env"]["STACK"]) == (chosen, chosen)
    assert set(re.findall(r"'([a-z]+)'", chosen)) - {"tag"} == STACKS


def test_a_running_up_is_never_cut_short() -> None:
    workflow = _read(GITHUB / "workflows" / "up.yml")
    assert "concurrency" not in workflow
    assert workflow["jobs"]["up"]["concurrency"]["cancel-in-progress"] is False


def test_a_skipped_check_cannot_stand_for_a_passed_one() -> None:
    preview = _read(GITHUB / "workflows" / "preview.yml")
    assert "if" not in preview["jobs"]["preview"]
    assert {"labeled", "unlabeled"} <= set(preview[True]["pull_request"]["types"])
    assert not set(preview[True]["pull_request"]) & {"paths", "paths-ignore", "branches-ignore"}


def test_the_cli_is_the_sdks_version() -> None:
    wanted = re.search(r"^pulumi==(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    (step,) = [step for _, step in _steps() if step.get("uses", "").startswith("pulumi/actions@")]
    assert wanted
    assert step["with"]["pulumi-version"] == wanted[1]


@pytest.mark.parametrize(
    "script",
    [*(step["run"] for _, step in _steps() if "run" in step), *(file.read_text() for file in SCRIPTS)],
)
def test_a_script_is_shell(script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_script_that_a_workflow_names_is_there_and_can_be_run() -> None:
    text = "\n".join(step.get("run", "") for _, step in _steps())
    named = set(re.findall(r"\.github/scripts/[\w.]+", text))
    assert {f".github/scripts/{file.name}" for file in SCRIPTS} <= named
    for name in named:
        assert (ROOT / name).is_file(), name
        assert name.endswith(".py") or (ROOT / name).stat().st_mode & 0o111, name


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout of a repository whose main has two commits, with a third that was never merged."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    _git(tmp_path, "init", "--quiet", "--initial-branch=main", str(origin))
    for name in ("older", "newest"):
        _git(origin, "commit", "--quiet", "--allow-empty", "--message", name)
        _git(origin, "tag", name)
    _git(origin, "checkout", "--quiet", "-b", "topic")
    _git(origin, "commit", "--quiet", "--allow-empty", "--message", "unmerged")
    _git(origin, "tag", "unmerged")
    _git(tmp_path, "clone", "--quiet", str(origin), str(clone))
    return clone


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=team", "-c", "user.email=team@example.com"]
    ran = subprocess.run(["git", *identity, *words], cwd=folder, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def _bring_up(workspace: Path, kind: str, commit: str) -> subprocess.CompletedProcess[str] | None:
    """The steps of `up` until one fails, or until it may touch the environment, which is None."""
    sha, output = _git(workspace, "rev-parse", commit), workspace.parent / "output"
    name = "main" if kind == "branch" else "v1"
    environ = os.environ | {"GITHUB_SHA": sha, "GITHUB_REF_TYPE": kind, "GITHUB_REF_NAME": name}
    environ["GITHUB_OUTPUT"] = str(output)
    for step in _read(GITHUB / "workflows" / "up.yml")["jobs"]["up"]["steps"]:
        if step.get("uses", "").startswith("actions/checkout@"):
            ref = step["with"].get("ref")
            if ref is None and kind == "branch":  # as the action does it, also where main has gone on
                _git(workspace, "update-ref", f"refs/remotes/origin/{name}", sha)
            _git(workspace, "checkout", "--quiet", "--detach", f"origin/{ref}" if ref else sha)
        elif "uses" in step:
            return None
        else:
            found = output.read_text().strip().removeprefix("commit=") if output.exists() else ""
            env = step.get("env", {}).items()
            given = {key: value.replace("${{ steps.main.outputs.commit }}", found) for key, value in env}
            command, variables = ["bash", "-e", "-c", step["run"]], environ | given
            done = subprocess.run(command, cwd=workspace, env=variables, capture_output=True, text=True, check=False)
            if done.returncode:
                return done
    return None


@pytest.mark.parametrize(("kind", "commit"), [("branch", "newest"), ("tag", "newest"), ("tag", "older")])
def test_what_was_merged_is_brought_up(workspace: Path, kind: str, commit: str) -> None:
    assert _bring_up(workspace, kind, commit) is None


def test_a_run_of_main_that_is_run_again_later_does_not_take_dev_back(workspace: Path) -> None:
    newest = _git(workspace, "rev-parse", "newest")
    done = _bring_up(workspace, "branch", "older")
    assert done
    assert done.stdout.startswith(f"::error::main is at {newest} by now. Re-run the run of it;")


def test_a_tag_on_what_was_never_merged_is_refused(workspace: Path) -> None:
    done = _bring_up(workspace, "tag", "unmerged")
    assert done
    assert done.stdout.startswith("::error::v1 is on no commit of main.")
