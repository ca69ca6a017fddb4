"""What breaks half-way: a version that never loads, and a config that makes no sense."""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import NAMESPACE, Cluster, Stack, models

pytestmark = pytest.mark.e2e


def test_a_version_that_never_becomes_available_fails_up_and_leaves_the_route_alone(
    stack: Stack, cluster: Cluster
) -> None:
    stack.set(models=models(["v1", "v2"]), v2Weight=20)
    stack.up()
    route = cluster.route()["metadata"]["resourceVersion"]

    stack.set(models=models(["v1", "v2", "v9"], v9={"loadTimeoutSeconds": 10}), v2Weight=20, v9Weight=50)
    started = time.monotonic()
    failed = stack.up(check=False)
    assert failed.code != 0
    assert time.monotonic() - started < 10 + 60
    assert "half-plus-v9" in failed.text
    # TF Serving's own words for a version that is not under the base path.
    assert "Version 9 of servable half-plus" in failed.text.partition("half-plus-v9")[2], failed.text
    assert cluster.route()["metadata"]["resourceVersion"] == route
    assert cluster.weights() == {"v1": 80, "v2": 20}

    stack.set(models=models(["v1", "v2"]), v9Weight=None)
    stack.up()
    deployments = {each.metadata.name for each in cluster.apps.list_namespaced_deployment(NAMESPACE).items}
    assert deployments == {"half-plus-v1", "half-plus-v2"}


def test_bad_config_is_refused_before_anything_is_made(stack: Stack, cluster: Cluster) -> None:
    before = cluster.route()["metadata"]["resourceVersion"]
    stack.set(v2Weight=120, v7Weight=5, modles={})
    refused = stack.up(check=False)
    assert refused.code != 0
    assert "v2Weight is 120" in refused.text
    assert "v7Weight" in refused.text
    assert "modles" in refused.text
    assert "pulumi config" in refused.text
    assert "Traceback" not in refused.text
    assert cluster.route()["metadata"]["resourceVersion"] == before
