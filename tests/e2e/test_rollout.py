"""`python -m rollout` on the sandbox: real proxies, real figures, real requests while it works."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from rollout.proxies import execute, proxy_weights
from tests.e2e.conftest import HOST, MODEL, PREDICT, ROOT, Cluster, Ended, Stack, models, own_node, wait_for
from tests.e2e.prometheus import MONITORING
from tests.e2e.test_monitoring import restart_caller

pytestmark = pytest.mark.e2e
CLIENTS = 20
RATE = 150  # requests a second
PROMOTE = ("promote", "--steps", "40,80,100", "--soak", "20s", "--patience", "20s")
LIMITS = {"largestStep": 50, "shortestSoakSeconds": 5}


def rollout(stack: Stack, *words: str) -> Ended:
    """Run the command as an operator does."""
    command = [sys.executable, "-m", "rollout", *words, "--stack", stack.name, "--config-file", str(stack.file)]
    ran = subprocess.run(
        command,
        cwd=ROOT,
        env=stack.variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=400,
    )
    print(f"$ python -m rollout {' '.join(words)}\n{ran.stdout}")
    return Ended(ran.returncode, ran.stdout)


def canary(version: int) -> dict[str, Any]:
    """A `models` value with v1 and a v2 that is one of the sandbox's canaries."""
    value = models(["v1", "v2"], v2={"model": version})
    value[MODEL]["path"] = "/models/canary"
    return value


@contextmanager
def load(cluster: Cluster) -> Iterator[None]:
    """Send requests at a steady rate while the block runs."""
    over = threading.Event()
    command = ["/caller", "load", "--url", PREDICT, "--body", '{"instances": [1.0]}', "--rate", str(RATE)]
    command += ["--duration", "5s", "--connections", "16"]

    def send() -> None:
        while not over.is_set():
            execute(cluster.core, "callers", cluster.caller(), "caller", command)

    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(send)
        try:
            yield
        finally:
            over.set()
            sending.result()


def recorded_nothing_else(stack: Stack) -> None:
    preview = stack.run("preview", "--refresh", "--expect-no-changes", check=False)
    assert preview.code == 0, preview.text


@pytest.fixture(scope="module")
def measured(deployed: Stack, cluster: Cluster) -> Iterator[Stack]:
    """The stack with a Prometheus, v2 at 0, and limits that let a step be short."""
    before = deployed.file.read_text()
    deployed.set(monitoring=dict(MONITORING), models=canary(2), rollout=LIMITS, v2Weight=0)
    try:
        deployed.up()
        restart_caller(cluster)
        yield deployed
    finally:
        deployed.file.write_text(before)
        deployed.up()


def prepared(stack: Stack, version: int) -> None:
    stack.set(models=canary(version), v2Weight=0)
    stack.up()


def test_a_good_version_is_promoted_and_ends_as_stable(measured: Stack, cluster: Cluster) -> None:
    prepared(measured, 2)
    with load(cluster):
        ended = rollout(measured, *PROMOTE)
    assert ended.code == 0, ended.text
    assert measured.get("models")[MODEL]["stable"] == "v2"
    assert measured.get("v2Weight") is None
    assert cluster.weights() == {"v1": 0, "v2": 100}
    for weight in (40, 80, 100):
        assert re.search(rf"v2 at {weight} %, .*: pass", ended.text), ended.text
    recorded_nothing_else(measured)
    assert re.search(r"v2 stable +1/1 +100 % +100 % +100 % +\d", rollout(measured, "status").text)
    page = measured.file.parent / "report.html"
    assert rollout(measured, "report", str(page)).code == 0
    assert page.read_text().count("<polyline") >= 6


@pytest.mark.parametrize(("version", "why"), [(3, "errors"), (4, "slow")])
def test_a_bad_version_is_rolled_back_within_its_first_step(
    measured: Stack, cluster: Cluster, version: int, why: str
) -> None:
    prepared(measured, version)
    with load(cluster):
        ended = rollout(measured, *PROMOTE)
    assert ended.code == 1, ended.text
    assert re.search(rf"{why}.*: fail", ended.text), ended.text
    assert "v2 at 80 %" not in ended.text
    assert measured.get("v2Weight") == 0
    assert cluster.weights() == {"v1": 100, "v2": 0}
    recorded_nothing_else(measured)


def test_without_traffic_it_says_so_and_holds(measured: Stack, cluster: Cluster) -> None:
    prepared(measured, 2)
    ended = rollout(measured, "promote", "--steps", "40,80,100", "--soak", "6s", "--patience", "3s")
    assert ended.code == 3, ended.text
    assert "not enough data" in ended.text
    assert "held at 40 %" in ended.text
    assert cluster.weights() == {"v1": 60, "v2": 40}
    gate = rollout(measured, "gate", "--since", "5s")
    assert gate.code == 3, gate.text


def test_a_change_of_more_than_weights_is_not_brought_up_with_a_step(measured: Stack, cluster: Cluster) -> None:
    prepared(measured, 2)
    changed = canary(2)
    changed[MODEL]["timeoutSeconds"] = 9
    measured.set(models=changed)
    before = measured.file.read_text()
    ended = rollout(measured, *PROMOTE)
    assert ended.code == 2, ended.text
    assert "would change more than weights" in ended.text
    assert measured.file.read_text() == before
    assert cluster.weights() == {"v1": 100, "v2": 0}


