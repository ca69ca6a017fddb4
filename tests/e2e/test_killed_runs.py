"""An `up` that is killed, at whatever moment, is finished by the next one."""

from __future__ import annotations

import os
import random
import signal
import subprocess

import pytest

from tests.e2e.conftest import NAMESPACE, Cluster, Stack, models

MOMENTS = 10
# What one `up` after another is to bring about: versions with their pods, weights. Each is killed on its way.
TARGETS: tuple[tuple[dict[str, int], dict[str, int]], ...] = (
    ({"v1": 1, "v2": 1, "v3": 1}, {"v1": 60, "v2": 30, "v3": 10}),
    ({"v1": 1, "v2": 2, "v3": 1}, {"v1": 80, "v2": 20, "v3": 0}),
    ({"v1": 1, "v2": 1}, {"v1": 95, "v2": 5}),
)
LONGEST = 6.0  # seconds into an `up` at most; where one had ended by then, the next is killed sooner
pytestmark = pytest.mark.e2e


def bring(stack: Stack, pods: dict[str, int], weights: dict[str, int]) -> None:
    of = models(sorted(pods), **{version: {"replicas": count} for version, count in pods.items()})
    of["half-plus"]["timeoutSeconds"] = 1  # a removed pod stays for as long as a request may take
    stack.set(models=of, v2Weight=weights["v2"], v3Weight=weights.get("v3"))


def kill_after(stack: Stack, seconds: float) -> bool:
    """Begin an `up` and kill it, with all its processes; False when it ended before."""
    begun = stack.start("up", "--yes", "--skip-preview")
    try:
        begun.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(begun.pid, signal.SIGKILL)
        begun.communicate()
        return True
    return False


def test_the_next_up_finishes_what_a_killed_one_began(stack: Stack, cluster: Cluster) -> None:
    seed = int(os.environ.get("SEED") or random.randrange(10**6))  # noqa: S311 - no secret
    chance = random.Random(seed)  # noqa: S311 - likewise
    longest, killed, said = LONGEST, 0, f"SEED={seed}, killed after"
    for turn in range(MOMENTS):
        pods, weights = TARGETS[turn % len(TARGETS)]
        bring(stack, pods, weights)
        moment = chance.uniform(0.3, longest)
        said += f" {moment:.2f} s"
        if kill_after(stack, moment):
            killed += 1
        else:
            longest = moment
        # A lock may be left that says whose it is; the file backend never takes one away by itself.
        stack.run("cancel", "--yes", check=False)
        stack.up()
        assert cluster.weights() == weights, f"turn {turn}: {said}"
        deployments = cluster.apps.list_namespaced_deployment(NAMESPACE).items
        ready = {each.metadata.labels["version"]: each.status.ready_replicas for each in deployments}
        assert ready == pods, f"turn {turn}: {said}"
    print(said)
    assert set(stack.up("--refresh").changes) == {"unchanged"}, said
    assert killed >= MOMENTS // 2, f"only {killed} were killed before they ended: {said}"
