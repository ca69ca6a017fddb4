"""What `python -m rollout` takes a stack to be is what the Pulumi CLI does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infra import naming
from rollout.errors import RolloutError
from rollout.pulumi_cli import outputs
from rollout.stack import find
from sandbox.paths import CHECKOUT
from tests.engine.conftest import STACK, Project

pytestmark = pytest.mark.engine
COMMENT = "# a model of two versions\n"


@pytest.fixture
def checkout_project(pulumi_environ: dict[str, str], tmp_path: Path) -> Project:
    (tmp_path / "state").mkdir()
    environ = pulumi_environ | {"PULUMI_BACKEND_URL": (tmp_path / "state").as_uri()}
    project = Project(tmp_path / "project", environ, name=naming.PROJECT)
    project.write("Pulumi.yaml", (CHECKOUT / "Pulumi.yaml").read_text())
    return project


def test_the_selected_stack_is_found_without_asking(checkout_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    checkout_project.run("stack", "init", "another")
    checkout_project.run("stack", "select", STACK)
    monkeypatch.setenv("PULUMI_HOME", checkout_project.environ["PULUMI_HOME"])
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    assert find(None, None, checkout_project.folder).name == STACK


def test_a_weight_that_is_written_is_the_one_that_pulumi_reads(checkout_project: Project) -> None:
    checkout_project.set("models.inception.path", "gs://my-models/inception", "--path")
    checkout_project.set("models.inception.callers", "any", "--path")
    for version in ("v1", "v2"):
        checkout_project.set(f"models.inception.versions.{version}.model", version[1:], "--path")
    checkout_project.set("v2Weight", "5")
    file = checkout_project.folder / f"Pulumi.{STACK}.yaml"
    file.write_text(COMMENT + file.read_text())
    stack = find(STACK, None, checkout_project.folder)

    stack.write(stack.weighted("inception", {"v2": 25}))
    assert checkout_project.run("config", "get", "v2Weight").stdout.strip() == "25"
    stack.write(stack.weighted("inception", {}, stable="v2"))
    config = json.loads(checkout_project.run("config", "--json").stdout)
    assert f"{naming.PROJECT}:v2Weight" not in config
    assert json.loads(config[f"{naming.PROJECT}:models"]["value"])["inception"]["stable"] == "v2"
    assert file.read_text().startswith(COMMENT)

    checkout_project.set("inception:v1Weight", "10")
    again = find(STACK, None, checkout_project.folder)
    assert again.settings.models[0].weights == {"v1": 10, "v2": 90}
    again.write(again.weighted("inception", {"v1": 20}))
    assert checkout_project.run("config", "get", "inception:v1Weight").stdout.strip() == "20"


def test_what_a_stack_exports_is_read_as_pulumi_keeps_it(
    checkout_project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in checkout_project.environ.items():
        monkeypatch.setenv(name, value)
    stack = find(STACK, None, checkout_project.folder)
    assert outputs(stack) == {}
    checkout_project.project_file()
    checkout_project.program('import pulumi\npulumi.export("rootCertificate", "-----BEGIN")\n')
    checkout_project.up()
    assert outputs(stack) == {"rootCertificate": "-----BEGIN"}
    with pytest.raises(RolloutError, match=r"pulumi stack output failed: .*no stack named 'gone'"):
        outputs(find("gone", None, checkout_project.folder))