def test_rollback_from_half_is_over_in_a_second_or_so_and_recorded(stack: Stack, cluster: Cluster) -> None:
    stack.set(v2Weight=50)
    stack.up()
    assert rollout(stack, "verify").code == 0
    started = time.monotonic()
    ended = rollout(stack, "rollback")
    took = time.monotonic() - started
    assert ended.code == 0, ended.text
    off = re.search(r"(\d+) of \1 proxies have v1 100 %, after ([\d.]+) s", ended.text)
    assert off, ended.text
    assert float(off[2]) <= 1.5, ended.text
    assert took <= 15, ended.text
    assert cluster.weights() == {"v1": 100, "v2": 0}
    assert proxy_weights(cluster.core, "callers", cluster.caller(), HOST, 8501) == {"v1": 100}
    recorded_nothing_else(stack)


@pytest.mark.parametrize("after", ["", "v1 100 %"])
def test_a_rollback_that_was_killed_is_finished_by_the_next_up(stack: Stack, cluster: Cluster, after: str) -> None:
    stack.set(v2Weight=50)
    stack.up()
    command = [sys.executable, "-m", "rollout", "rollback", "--stack", stack.name, "--config-file", str(stack.file)]
    killed = subprocess.Popen(command, cwd=ROOT, env=stack.variables, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    if after:
        assert after in killed.stdout.readline()
    else:
        wait_for(lambda: stack.get("v2Weight") == 0, "the config to be written")
    killed.kill()
    killed.communicate()
    stack.run("cancel", "--yes", check=False)
    stack.up()
    assert cluster.weights() == {"v1": 100, "v2": 0}
    recorded_nothing_else(stack)


@pytest.fixture
def clients(cluster: Cluster) -> Iterator[list[str]]:
    """Twenty pods that may call the model."""
    name = "clients"
    labels = {"app": name, "sidecar.istio.io/inject": "true"}
    container = {
        "name": "caller",
        "image": "docker.io/tfserving-mesh/caller:sandbox",
        "imagePullPolicy": "IfNotPresent",
        "args": ["wait"],
        "resources": {"requests": {"cpu": "1m", "memory": "8Mi"}},
    }
    pod = {
        "metadata": {"labels": labels},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]},
    }
    body = {
        "metadata": {"name": name},
        "spec": {"replicas": CLIENTS, "selector": {"matchLabels": {"app": name}}, "template": pod},
    }
    cluster.apps.create_namespaced_deployment("callers", body)
    try:
        wait_for(
            lambda: cluster.apps.read_namespaced_deployment(name, "callers").status.ready_replicas == CLIENTS,
            "the clients",
            180,
        )
        yield [
            pod.metadata.name for pod in cluster.core.list_namespaced_pod("callers", label_selector=f"app={name}").items
        ]
    finally:
        cluster.apps.delete_namespaced_deployment(name, "callers")
        wait_for(
            lambda: not cluster.core.list_namespaced_pod("callers", label_selector=f"app={name}").items,
            "the clients to end",
            120,
        )


def test_verify_names_the_one_proxy_that_is_cut_off(stack: Stack, cluster: Cluster, clients: list[str]) -> None:
    stack.set(v2Weight=10)
    stack.up()
    assert rollout(stack, "verify").code == 0
    lost = clients[7]
    with cut_off(cluster, lost):
        stack.set(v2Weight=20)
        stack.up()
        ended = rollout(stack, "verify", "--deadline", "5s")
    assert ended.code == 1, ended.text
    assert ended.text.count("behind: ") == 1, ended.text
    assert f"behind: callers/{lost} has v1 90 %, v2 10 %" in ended.text
    took = re.search(r"(\d+) of (\d+) proxies have v1 80 %, v2 20 %, after ([\d.]+) s", ended.text)
    assert took, ended.text
    assert int(took[1]) == int(took[2]) - 1 >= CLIENTS
    assert float(took[3]) <= 5
    assert rollout(stack, "verify", "--deadline", "90s").code == 0  # when it is let through again


@contextmanager
def cut_off(cluster: Cluster, pod: str) -> Iterator[None]:
    """Refuse what a pod and istiod send to each other, on its way through the node; the proxy keeps what it has."""
    node = own_node("a pod is cut off")
    address = cluster.core.read_namespaced_pod(pod, "callers").status.pod_ip
    (istiod,) = cluster.core.list_namespaced_pod("istio-system", label_selector="app=istiod").items
    refuse = ["-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset"]
    # In both directions: what istiod pushes is taken without an answer.
    ways = [(address, istiod.status.pod_ip), (istiod.status.pod_ip, address)]
    rules = [["FORWARD", "-s", source, "-d", to, *refuse] for source, to in ways]
    tables = ["nsenter", "--target", str(node.pid), "--net", "iptables"]
    for rule in rules:
        subprocess.run([*tables, "-I", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            subprocess.run([*tables, "-D", *rule], check=True)
