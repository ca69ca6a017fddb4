"""The stacks for GKE, whole, with Google played by stand-ins: network, cluster, Istio, models and route in one `up`.

They take the sandbox's cluster for themselves, so the stack that `make up` deployed goes first: only with
SANDBOX_LIFECYCLE=1, and `make up` brings that stack back.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.gke.identity import account_id
from sandbox import images, materials, node
from sandbox.node_config import HOST_ADDRESS
from sandbox.plugins.gcp.cloud import FILE_VARIABLE
from sandbox.stack import stack_of
from sandbox.state import running_state
from sandbox.suite import LIFECYCLE_SWITCH
from tests.e2e.conftest import ROOT, Cluster, Ended, Stack, wait_for
from tests.e2e.google import Google, played

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        os.environ.get(LIFECYCLE_SWITCH) != "1", reason=f"destroys the sandbox's stack: set {LIFECYCLE_SWITCH}=1"
    ),
]

ACCESS_TOKEN = "ya29.made-up-token-of-a-test"
SMALL = {"requests": {"cpu": "10m", "memory": "32Mi"}}
OFFICE = {"name": "office", "cidr": "203.0.113.0/24"}
PROJECT, BUCKET = "my-project", "my-models"


@pytest.fixture(scope="module")
def free(variables: dict[str, str]) -> dict[str, str]:
    """The sandbox's cluster with nothing of ours on it; the environment in which commands reach it."""
    name = stack_of(running_state())
    own = Stack(name, ROOT / f"Pulumi.{name}.yaml", {**os.environ, **variables})
    if name in own.run("stack", "ls", "--json").text:
        own.run("destroy", "--yes", "--skip-preview")
    return {**own.variables, "GOOGLE_OAUTH_ACCESS_TOKEN": ACCESS_TOKEN}


@pytest.fixture(scope="module")
def google(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    folder = tmp_path_factory.mktemp("google")
    shutil.copytree(ROOT / "sandbox" / "images" / "models" / "half_plus", folder / "buckets" / BUCKET / "inception")
    with played(cluster, folder, f"{PROJECT}.svc.id.goog") as google:
        yield google


@pytest.fixture(scope="module")
def image() -> str:
    """The name of the sandbox's model server with a shell, in which it waits for its first token; the node has it."""
    wanted = images.MODEL_SERVER_WITH_BASH
    if not materials.BASH.path().exists():
        materials.BASH.build()
    if not images.built(wanted):
        images.build(wanted)
    node.import_images(running_state(), [wanted])
    return wanted.reference


@pytest.fixture(params=["dev", "prod"])
def environment(
    request: pytest.FixtureRequest, free: dict[str, str], google: Google, image: str, tmp_path: Path
) -> Iterator[Stack]:
    """One of the stacks as it comes with the project, made small enough for the sandbox; destroyed at the end."""
    name = str(request.param)
    folder = tmp_path / "checkout"  # `stack init` writes into the project's folder
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
    (folder / ".venv").symlink_to((ROOT / ".venv").resolve())
    (folder / ".sandbox").symlink_to(ROOT / ".sandbox")
    content = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())
    local = yaml.safe_load((ROOT / "Pulumi.local.yaml").read_text())
    config = content["config"]
    config["tfserving-mesh:istio"] = local["config"]["tfserving-mesh:istio"]
    config["tfserving-mesh:egress"] = {"addresses": [{"cidr": f"{HOST_ADDRESS}/32", "reason": "Storage is played"}]}
    model = config["tfserving-mesh:models"]["inception"]
    model["image"] = image
    for version in model["versions"].values():
        version |= {"replicas": 1, "loadTimeoutSeconds": 60, "resources": SMALL}
    file = folder / f"Pulumi.{name}.yaml"
    file.write_text(yaml.safe_dump({"encryptionsalt": local["encryptionsalt"], **content}, sort_keys=False))
    stack = Stack(name, file, free)
    stack.folder = folder
    stack.run("stack", "init")
    assert google.running
    yield stack
    if resources(stack):
        stack.run("state", "unprotect", "--all", "--yes", check=False)
        stack.set(cluster={**stack.get("cluster"), "deletionProtection": False})
        stack.run("up", "--yes", "--skip-preview", check=False)
        stack.run("destroy", "--yes", "--skip-preview", check=False)
    stack.run("stack", "rm", "--yes", "--force", "--preserve-config", check=False)


def resources(stack: Stack) -> list[dict[str, Any]]:
    deployment = json.loads(stack.run("stack", "export").text)["deployment"]
    return [each for each in deployment.get("resources", []) if each["type"] != "pulumi:pulumi:Stack"]


def changed(stack: Stack) -> dict[str, set[str]]:
    """What a preview would do: operations, each with the types of what it is done to; what stays is left out."""
    steps = json.loads(stack.run("preview", "--json").text)["steps"]
    found: dict[str, set[str]] = {}
    for step in steps:
        if step["op"] != "same":
            found.setdefault(step["op"], set()).add(step["urn"].split("::")[2].rpartition("$")[2])
    return found


