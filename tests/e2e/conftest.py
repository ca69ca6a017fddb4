"""The program on the sandbox, with a copy of the config: a test's weights never reach the files of the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config
from scipy.stats import binom

from rollout.proxies import execute, proxy_weights
from sandbox.stack import stack_of
from sandbox.state import Process, running_state

ROOT = Path(__file__).parents[2]
MODEL = "half-plus"
NAMESPACE = "models"
HOST = f"{MODEL}.{NAMESPACE}.svc.cluster.local"
PREDICT = f"http://{HOST}:8501/v1/models/{MODEL}:predict"
# What each version answers to 1.0: half plus two, three, four, five; the last takes a while to load.
ANSWERS = {"v1": 2.5, "v2": 3.5, "v3": 4.5, "v4": 5.5}


@dataclass(frozen=True)
class Ended:
    """A Pulumi command that ended; `text` is all it printed."""

    code: int
    text: str

    @classmethod
    def of(cls, started: subprocess.Popen[str]) -> Ended:
        """Wait for a command's end."""
        try:
            text, _ = started.communicate(timeout=600)
        except BaseException:
            started.kill()
            raise
        return cls(started.returncode, text)

    @property
    def changes(self) -> dict[str, int]:
        """Pulumi's own summary: resources by what was done, e.g. {"updated": 1, "unchanged": 30}."""
        summary = self.text.rpartition("Resources:")[2]
        return {
            what: int(count) for count, what in re.findall(r"(\d+) (?:to )?(\w+)", summary.partition("Duration")[0])
        }


class Stack:
    """The sandbox's stack, driven by the real CLI with a config file of its own."""

    folder = ROOT

    def __init__(self, name: str, file: Path, variables: dict[str, str]) -> None:
        self.name, self.file, self.variables = name, file, variables

    def set(self, **values: Any) -> None:
        """Set keys, of the project's namespace where they name none; None removes one."""
        content = yaml.safe_load(self.file.read_text())
        for key, value in values.items():
            full = key if ":" in key else f"tfserving-mesh:{key}"
            if value is None:
                content["config"].pop(full, None)
            else:
                content["config"][full] = value
        self.file.write_text(yaml.safe_dump(content, sort_keys=False))

    def get(self, key: str) -> Any:
        return yaml.safe_load(self.file.read_text())["config"].get(f"tfserving-mesh:{key}")

    def command(self, *words: str) -> list[str]:
        config = [] if words[0] in {"stack", "cancel"} else ["--config-file", str(self.file)]
        return ["pulumi", *words, *config, "--stack", self.name, "--non-interactive", "--color", "never"]

    def start(self, *words: str, alone: bool = True) -> subprocess.Popen[str]:
        """Start a command; alone in a process group, it can be killed with all that it has started."""
        return subprocess.Popen(
            self.command(*words),
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=alone,
        )

    def run(self, *words: str, check: bool = True) -> Ended:
        with self.start(*words, alone=False) as started:
            ended = Ended.of(started)
        assert not check or ended.code == 0, f"pulumi {' '.join(words)} ended with {ended.code}:\n{ended.text}"
        return ended

    def up(self, *words: str, check: bool = True) -> Ended:
        return self.run("up", "--yes", "--skip-preview", *words, check=check)

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self.run("stack", "output", "--json").text))


@dataclass(frozen=True)
class Cluster:
    """The cluster's API, and the pod in the mesh that requests are counted from."""

    # The client's models have every field optional; what a test reads of a live object is there, or the test fails.
    core: Any
    apps: Any
    objects: Any
    admission: Any

    def caller(self) -> str:
        running = [pod for pod in self.staying("callers", "app=caller") if pod.status.phase == "Running"]
        assert len(running) == 1, f"callers: {[pod.metadata.name for pod in running]}"
        return str(running[0].metadata.name)

    def send(self, requests: int, *extra: str, url: str = PREDICT) -> dict[str, Any]:
        """Send predictions of 1.0 from the calling pod; return the load client's report."""
        command = ["/caller", "load", "--url", url, "--body", '{"instances": [1.0]}', "--requests", str(requests)]
        command += ["--connections", "16", *extra]
        return dict(json.loads(execute(self.core, "callers", self.caller(), "caller", command, seconds=300)))

    def count(self, requests: int, *extra: str, url: str = PREDICT) -> dict[str, int]:
        """Send requests and count the answers of each version; every request must be answered."""
        counts = answered(self.send(requests, *extra, url=url))
        assert sum(counts.values()) == requests, counts
        return counts

    def log(self, namespace: str, app: str, container: str | None = None) -> str:
        """Return the log of the first pod with this `app` label."""
        pod = self.core.list_namespaced_pod(namespace, label_selector=f"app={app}").items[0].metadata.name
        return str(self.core.read_namespaced_pod_log(pod, namespace, container=container))

    def route(self) -> dict[str, Any]:
        group = ("networking.istio.io", "v1", NAMESPACE, "virtualservices", MODEL)
        return dict(self.objects.get_namespaced_custom_object(*group))

    def weights(self) -> dict[str, int]:
        """Return the weights that stand in the cluster's VirtualService."""
        destinations = self.route()["spec"]["http"][-1]["route"]
        return {each["destination"]["subset"]: each.get("weight", 0) for each in destinations}

    def staying(self, namespace: str, labels: str | None = None) -> list[Any]:
        """Return the pods that nobody has removed yet; one that drains is still there, and goes by itself."""
        found = self.core.list_namespaced_pod(namespace, label_selector=labels).items
        return [pod for pod in found if pod.metadata.deletion_timestamp is None]

    def pods(self, *namespaces: str) -> dict[str, int]:
        """Return restart counts by UID of the pods that are there to stay, sidecars included."""
        found = {}
        for namespace in namespaces:
            for pod in self.staying(namespace):
                statuses = [*(pod.status.container_statuses or []), *(pod.status.init_container_statuses or [])]
                found[pod.metadata.uid] = sum(status.restart_count for status in statuses)
        return found


