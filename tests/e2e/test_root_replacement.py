"""A root is replaced while requests are sent, each of which has to be a new handshake."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from bench.load import Load
from tests.e2e.conftest import MODEL, NAMESPACE, PREDICT, ROOT, Cluster, Stack, wait_for

pytestmark = pytest.mark.e2e

BODY, RATE = '{"instances": [1.0]}', 50
RULES = ("networking.istio.io", "v1", NAMESPACE, "destinationrules")
PROXIED = ("istio-system", NAMESPACE, "callers")


@pytest.fixture
def load(cluster: Cluster) -> Iterator[Load]:
    """Requests of which each has a connection of its own: one that is kept asks for no certificate again."""
    names = [f"{MODEL}-v1", f"{MODEL}-v2"]
    before = {name: cluster.objects.get_namespaced_custom_object(*RULES, name)["spec"] for name in names}
    single = {"connectionPool": {"http": {"maxRequestsPerConnection": 1}}}
    for name in names:
        cluster.objects.patch_namespaced_custom_object(*RULES, name, {"spec": {"trafficPolicy": single}})
    with Load(PREDICT, BODY, RATE) as started:
        yield started
    for name, spec in before.items():
        left = {"connectionPool": None} if spec.get("trafficPolicy") else None  # Istio refuses an empty policy
        cluster.objects.patch_namespaced_custom_object(*RULES, name, {"spec": {"trafficPolicy": left}})


def certificates_of(stack: Stack) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rollout", "certificates", "--stack", stack.name, "--config-file", str(stack.file)]
    return subprocess.run(command, cwd=ROOT, env=stack.variables, capture_output=True, text=True, check=False)


def take(stack: Stack, cluster: Cluster, **config: Any) -> str:
    """Make a step, wait until the command says that it has reached every proxy, and return what it shows."""
    stack.set(**config)
    stack.up()
    # The kubelet looks at a pod's volumes every minute, and at once when something of the pod changes.
    mark = {"metadata": {"annotations": {"tests/looked-at": datetime.now(UTC).isoformat()}}}
    for namespace in PROXIED:
        for pod in cluster.core.list_namespaced_pod(namespace).items:
            cluster.core.patch_namespaced_pod(pod.metadata.name, namespace, mark)
    shown: list[subprocess.CompletedProcess[str]] = []

    def settled() -> bool:
        shown.append(certificates_of(stack))
        return shown[-1].returncode == 0 and "another" not in shown[-1].stdout

    try:
        wait_for(settled, f"every proxy at {config}", seconds=150)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{shown[-1].stdout}{shown[-1].stderr}") from None
    return shown[-1].stdout


def test_a_second_root_signs_and_leaves_again_without_a_lost_request_or_a_restart(
    stack: Stack, cluster: Cluster, load: Load
) -> None:
    # The way back does to the second root what the last step of a replacement does to the first, and can be undone.
    pods = cluster.pods(*PROXIED)
    first = stack.outputs()["rootCertificate"]
    for roots, trusted in (("1+2", 2), ("2+1", 2), ("1+2", 2), ("1", 1)):
        take(stack, cluster, caRoot=roots)
        assert len(x509.load_pem_x509_certificates(stack.outputs()["rootCertificate"].encode())) == trusted
        assert load.sent_in(3).requests > RATE
    assert stack.outputs()["rootCertificate"] == first
    account = load.since(0)
    assert account.failed == 0, account.failures[:5]
    assert cluster.pods(*PROXIED) == pods


def test_a_step_that_is_left_out_changes_nothing(stack: Stack, cluster: Cluster) -> None:
    before = cluster.core.read_namespaced_secret("cacerts", "istio-system").data
    stack.set(caRoot="2")
    refused = stack.up(check=False)
    assert refused.code != 0
    assert "Run: pulumi config set caRoot 1+2" in " ".join(refused.text.split())
    assert cluster.core.read_namespaced_secret("cacerts", "istio-system").data == before
