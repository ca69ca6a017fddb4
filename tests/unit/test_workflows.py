"""The workflows that act on environments give nobody more than they need, and leave no environment out."""

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
