"""The mesh's CA: whose root everything trusts, what is kept, and that no key gets out."""

from __future__ import annotations

import base64
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra import certificates
from rollout.certificates_table import left
from rollout.injector import untrusting
from rollout.proxies import config_dump
from tests.e2e.conftest import MODEL, ROOT, Cluster, Stack

pytestmark = pytest.mark.e2e


def workload_secrets(cluster: Cluster) -> dict[str, Any]:
    """Return what the calling pod's proxy was given: its own chain ("default") and what it trusts ("ROOTCA")."""
    dump = config_dump(cluster.core, "callers", cluster.caller(), "dynamic_active_secrets")
    return {each["name"]: each["secret"] for each in dump["configs"]}


def inline(data: dict[str, str]) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(base64.b64decode(data["inline_bytes"]))


def cacerts(cluster: Cluster) -> dict[str, bytes]:
    secret = cluster.core.read_namespaced_secret("cacerts", "istio-system")
    return {name: base64.b64decode(content) for name, content in secret.data.items()}


def test_workload_certificates_chain_to_the_stacks_root(stack: Stack, cluster: Cluster) -> None:
    root = x509.load_pem_x509_certificate(stack.outputs()["rootCertificate"].encode())
    secrets = workload_secrets(cluster)
    assert root in inline(secrets["ROOTCA"]["validation_context"]["trusted_ca"])
    chain = inline(secrets["default"]["tls_certificate"]["certificate_chain"])
    assert len(chain) >= 2, "the workload's own certificate and the intermediate"
    for issued, issuer in zip(chain, [*chain[1:], root], strict=True):
        if issued != issuer:
            issued.verify_directly_issued_by(issuer)
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://cluster.local/ns/callers/sa/default"]


def test_the_injectors_webhook_trusts_the_stacks_root(stack: Stack, cluster: Cluster) -> None:
    root = x509.load_pem_x509_certificate(stack.outputs()["rootCertificate"].encode())
    assert untrusting(cluster.admission, stack.outputs()["rootCertificate"]) == []
    assert untrusting(cluster.admission, certificates.make_root().certificate_pem) != []
    webhooks = cluster.admission.read_mutating_webhook_configuration("istio-sidecar-injector").webhooks
    assert webhooks
    for webhook in webhooks:
        assert x509.load_pem_x509_certificate(base64.b64decode(webhook.client_config.ca_bundle)) == root


def test_the_command_shows_every_certificate_and_when_the_ca_ends_too_soon(stack: Stack) -> None:
    fine = certificates_command(stack)
    assert fine.returncode == 0, fine.stdout + fine.stderr
    for name in ("root", "intermediate", "istio-sidecar-injector", "callers/default", f"models/{MODEL}"):
        assert name in fine.stdout, fine.stdout
    intermediate = x509.load_pem_x509_certificate(stack.outputs()["intermediateCertificate"].encode())
    assert left(intermediate.not_valid_after_utc - datetime.now(UTC)) in fine.stdout
    assert certificates_command(stack, "--within", "366d").returncode == 1


def certificates_command(stack: Stack, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "rollout", "certificates", "--stack", stack.name, "--config-file", str(stack.file)]
    return subprocess.run(
        [*command, *words], cwd=ROOT, env=stack.variables, capture_output=True, text=True, check=False
    )


def test_a_key_is_made_once_and_renewed_when_asked(stack: Stack, cluster: Cluster) -> None:
    before = cacerts(cluster)
    assert set(stack.up().changes) == {"unchanged"}
    assert cacerts(cluster) == before
    assert stack.outputs()["intermediateCertificate"].encode() == before["ca-cert.pem"]

    stack.set(caGeneration=int(stack.get("caGeneration") or 1) + 1)
    stack.up()
    after = cacerts(cluster)
    assert after["ca-key.pem"] != before["ca-key.pem"]
    assert after["ca-cert.pem"] != before["ca-cert.pem"]
    assert after["root-cert.pem"] == before["root-cert.pem"], "a new root would part old pods from new ones"
    x509.load_pem_x509_certificate(after["ca-cert.pem"]).verify_directly_issued_by(
        x509.load_pem_x509_certificate(after["root-cert.pem"])
    )


def test_no_private_key_stands_in_state_preview_or_log(stack: Stack, cluster: Cluster) -> None:
    stack.set(caGeneration=int(stack.get("caGeneration") or 1) + 7)
    seen = [
        stack.run("preview", "--diff").text,
        stack.up("--diff", "--debug").text,
        stack.run("stack", "export").text,
        stack.run("stack", "output").text,
        cluster.log("istio-system", "istiod"),
        cluster.log("callers", "caller", container="istio-proxy"),
    ]
    key = cacerts(cluster)["ca-key.pem"].decode()
    body = key.splitlines()[1]
    encoded = base64.b64encode(key.encode()).decode()
    for text in seen:
        assert "PRIVATE KEY" not in text
        assert body not in text
        assert encoded[40:80] not in text
    # The same search finds what is public, so it would find a key as well.
    root = stack.outputs()["rootCertificate"]
    public = x509.load_pem_x509_certificate(root.encode()).public_bytes(Encoding.PEM).decode().splitlines()[1]
    assert public in seen[2]
