"""The workflows before GitHub sees them: its linter, and their scripts with the real Pulumi CLI."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from sandbox import gotools
from sandbox.paths import CHECKOUT
from tests.engine.conftest import STACK, Project

pytestmark = pytest.mark.engine

SCRIPTS = CHECKOUT / ".github" / "scripts"
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
# What a user is told to type, and what the workflows type.
COMMANDS = [*WORKFLOWS, *SCRIPTS.glob("*.sh"), CHECKOUT / "docs" / "environments.md"]


@pytest.fixture(scope="module")
def actionlint() -> Path:
    if not gotools.built(gotools.ACTIONLINT):
        gotools.build(gotools.ACTIONLINT)
    return gotools.target(gotools.ACTIONLINT)


def _lint(actionlint: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    # Linters of other languages that the machine may have would make this depend on the machine.
    command: list[str | Path] = [actionlint, "-no-color", "-shellcheck=", "-pyflakes=", *files]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)


def test_github_understands_the_workflows(actionlint: Path) -> None:
    assert WORKFLOWS
    done = _lint(actionlint, *WORKFLOWS)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_linter_would_say_what_is_wrong(actionlint: Path, tmp_path: Path) -> None:
    wrong = WORKFLOWS[0].read_text().replace("ubuntu-24.04", "ubuntu-24.40")
    (tmp_path / "wrong.yml").write_text(wrong)
    done = _lint(actionlint, tmp_path / "wrong.yml")
    assert done.returncode == 1
    assert 'label "ubuntu-24.40" is unknown' in done.stdout


def _script(project: Project, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [SCRIPTS / name, *arguments]
    environ = project.environ | {"CI": "true"}
    return subprocess.run(command, cwd=project.folder, env=environ, capture_output=True, text=True, check=False)


def test_drift_is_told_from_a_clean_stack_and_from_a_failure(project: Project) -> None:
    project.program('import pulumi\npulumi.Stash("word", input="first")\n')
    found = project.folder / "drift" / f"{STACK}.txt"
    project.up()
    assert _script(project, "drift.sh", STACK, str(found)).returncode == 0
    assert found.read_text() == ""
    project.program('import pulumi\npulumi.Stash("word", input="second")\n')
    assert _script(project, "drift.sh", STACK, str(found)).returncode == 0
    assert '"first" => "second"' in found.read_text()
    found.unlink()
    project.program('raise ValueError("the program is broken")\n')
    done = _script(project, "drift.sh", STACK, str(found))
    assert done.returncode not in {0, 7}
    assert "the program is broken" in done.stdout
    assert not found.exists()


def _forbid_a_word(project: Project) -> None:
    project.write("policy/PulumiPolicy.yaml", f"runtime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}\n")
    project.write(
        "policy/__main__.py",
        textwrap.dedent("""
            from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

            def check(args, report):
                if args.props.get("input") == "forbidden":
                    report("no resource may hold the forbidden word")

            PolicyPack("words", [ResourceValidationPolicy("word", "a word", check, EnforcementLevel.MANDATORY)])
        """),
    )


def _with_the_review(project: Project) -> None:
    (project.folder / ".venv").symlink_to(sys.prefix)
    for package in ("rollout", "infra"):
        (project.folder / package).symlink_to(CHECKOUT / package)


def test_a_pull_request_that_violates_a_policy_reads_which(project: Project) -> None:
    _forbid_a_word(project)
    _with_the_review(project)
    project.program('import pulumi\npulumi.Stash("word", input="forbidden")\n')
    done = _script(project, "preview.sh", STACK, "preview.json", "review.md")
    comment = (project.folder / "review.md").read_text()
    assert done.returncode != 0
    assert comment.startswith(f"<!-- tfserving-mesh review: {STACK} -->\n")
    assert "no resource may hold the forbidden word" in comment


def test_a_pull_request_whose_program_fails_reads_why(project: Project) -> None:
    _forbid_a_word(project)
    _with_the_review(project)
    project.program('raise ValueError("the program is broken")\n')
    done = _script(project, "preview.sh", STACK, "preview.json", "review.md")
    assert done.returncode != 0
    assert "the program is broken" in (project.folder / "review.md").read_text()


def test_a_pull_request_of_a_stack_that_there_is_not_reads_so(project: Project) -> None:
    _forbid_a_word(project)
    _with_the_review(project)
    project.program("")
    done = _script(project, "preview.sh", "nowhere", "preview.json", "review.md")
    comment = (project.folder / "review.md").read_text()
    assert done.returncode != 0
    assert comment.startswith("<!-- tfserving-mesh review: nowhere -->\n")
    assert "no stack named 'nowhere' found" in comment


def test_a_pull_request_reads_what_would_change(project: Project) -> None:
    _forbid_a_word(project)
    _with_the_review(project)
    project.program('import pulumi\npulumi.Stash("word", input="allowed")\n')
    done = _script(project, "preview.sh", STACK, "preview.json", "review.md")
    assert done.returncode == 0, done.stderr
    comment = (project.folder / "review.md").read_text()
    assert comment.startswith(f"<!-- tfserving-mesh review: {STACK} -->\n")
    assert "Stash" in comment


def test_an_up_keeps_to_the_policies(project: Project) -> None:
    _forbid_a_word(project)
    project.program('import pulumi\npulumi.Stash("word", input="allowed")\n')
    done = _script(project, "up.sh", STACK, "up.log")
    assert done.returncode == 0, done.stdout
    project.program('import pulumi\npulumi.Stash("word", input="forbidden")\n')
    assert _script(project, "up.sh", STACK, "up.log").returncode != 0
    assert "no resource may hold the forbidden word" in (project.folder / "up.log").read_text()
    assert project.resource("word")["inputs"]["input"] == "allowed"


def test_every_pulumi_command_that_is_written_down_exists(project: Project) -> None:
    used: dict[str, set[str]] = {}
    for file in COMMANDS:
        for typed in re.findall(r"\bpulumi ([a-z][^\n`|&#]*)", file.read_text()):
            words = typed.split()
            command = " ".join(words[: 2 if words[0] in {"stack", "config"} else 1])
            used.setdefault(command, set()).update(word.partition("=")[0] for word in words if word.startswith("--"))
    assert {"preview", "up", "destroy", "stack init", "config set"} <= set(used)
    for command, flags in used.items():
        help_text = project.run(*command.split(), "--help").stdout
        assert re.search(rf"\b{command.split()[-1]}\b", help_text), command
        assert flags <= set(re.findall(r"--[a-z-]+", help_text)), command
