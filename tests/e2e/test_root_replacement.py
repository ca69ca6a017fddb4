"""A root is replaced, and an intermediate renewed, while requests are sent, each of which has to be a new handshake."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from bench import load as sender
from bench.load import Load
from infra import naming
from rollout.proxies import config_dump
from tests.e2e.conftest import MODEL, NAMESPACE, PREDICT, ROOT, Cluster, Stack, wait_for
from tests.e2e.pods import restart
from tests.e2e.test_certificates import inline

pytestmark = pytest.mark.e2e

BODY, RATE = '{"instances": [1.0]}', 150
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


def look_at_volumes(cluster: Cluster, *namespaces: str) -> None:
    """Have the kubelet look at the pods' volumes: it does every minute, and at once when something of a pod changes."""
    mark = {"metadata": {"annotations": {"tests/looked-at": datetime.now(UTC).isoformat()}}}
    for namespace in namespaces:
        for pod in cluster.core.list_namespaced_pod(namespace).items:
            cluster.core.patch_namespaced_pod(pod.metadata.name, namespace, mark)


def take(stack: Stack, cluster: Cluster, **config: Any) -> str:
    """Make a step, wait until the command says that it has reached every proxy, and return what it shows."""
    stack.set(**config)
    stack.up()
    look_at_volumes(cluster, *PROXIED)
    shown: list[subprocess.CompletedProcess[str]] = []

    def settled() -> bool:
        shown.append(certificates_of(stack))
        return shown[-1].returncode == 0 and "another" not in shown[-1].stdout

    try:
        wait_for(settled, f"every proxy at {config}", seconds=150)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{shown[-1].stdout}{shown[-1].stderr}") from None
    return shown[-1].stdout


@pytest.fixture
def replaced(stack: Stack, cluster: Cluster, tmp_path: Path) -> Iterator[Stack]:
    """The stack, whose config from before fits again at the end."""
    yield stack
    if stack.get("caRoot") == "2+1":
        stack.set(caRoot="1+2")  # what failed half-way goes back by the steps
        stack.up(check=False)
    if stack.get("caRoot") == "2":
        count_from_one(stack, cluster, tmp_path / "state.json")


def count_from_one(stack: Stack, cluster: Cluster, file: Path) -> None:
    """Call root 2 root 1: a root that is gone does not come back, and the config of the other tests says 1."""
    text = stack.run("stack", "export").text
    for name in ("injector-root", "injector-intermediate"):
        text = text.replace(f"::{name}-2", f"::{name}")
    file.write_text(json.dumps(json.loads(text, object_pairs_hook=at_one)))
    stack.run("stack", "import", "--file", str(file))
    mark = {"metadata": {"annotations": {naming.CA_ROOTS: "1"}}}
    cluster.core.patch_namespaced_secret(naming.CACERTS_SECRET, "istio-system", mark)


def at_one(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of the state that says so, where it says which roots there are."""
    return {key: "1" if value == "2" and key in {"input", "output", naming.CA_ROOTS} else value for key, value in pairs}


def intermediates(cluster: Cluster, namespace: str, pod: str) -> list[x509.Certificate]:
    """Return what a pod's proxy sends behind its own certificate."""
    dump = config_dump(cluster.core, namespace, pod, "dynamic_active_secrets")
    (own,) = (each["secret"] for each in dump["configs"] if each["name"] == "default")
    return inline(own["tls_certificate"]["certificate_chain"])[1:]


def renew(stack: Stack, cluster: Cluster) -> None:
    """Renew the intermediate, wait until istiod has it, and make pods that it signs for beside those of before."""
    istiod = "newly added intermediate CA and updated"
    taken = cluster.log("istio-system", "istiod").count(istiod)
    before = x509.load_pem_x509_certificate(stack.outputs()["intermediateCertificate"].encode())
    stack.set(caGeneration=int(stack.get("caGeneration") or 1) + 1)
    stack.up()
    look_at_volumes(cluster, "istio-system")
    wait_for(lambda: cluster.log("istio-system", "istiod").count(istiod) > taken, "istiod's new intermediate", 150)
    restart(cluster, NAMESPACE, f"{MODEL}-v1")
    after = x509.load_pem_x509_certificate(stack.outputs()["intermediateCertificate"].encode())
    (pod,) = cluster.staying(NAMESPACE, "version=v1")
    assert after in intermediates(cluster, NAMESPACE, pod.metadata.name)
    assert before in intermediates(cluster, sender.NAMESPACE, sender.NAME)


def test_a_root_is_replaced_and_an_intermediate_renewed_without_a_lost_request_or_a_restart(
    replaced: Stack, cluster: Cluster, load: Load
) -> None:
    pods = cluster.pods(*PROXIED)
    first = replaced.outputs()["rootCertificate"]
    for roots, trusted in (("1+2", 2), ("2+1", 2), ("1+2", 2), ("2+1", 2), ("2", 1)):  # one step of them back
        take(replaced, cluster, caRoot=roots)
        assert len(x509.load_pem_x509_certificates(replaced.outputs()["rootCertificate"].encode())) == trusted
        assert load.sent_in(3).requests > RATE
    assert replaced.outputs()["rootCertificate"] != first
    assert cluster.pods(*PROXIED) == pods

    renew(replaced, cluster)
    assert load.sent_in(3).requests > RATE
    account = load.since(0)
    assert account.failed == 0, account.failures[:5]


def test_a_step_that_is_left_out_changes_nothing(stack: Stack, cluster: Cluster) -> None:
    before = cluster.core.read_namespaced_secret("cacerts", "istio-system").data
    stack.set(caRoot="2")
    refused = stack.up(check=False)
    assert refused.code != 0
    assert "Run: pulumi config set caRoot 1+2" in " ".join(refused.text.split())
    assert cluster.core.read_namespaced_secret("cacerts", "istio-system").data == before
