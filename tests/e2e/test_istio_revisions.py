"""Istio is upgraded by revision, and taken back, while requests are sent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bench.load import Load
from tests.e2e.conftest import NAMESPACE, PREDICT, Cluster, Ended, Stack, settle
from tests.e2e.pods import restart

pytestmark = pytest.mark.e2e

BODY, RATE = '{"instances": [1.0]}', 150
FIRST, SECOND = "default", "second"
# The sandbox has one build of Istio: the second revision's images are the same under another tag.
TAG = "1.31-sandbox-second"


class Upgrade:
    """The stack at one step or another."""

    def __init__(self, stack: Stack, cluster: Cluster) -> None:
        self.stack, self.cluster = stack, cluster
        self.before: dict[str, Any] = stack.get("istio")
        second = {"tag": TAG} if stack.name == "local" else {}
        self.entries: dict[str, dict[str, str]] = {FIRST: {}, SECOND: second}

    def up(self, in_use: str, *names: str, check: bool = True) -> Ended:
        """Bring the mesh to these revisions."""
        declared = {"revisions": {name: self.entries[name] for name in names}, "revision": in_use}
        self.stack.set(istio=self.before | declared)
        return self.stack.up(check=check)

    def end(self) -> Ended:
        """Bring the mesh to the plain istiod alone, as it was."""
        self.stack.set(istio=self.before)
        return self.stack.up()

    def proxies(self, namespace: str) -> set[str]:
        """Return the revisions whose proxies the pods of a namespace have."""
        marks = [pod.metadata.annotations or {} for pod in self.cluster.staying(namespace)]
        return {each["istio.io/rev"] for each in marks if "sidecar.istio.io/status" in each}

    def istiods(self) -> set[str]:
        found = self.cluster.apps.list_namespaced_deployment("istio-system", label_selector="app=istiod").items
        return {each.metadata.labels["istio.io/rev"] for each in found if each.status.available_replicas}


@pytest.fixture
def upgrade(stack: Stack, cluster: Cluster) -> Iterator[Upgrade]:
    upgrade = Upgrade(stack, cluster)
    yield upgrade
    if stack.get("istio") != upgrade.before:
        # What failed half-way goes back by the steps, wherever it was: those that it is not at are refused.
        for in_use in (SECOND, FIRST):
            upgrade.up(in_use, FIRST, SECOND, check=False)


@contextmanager
def no_loss() -> Iterator[None]:
    """Send requests, each of which has to be answered."""
    with Load(PREDICT, BODY, RATE) as load:
        yield
        load.sent_in(2)
        account, log = load.since(0), load.proxy_log()
    assert account.failed == 0, [*account.failures[:5], *log[:5]]
    assert account.requests > RATE


def test_istio_is_upgraded_and_taken_back_without_a_lost_request(upgrade: Upgrade, cluster: Cluster) -> None:
    with no_loss():  # from a pod whose proxy is of the first istiod
        beside = upgrade.up(FIRST, FIRST, SECOND)
        assert {"created": 1, "updated": 1}.items() <= beside.changes.items()
        assert upgrade.istiods() == {FIRST, SECOND}
        assert upgrade.proxies(NAMESPACE) == upgrade.proxies("istio-system") == {FIRST}

        upgrade.up(SECOND, FIRST, SECOND)
        assert upgrade.proxies(NAMESPACE) == upgrade.proxies("istio-system") == {SECOND}
        assert upgrade.proxies("callers") == {FIRST}
    restart(cluster, "callers", "caller")
    assert upgrade.proxies("callers") == {SECOND}, "the second istiod answers for labelled namespaces"

    with no_loss():  # from a pod whose proxy is of the second
        alone = upgrade.up(SECOND, SECOND)
        assert {"deleted": 1, "updated": 1}.items() <= alone.changes.items()
        assert upgrade.istiods() == {SECOND}

        weight = upgrade.stack.get("v2Weight")
        upgrade.stack.set(v2Weight=50)
        upgrade.up(SECOND, FIRST, SECOND)
        settle(cluster, {"v1": 50, "v2": 50})
        upgrade.stack.set(v2Weight=weight)
        upgrade.up(FIRST, FIRST, SECOND)
        assert upgrade.proxies(NAMESPACE) == upgrade.proxies("istio-system") == {FIRST}

        # A proxy that was forgotten goes on with what it knows.
        assert {"deleted": 1, "updated": 1}.items() <= upgrade.end().changes.items()
        assert upgrade.istiods() == {FIRST}
    restart(cluster, "callers", "caller")
    assert upgrade.proxies("callers") == {FIRST}


def test_a_step_that_is_left_out_changes_nothing(upgrade: Upgrade) -> None:
    for in_use, names, fix in (
        (SECOND, (FIRST, SECOND), "istio.revision default"),
        (SECOND, (SECOND,), "istio.revisions.default.version"),
    ):
        refused = upgrade.up(in_use, *names, check=False)
        assert refused.code != 0
        assert f"Run: pulumi config set --path {fix}" in " ".join(refused.text.split())
        assert upgrade.istiods() == {FIRST}
    upgrade.stack.set(istio=upgrade.before)
