"""`make preview`: what a change would do, held against the policies, before anybody reviews it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.paths import CHECKOUT
from tests.engine.conftest import Project

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("kubernetes_plugin", "no_cluster")]


def make(project: Project, checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in project.environ.items() if name != "STACK"}
    command = ["make", "--no-print-directory", "preview", *arguments]
    return subprocess.run(command, cwd=checkout, env=environ, check=False, capture_output=True, text=True)


def own_stack(project: Project, checkout: Path, **config: Any) -> None:
    file = checkout / "Pulumi.local.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"] |= config
    file.write_text(yaml.safe_dump(content))
    project.environ["PULUMI_CONFIG_PASSPHRASE"] = "sandbox"  # the salt in the file is of this one
    subprocess.run(["pulumi", "stack", "init", "local"], cwd=checkout, env=project.environ, check=True)


def test_shows_the_change_and_lets_the_projects_own_program_pass(project: Project, checkout: Path) -> None:
    own_stack(project, checkout)
    ended = make(project, checkout, "STACK=local")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "tfserving-mesh|local|policy" in ended.stdout, "the pack has not run"
    assert "weight     : 95" in ended.stdout


def test_holds_the_projects_own_program_to_the_policies(project: Project, checkout: Path) -> None:
    own_stack(project, checkout, **{"tfserving-mesh:egress": {"policy": "ALLOW_ANY"}})
    ended = make(project, checkout, "STACK=local")
    assert ended.returncode != 0
    assert "values.meshConfig.outboundTrafficPolicy.mode is ALLOW_ANY" in ended.stdout
    command = ["pulumi", "config", "set", "--stack", "local", "--path", 'policy:allowedWildcards["*"]', "a trial"]
    subprocess.run(command, cwd=checkout, env=project.environ, check=True)
    ended = make(project, checkout, "STACK=local")
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(("argument", "said"), [("STACK=dvv", "STACK is dvv"), ("STACK=", "STACK is missing")])
def test_names_the_stacks_that_there_are(project: Project, checkout: Path, argument: str, said: str) -> None:
    ended = make(project, checkout, argument)
    assert ended.returncode != 0
    names = " ".join(sorted(file.name.split(".")[1] for file in CHECKOUT.glob("Pulumi.*.yaml")))
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert f"{said}; the stacks are {names}. Run: make preview STACK=dev" in line
