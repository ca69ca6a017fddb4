"""The sandbox's own commands while it runs; nothing here ends it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from sandbox.paths import CHECKOUT, state_root
from sandbox.state import Health, State, running_state
from tests.e2e.conftest import own_node

pytestmark = pytest.mark.e2e


@pytest.fixture(autouse=True)
def running() -> State:
    return running_state()


def sandbox(*words: str, checkout: Path = CHECKOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", *words], cwd=checkout, capture_output=True, text=True, check=False
    )


@pytest.fixture
def second_checkout(tmp_path: Path) -> Path:
    shutil.copytree(CHECKOUT / "sandbox", tmp_path / "sandbox")
    return tmp_path


def test_a_second_up_changes_nothing(running: State) -> None:
    began = time.monotonic()
    done = sandbox("up", "--cluster-only")
    assert done.returncode == 0, done.stderr
    assert "start the node" not in done.stdout
    assert time.monotonic() - began < 15
    assert running_state() == running


@pytest.mark.parametrize("command", ["up", "env", "exec -- true", "down"])
def test_a_second_checkout_is_refused_and_told_where_it_runs(
    command: str, second_checkout: Path, running: State
) -> None:
    done = sandbox(*command.split(), checkout=second_checkout)
    assert done.returncode == 1
    assert f"running from {running.checkout} " in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert running.health is Health.RUNNING


def test_a_second_checkouts_status_says_where_it_runs(second_checkout: Path, running: State) -> None:
    done = sandbox("status", checkout=second_checkout)
    assert done.returncode == 0
    assert f"checkout{'':20}{running.checkout}\n" in done.stdout


def test_status_shows_the_node_and_the_versions() -> None:
    own_node("the versions are these")
    done = sandbox("status")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ready, Kubernetes v1.35.4, containerd 1." in done.stdout
    assert "pods kube-system" in done.stdout


def test_an_evaluated_environment_reaches_the_cluster() -> None:
    script = (
        'eval "$("$0" -m sandbox env)" && eval "$("$0" -m sandbox env)" && kubectl get nodes -o name && pulumi whoami'
    )
    command = ["bash", "-euc", script, sys.executable]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("node/")


def test_exec_hands_on_arguments_and_exit_code() -> None:
    done = sandbox("exec", "--", "sh", "-c", 'echo "$@"; exit 7', "sh", "--flag", "-x", "two words")
    assert (done.stdout, done.returncode) == ("--flag -x two words\n", 7)


def test_exec_names_a_command_that_is_not_there() -> None:
    done = sandbox("exec", "--", "no-such-command")
    assert done.returncode == 1
    assert done.stderr == "sandbox: cannot run no-such-command: No such file or directory\n"


def test_the_host_reaches_pods_and_they_have_names() -> None:
    own_node("pods are reached from the host")
    found = sandbox("exec", "--", "kubectl", "-n", "kube-system", "get", "pods", "-l", "k8s-app=kube-dns", "-o", "json")
    (pod,) = json.loads(found.stdout)["items"]
    with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8181/ready", timeout=5) as answer:
        assert answer.status == 200


def test_the_users_pulumi_login_is_not_touched() -> None:
    done = sandbox("exec", "--", "env")
    settings = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert settings["PULUMI_BACKEND_URL"].startswith(f"file://{state_root()}")
    assert settings["PULUMI_HOME"].startswith(str(state_root()))
    assert settings["PATH"].split(os.pathsep)[0] == str(CHECKOUT / ".venv" / "bin")
