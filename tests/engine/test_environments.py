"""The stacks for GKE as they come with the project: what a preview needs, and what it shows to whom."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine

TOKEN = "ya29.made-up-token-of-a-test"
HANGS_SECONDS = 120.0


@pytest.fixture(params=["dev", "prod"])
def stack(request: pytest.FixtureRequest, project: Project, checkout: Path) -> str:
    """One of the stacks, in a backend of the test's own, with a token that no Google ever gave out."""
    name = str(request.param)
    project.environ["GOOGLE_OAUTH_ACCESS_TOKEN"] = TOKEN
    project.environ["PULUMI_GCP_SKIP_REGION_VALIDATION"] = "true"  # else Google is asked which regions there are
    file = checkout / f"Pulumi.{name}.yaml"
    content = yaml.safe_load(file.read_text())
    content["config"]["tfserving-mesh:istio"] = {"charts": ".sandbox/charts"}  # the released ones are on the network
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    subprocess.run(
        ["pulumi", "stack", "init", name], cwd=checkout, env=project.environ, check=True, capture_output=True
    )
    return name


def without_network(*command: str) -> list[str]:
    """A command in a network namespace that has a loopback interface and no other.

    The proxy that nobody is makes each attempt fail at once: Google's client tries for minutes to look up a name.
    """
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.fail("unshare and ip are missing. Run: apt-get install util-linux iproute2")
    return ["unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *command]


def preview(project: Project, checkout: Path, stack: str, *more: str) -> subprocess.CompletedProcess[str]:
    environ = project.environ | {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    command = without_network("pulumi", "preview", "--stack", stack, "--non-interactive", "--color", "never", *more)
    return subprocess.run(
        command, cwd=checkout, env=environ, capture_output=True, text=True, check=False, timeout=HANGS_SECONDS
    )


def test_an_environment_can_be_previewed_on_a_train(project: Project, checkout: Path, stack: str) -> None:
    ended = preview(project, checkout, stack, "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    plan: dict[str, Any] = json.loads(ended.stdout)
    assert set(plan["changeSummary"]) == {"create"}
    kinds = {step["urn"].split("::")[2].rpartition("$")[2] for step in plan["steps"]}
    assert {
        "gcp:container/cluster:Cluster",
        "gcp:container/nodePool:NodePool",
        "kubernetes:helm.sh/v3:Release",
        "kubernetes:networking.istio.io/v1:VirtualService",
        "gcp:storage/bucketIAMMember:BucketIAMMember",
    } <= kinds
    said = [each["message"] for each in plan.get("diagnostics", []) if each["severity"] in {"error", "warning"}]
    assert [message for message in said if "from $PATH" not in message] == []  # a plugin of the user's own is told
    assert TOKEN not in ended.stdout + ended.stderr


def test_an_environment_breaks_no_policy(project: Project, checkout: Path, stack: str) -> None:
    ended = preview(project, checkout, stack, "--policy-pack", "policy")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Policies:" in ended.stdout
    assert "mandatory" not in ended.stdout.partition("Policies:")[2]


@pytest.mark.parametrize("stack", ["dev"], indirect=True)
@pytest.mark.parametrize("kind", ["bundled", "operator"])
def test_an_environment_that_is_measured_breaks_no_policy(
    project: Project, checkout: Path, stack: str, kind: str
) -> None:
    for key, value in (("monitoring.kind", kind), ("host", "models.example.com"), ("tls.kind", "ca")):
        setting = ["pulumi", "config", "set", "--stack", stack, "--path", key, value]
        subprocess.run(setting, cwd=checkout, env=project.environ, check=True)
    ended = preview(project, checkout, stack, "--policy-pack", "policy")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    made = {"bundled": "grafana-route", "operator": "tfserving-mesh-rules"}[kind]
    assert made in ended.stdout
    assert "mandatory" not in ended.stdout.partition("Policies:")[2]


@pytest.mark.parametrize("stack", ["prod"], indirect=True)
def test_prod_without_its_protection_breaks_a_policy(project: Project, checkout: Path, stack: str) -> None:
    set_protection = ["pulumi", "config", "set", "--stack", stack, "--path", "cluster.deletionProtection", "false"]
    subprocess.run(set_protection, cwd=checkout, env=project.environ, check=True)
    ended = preview(project, checkout, stack, "--policy-pack", "policy")
    assert ended.returncode != 0
    assert "deletionProtection" in ended.stdout


@pytest.mark.parametrize("stack", ["dev"], indirect=True)
def test_what_is_wrong_with_an_environment_is_told_before_anything_is_asked_of_google(
    project: Project, checkout: Path, stack: str
) -> None:
    for key in ("gcp:project", "gcp:region"):
        subprocess.run(["pulumi", "config", "rm", "--stack", stack, key], cwd=checkout, env=project.environ, check=True)
    ended = preview(project, checkout, stack)
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    assert "gcp:project is missing" in said
    assert "pulumi config set gcp:region europe-west1" in said
    assert "Traceback" not in said
