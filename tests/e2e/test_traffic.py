"""Real requests through real proxies, counted by the version that answered."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import HOST, NAMESPACE, Cluster, Stack, bounds, models, settle

REQUESTS = 10_000
pytestmark = pytest.mark.e2e


def differences(diff: str) -> list[str]:
    """Return the lines of a diff that name a value which is added, removed or changed."""
    lines = (line.strip() for line in diff.splitlines())
    return [line for line in lines if line.startswith(("~ ", "+", "-")) and not line.endswith(("{", "[", "(update)"))]


@pytest.mark.parametrize("weight", [0, 5, 25])
def test_requests_follow_the_configured_weight(stack: Stack, cluster: Cluster, weight: int) -> None:
    stack.set(v2Weight=weight)
    stack.up()
    settle(cluster, {"v1": 100 - weight, "v2": weight})
    counts = cluster.count(REQUESTS)
    low, high = bounds(weight, REQUESTS)
    assert low <= counts["v2"] <= high
    assert counts["v3"] == 0


def test_three_versions_share_as_configured(stack: Stack, cluster: Cluster) -> None:
    stack.set(models=models(["v1", "v2", "v3"]), v2Weight=20, v3Weight=10)
    stack.up()
    settle(cluster, {"v1": 70, "v2": 20, "v3": 10})
    counts = cluster.count(REQUESTS)
    for version, weight in (("v1", 70), ("v2", 20), ("v3", 10)):
        low, high = bounds(weight, REQUESTS)
        assert low <= counts[version] <= high, counts


def test_a_step_changes_two_weights_and_touches_no_pod(stack: Stack, cluster: Cluster) -> None:
    stack.set(v2Weight=10)
    stack.up()
    pods = cluster.pods(NAMESPACE, "callers", "istio-system")

    stack.set(v2Weight=35)
    preview = stack.run("preview", "--diff")
    resources, _, outputs = preview.text.partition("--outputs:--")
    assert differences(resources) == ["~ weight: 90 => 65", "~ weight: 10 => 35"], preview.text
    assert differences(outputs.partition("Resources:")[0]) == ["~ v1: 90 => 65", "~ v2: 10 => 35"], preview.text
    assert preview.changes["update"] == 1

    assert stack.up().changes.keys() == {"updated", "unchanged"}
    assert cluster.weights() == {"v1": 65, "v2": 35}
    assert cluster.pods(NAMESPACE, "callers", "istio-system") == pods


def test_a_step_is_exactly_one_updated_resource(stack: Stack) -> None:
    stack.set(v2Weight=11)
    stack.up()
    stack.set(v2Weight=12)
    changes = stack.up().changes
    assert changes["updated"] == 1
    assert set(changes) == {"updated", "unchanged"}


@pytest.mark.parametrize("flags", [(), ("--refresh",)])
def test_an_up_without_a_change_changes_nothing(stack: Stack, flags: tuple[str, ...]) -> None:
    stack.up()
    assert set(stack.up(*flags).changes) == {"unchanged"}


def test_a_weight_edited_by_hand_is_shown_and_put_back(stack: Stack, cluster: Cluster) -> None:
    stack.set(v2Weight=10)
    stack.up()
    edited = cluster.route()
    first, second = edited["spec"]["http"][0]["route"]
    first["weight"], second["weight"] = 46, 54
    cluster.objects.patch_namespaced_custom_object(
        "networking.istio.io", "v1", NAMESPACE, "virtualservices", edited["metadata"]["name"], {"spec": edited["spec"]}
    )
    assert cluster.weights() == {"v1": 46, "v2": 54}

    drift = stack.run("preview", "--refresh", "--diff", "--expect-no-changes", check=False)
    assert drift.code != 0
    assert "weight: 54 => 10" in drift.text or "weight: 10 => 54" in drift.text, drift.text

    stack.up("--refresh")
    assert cluster.weights() == {"v1": 90, "v2": 10}
    assert set(stack.up("--refresh").changes) == {"unchanged"}


def test_the_exports_say_where_and_how_a_model_is_served(stack: Stack) -> None:
    stack.set(v2Weight=15)
    stack.up()
    exported = stack.outputs()["models"]["half-plus"]
    assert exported["weights"] == {"v1": 85, "v2": 15}
    assert exported["versions"] == {"v1": 1, "v2": 2}
    assert exported["url"] == f"http://{HOST}:8501/v1/models/half-plus"