def answered(report: dict[str, Any]) -> dict[str, int]:
    """Return how many requests of a load client's report each version answered; all were answered, with 200."""
    versions = {answer: version for version, answer in ANSWERS.items()}
    counts = dict.fromkeys(ANSWERS, 0)
    for answer in report["answers"]:
        assert answer["status"] == 200, report
        counts[versions[json.loads(answer["body"])["predictions"][0]]] += answer["count"]
    assert sum(counts.values()) == report["requests"], report
    return counts


def sandbox_variables() -> dict[str, str]:
    """Return the environment in which commands reach the sandbox; fail with the reason where there is none."""
    asked = subprocess.run(
        [sys.executable, "-m", "sandbox", "exec", "--", "env", "-0"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0:
        reason = asked.stderr.strip() or asked.stdout.strip()
        pytest.exit(f"the end-to-end tests need the sandbox: {reason} (run: make up)", returncode=1)
    return dict(line.split("=", 1) for line in asked.stdout.split("\0") if line)


def own_node(what: str) -> Process:
    """Return the sandbox's node; on a cluster that `make up CONTEXT=...` named instead, skip the test and say why."""
    state = running_state()
    if state.node is None:
        pytest.skip(f"{what} on the sandbox's own node only, and the tests were given the cluster of {state.context}")
    return state.node


@pytest.fixture(scope="session")
def variables() -> dict[str, str]:
    return sandbox_variables()


def cluster_of(kubeconfig: str) -> Cluster:
    config.load_kube_config(kubeconfig)  # type: ignore[no-untyped-call]
    return Cluster(
        client.CoreV1Api(), client.AppsV1Api(), client.CustomObjectsApi(), client.AdmissionregistrationV1Api()
    )


@pytest.fixture(scope="session")
def cluster(variables: dict[str, str]) -> Cluster:
    return cluster_of(variables["KUBECONFIG"])


@pytest.fixture(scope="session")
def deployed(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack as the checkout has it; whatever the tests did to it is put back at the end."""
    name = stack_of(running_state())
    file = tmp_path_factory.mktemp("config") / f"Pulumi.{name}.yaml"
    shutil.copy(ROOT / file.name, file)
    before = file.read_text()
    stack = Stack(name, file, {**os.environ, **variables})
    stack.up()
    yield stack
    stack.file.write_text(before)
    stack.up("--refresh")


def put_back(stack: Stack, cluster: Cluster, before: str) -> None:
    """Bring the stack to the text of a config that it had before, whatever it has now."""
    declared = set(yaml.safe_load(before)["config"]["tfserving-mesh:models"][MODEL]["versions"])
    used = {version for version, weight in cluster.weights().items() if weight}
    if used - declared:
        # A version is not removed while it has traffic, so its weight goes first, on the pods that there are.
        stack.set(**{f"{version}Weight": 0 for version in used - declared})
        stack.up()
    stack.file.write_text(before)
    stack.up()


@contextmanager
def borrowed(deployed: Stack, cluster: Cluster) -> Iterator[Stack]:
    """Give the stack away, and put its config back at the end of the block."""
    before = deployed.file.read_text()
    try:
        yield deployed
    finally:
        if deployed.file.read_text() != before:
            put_back(deployed, cluster, before)


@pytest.fixture
def stack(deployed: Stack, cluster: Cluster) -> Iterator[Stack]:
    """The stack, with its config put back after the test."""
    with borrowed(deployed, cluster) as stack:
        yield stack


def bounds(weight: int, requests: int) -> tuple[int, int]:
    """Return the counts between which 99.9 % of all runs of so many requests fall."""
    low, high = binom.interval(0.999, requests, weight / 100)
    return int(low), int(high)


def wait_for(true: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until something holds; fail with `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.3)


def settle(cluster: Cluster, expected: dict[str, int], seconds: float = 15, pod: str | None = None) -> None:
    """Wait until the proxy of a pod that calls has the weights; without a name it is the one that waits to be asked."""
    deadline = time.monotonic() + seconds
    wanted = {version: weight for version, weight in expected.items() if weight}
    while (have := proxy_weights(cluster.core, "callers", pod or cluster.caller(), HOST, 8501)) != wanted:
        assert time.monotonic() < deadline, f"the proxy has {have}, not {wanted}, after {seconds} s"
        time.sleep(0.2)


def models(versions: Sequence[str], **changes: dict[str, Any]) -> dict[str, Any]:
    """Return a `models` value with these versions of the one model, small and quick to start."""
    # As in the stack that the sandbox comes up with, so that the pods that are there need not be made anew.
    small = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}
    entries = {
        name: {
            "model": int(name[1:]),
            "replicas": 1,
            "loadTimeoutSeconds": 60,
            "resources": small,
            **changes.get(name, {}),
        }
        for name in versions
    }
    # A removed pod stays for as long as a request may take.
    return {MODEL: {"path": "/models/half_plus", "callers": "any", "timeoutSeconds": 10, "versions": entries}}
