"""Who gets a sidecar: every combination of namespace label, pod label and pod annotation, asked of the real webhook."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest
from kubernetes import client

from tests.e2e.conftest import Cluster

pytestmark = pytest.mark.e2e

KEY = "sidecar.istio.io/inject"
NAMESPACES = ("enabled", "none", "disabled")  # by their label
VALUES = ("true", "false", "none")

# (namespace label, pod label, pod annotation) of all that get one; a label counts before an annotation.
INJECTED = {
    ("enabled", "true", "true"),
    ("enabled", "true", "false"),
    ("enabled", "true", "none"),
    ("enabled", "none", "true"),
    ("none", "true", "true"),
    ("none", "true", "false"),
    ("none", "true", "none"),
}


@pytest.fixture(scope="module")
def namespaces(cluster: Cluster) -> Iterator[dict[str, str]]:
    made: dict[str, str] = {}
    try:
        for label in NAMESPACES:
            labels = {} if label == "none" else {"istio-injection": label}
            asked = {"metadata": {"generateName": f"inject-{label}-", "labels": labels}}
            made[label] = name = cluster.core.create_namespace(asked).metadata.name
            # The API server adds the default service account a moment later, and refuses pods until then.
            cluster.core.create_namespaced_service_account(name, {"metadata": {"name": "asker"}})
        yield made
    finally:
        for name in made.values():
            cluster.core.delete_namespace(name)


@pytest.mark.parametrize(("namespace", "label", "annotation"), list(product(NAMESPACES, VALUES, VALUES)))
def test_a_pod_gets_a_sidecar_only_when_it_asks_for_one(
    cluster: Cluster, namespaces: dict[str, str], namespace: str, label: str, annotation: str
) -> None:
    pod = client.V1Pod(
        metadata=client.V1ObjectMeta(
            name="asks",
            labels={} if label == "none" else {KEY: label},
            annotations={} if annotation == "none" else {KEY: annotation},
        ),
        spec=client.V1PodSpec(
            service_account_name="asker",
            containers=[client.V1Container(name="app", image="docker.io/tfserving-mesh/caller:sandbox")],
        ),
    )
    # A dry run goes through every admission webhook and starts nothing.
    made = cluster.core.create_namespaced_pod(namespaces[namespace], pod, dry_run="All")
    containers = [each.name for each in [*made.spec.containers, *(made.spec.init_containers or [])]]
    assert ("istio-proxy" in containers) == ((namespace, label, annotation) in INJECTED)