def review(stack: Stack, *words: str) -> tuple[int, str]:
    plan = stack.run("preview", "--json", check=False).text
    ran = subprocess.run(
        [sys.executable, "-m", "rollout", "review", *words],
        cwd=ROOT, input=plan, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not ran.stderr, ran.stderr
    return ran.returncode, ran.stdout


def test_an_environment_comes_up_in_one_go_changes_in_place_and_goes_without_a_trace(
    environment: Stack, google: Google, cluster: Cluster
) -> None:
    come_up_before_grants_hold(environment, google)
    assert set(cluster.pods("models").values()) == {0}, (
        "a server that was refused its token waits, and is not restarted"
    )
    deployments = cluster.apps.list_namespaced_deployment("models").items
    ready = {each.metadata.name: each.status.ready_replicas for each in deployments}
    assert ready == {"inception-v1": 1, "inception-v2": 1}
    for flags in ((), ("--refresh",)):
        again = environment.up(*flags)
        assert set(again.changes) == {"unchanged"}, again.text
    check_no_token(environment)
    check_weights_only(environment)
    check_changes_in_place(environment, cluster)
    check_region(environment)
    if environment.name == "prod":
        check_protection(environment, cluster)
    environment.run("destroy", "--yes", "--skip-preview")
    assert resources(environment) == []
    left = json.loads(Path(environment.variables[FILE_VARIABLE]).read_text())
    assert set(left) <= {"gcp:projects/service:Service"}, "an API stays on, for others in the project may use it"
    namespaces = {each.metadata.name for each in cluster.core.list_namespace().items}
    assert not {"models", "istio-system"} & namespaces


def come_up_before_grants_hold(stack: Stack, google: Google) -> None:
    """The first `up`, while IAM has yet to hear whose the pods are: it refuses their first tokens."""
    account = f"{account_id('tfs', stack.name, 'inception')}@{PROJECT}.iam.gserviceaccount.com"
    pods, readers = f"{google.pool}[models/inception]", {BUCKET: [account]}
    before = google.requests("metadata")
    google.allow(readers, {account: []})
    with stack.start("up", "--yes", "--skip-preview", alone=False) as started:

        def refused() -> bool:
            assert started.poll() is None, Ended.of(started).text
            asked = [each for each in google.requests("metadata")[len(before) :] if each["identity"] == pods]
            return len({each["from"].rpartition(":")[0] for each in asked if each["status"] == 403}) == 2

        wait_for(refused, "both versions to be refused a token", seconds=300)
        google.allow(readers, {account: [pods]})
        ended = Ended.of(started)
    assert ended.code == 0, ended.text


def check_no_token(stack: Stack) -> None:
    export = stack.run("stack", "export").text
    assert ACCESS_TOKEN not in export
    providers = [each for each in resources(stack) if each["type"] == "pulumi:providers:kubernetes"]
    assert len(providers) == 2
    shown = json.loads(stack.run("stack", "export", "--show-secrets").text)["deployment"]["resources"]
    configs = [each["inputs"]["kubeconfig"] for each in shown if each["type"] == "pulumi:providers:kubernetes"]
    for config in configs:
        text = json.loads(config["plaintext"]) if isinstance(config, dict) else config
        (user,) = json.loads(text)["users"]
        assert set(user["user"]) == {"exec"}
    assert ACCESS_TOKEN not in json.dumps(shown)


def check_weights_only(stack: Stack) -> None:
    stack.set(v2Weight=25)
    code, comment = review(stack, "--weights-only")
    assert code == 0, comment
    assert "inception" in comment
    assert "25" in comment
    stack.up()


def check_changes_in_place(stack: Stack, cluster: Cluster) -> None:
    before = cluster.pods("models", "istio-system")
    given = stack.get("cluster")
    nodes = {**given["nodes"], "min": 2, "max": 5}
    channel = "RAPID" if given["channel"] != "RAPID" else "REGULAR"
    labels = {**given["labels"], "team": "ml"}
    stack.set(cluster={**given, "nodes": nodes, "labels": labels, "channel": channel, "authorizedNetworks": [OFFICE]})
    found = changed(stack)
    assert set(found) == {"update"}
    assert found["update"] == {"gcp:container/cluster:Cluster", "gcp:container/nodePool:NodePool"}
    stack.up()
    assert cluster.pods("models", "istio-system") == before


def check_region(stack: Stack) -> None:
    content = yaml.safe_load(stack.file.read_text())
    before = stack.file.read_text()
    content["config"]["gcp:region"] = "us-central1"
    stack.file.write_text(yaml.safe_dump(content, sort_keys=False))
    _, comment = review(stack)
    stack.file.write_text(before)
    first = next(line for line in comment.splitlines() if line.strip() and not line.startswith("<!--"))
    # A protected one cannot be, and the preview fails of it; the line says both.
    assert "cluster" in first
    assert "replaced" in first.lower()


def check_protection(stack: Stack, cluster: Cluster) -> None:
    before = cluster.pods("models", "istio-system")
    refused = stack.run("destroy", "--yes", "--skip-preview", check=False)
    assert refused.code != 0
    assert "protect" in refused.text
    assert cluster.pods("models", "istio-system") == before
    stack.set(cluster={**stack.get("cluster"), "deletionProtection": False})
    stack.up()
