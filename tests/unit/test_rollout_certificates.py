"""What ends when, as the certificates say themselves, and when something has to be done about it."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from infra.certificates import KeyPair, make_intermediate, make_root, make_server
from rollout.certificates import (
    Authority,
    Bundle,
    Ending,
    ProxyCertificate,
    authority_of,
    endings,
    look,
    proxy_certificate,
)
from rollout.certificates_table import left, table
from rollout.cluster_api import ClusterApi, Forwarded
from rollout.errors import RolloutError
from tests.workload_certificates import certificate, workload

NOW = datetime.now(UTC).replace(microsecond=0)
MONTH = timedelta(days=30)
ROOT = make_root(now=NOW)
INTERMEDIATE = make_intermediate(ROOT, now=NOW)
OUTPUTS = {"rootCertificate": ROOT.certificate_pem, "intermediateCertificate": INTERMEDIATE.certificate_pem}


def pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def dump(*chain: x509.Certificate, trusted: KeyPair = ROOT) -> dict[str, Any]:
    def inline(text: str) -> dict[str, str]:
        return {"inline_bytes": base64.b64encode(text.encode()).decode()}

    own = {
        "tls_certificate": {"certificate_chain": inline(pem(*chain)), "private_key": {"inline_bytes": "W3JlZGFjdGVk"}}
    }
    others = {"validation_context": {"trusted_ca": inline(trusted.certificate_pem)}}
    return {"configs": [{"name": "default", "secret": own}, {"name": "ROOTCA", "secret": others}]}


def proxy(
    signer: KeyPair = INTERMEDIATE, above: KeyPair = ROOT, trusted: KeyPair = ROOT, **of: Any
) -> ProxyCertificate:
    chain = workload(signer, **{"now": NOW, **of}), certificate(signer), certificate(above)
    found = proxy_certificate(dump(*chain, trusted=trusted))
    assert found is not None
    return found


def gateway(host: str, days: float) -> ProxyCertificate:
    """The gateway's proxy, that shows a certificate of 90 days which has some of them left."""
    shown = make_server(INTERMEDIATE, host, now=NOW - timedelta(days=90 - days))
    leaf, *_ = x509.load_pem_x509_certificates(shown.certificate_pem.encode())
    found = dump(workload(INTERMEDIATE, now=NOW), certificate(INTERMEDIATE), certificate(ROOT))
    chain = {"inline_bytes": base64.b64encode(pem(leaf, certificate(INTERMEDIATE)).encode()).decode()}
    entry = {"name": "kubernetes://ingress-tls", "secret": {"tls_certificate": {"certificate_chain": chain}}}
    found["configs"] += [entry, {"name": "kubernetes://not-there", "secret": {}}]
    read = proxy_certificate(found)
    assert read is not None
    return read


@pytest.mark.parametrize(
    ("days", "within", "wrong"), [(31, 30, False), (23, 30, False), (22, 30, True), (22, 7, False)]
)
def test_a_hosts_certificate_is_told_when_it_should_have_been_renewed(days: int, within: int, *, wrong: bool) -> None:
    proxies = [gateway("a.test", days), gateway("a.test", 90), gateway("b.test", 90)]
    rows = endings(authority_of(OUTPUTS), [], proxies, timedelta(days=within), NOW)
    first, second = [row for row in rows if row.what == "host"]
    assert (first.of, first.until, first.wrong) == ("a.test", NOW + timedelta(days=days), wrong), "the earlier of two"
    assert (second.of, second.wrong) == ("b.test", False)


def of_proxies(*proxies: ProxyCertificate, now: datetime = NOW) -> list[Ending]:
    return [row for row in endings(authority_of(OUTPUTS), [], proxies, MONTH, now) if row.what == "proxy"]


def authority(root_days: int = 3650, intermediate_days: int = 365) -> Authority:
    root = make_root(now=NOW, lifetime=timedelta(root_days))
    intermediate = make_intermediate(root, now=NOW, lifetime=timedelta(intermediate_days))
    return Authority((certificate(root),), certificate(intermediate))


def test_a_new_stacks_ca_is_fine_and_its_ends_are_told() -> None:
    root, intermediate = endings(authority_of(OUTPUTS), [], [], MONTH, NOW)
    assert (root.what, root.until, root.wrong) == ("root", ROOT.not_after, False)
    assert (intermediate.what, intermediate.until, intermediate.wrong) == (
        "intermediate",
        INTERMEDIATE.not_after,
        False,
    )


@pytest.mark.parametrize(("days", "wrong"), [(31, False), (30, True), (29, True)])
def test_a_ca_that_ends_within_the_stated_time_is_told(days: int, wrong: bool) -> None:  # noqa: FBT001 - a parameter
    rows = endings(authority(intermediate_days=days), [], [], MONTH, NOW)
    assert [row.wrong for row in rows] == [False, wrong]
    rows = endings(authority(root_days=days, intermediate_days=365), [], [], MONTH, NOW)
    assert [row.wrong for row in rows] == [wrong, wrong], "the intermediate ends with its root"


def test_a_webhook_that_trusts_another_root_is_told() -> None:
    roots = {"istio-sidecar-injector": ROOT, "istio-sidecar-injector-1-31-0": make_root(now=NOW)}
    bundles = [Bundle(name, root.certificate_pem.encode()) for name, root in roots.items()]
    _, _, ours, others = endings(authority_of(OUTPUTS), bundles, [], MONTH, NOW)
    assert (ours.wrong, ours.until) == (False, ROOT.not_after)
    assert [ours.of, others.of] == list(roots)
    assert others.wrong
    assert others.notes == ("trusts other roots than the stack's",)


def test_an_identitys_proxies_are_one_row_with_the_earliest_end() -> None:
    inception, gateway = of_proxies(
        proxy(hours=24), proxy(hours=20), proxy(identity="istio-ingress/istio-ingress", hours=10)
    )[::-1]
    assert (inception.of, inception.until, inception.notes) == (
        "models/inception",
        NOW + timedelta(hours=20),
        ("2 proxies",),
    )
    assert (gateway.of, gateway.notes, gateway.wrong) == ("istio-ingress/istio-ingress", ("1 proxy",), False)


def test_a_certificate_of_the_intermediate_before_is_told_and_fine() -> None:
    (row,) = of_proxies(proxy(), proxy(make_intermediate(ROOT, now=NOW)))
    assert (row.notes, row.wrong) == (("2 proxies", "1 signed by another intermediate"), False)


def test_a_proxy_that_was_signed_below_another_root_cannot_be_called() -> None:
    other = make_root(now=NOW)
    (row,) = of_proxies(proxy(make_intermediate(other, now=NOW), other, trusted=other))
    assert row.wrong
    assert row.notes == (
        "1 proxy",
        "signed by another intermediate",
        "signed below another root",
        "without a root of the stack among the trusted",
    )


def test_while_a_root_is_replaced_each_proxy_has_to_trust_both_and_have_a_certificate_of_the_signing_one() -> None:
    new = make_root(now=NOW)
    below = make_intermediate(new, now=NOW)
    both = KeyPair(new.certificate_pem + ROOT.certificate_pem, "")
    outputs = {"rootCertificate": both.certificate_pem, "intermediateCertificate": below.certificate_pem}

    def of(*proxies: ProxyCertificate) -> Ending:
        rows = endings(authority_of(outputs), [Bundle("a", both.certificate_pem.encode())], proxies, MONTH, NOW)
        assert [row.what for row in rows] == ["root", "root", "intermediate", "webhook", "proxy"]
        assert [row.notes for row in rows[:2]] == [("signs",), ()]
        assert not any(row.wrong for row in rows[:-1])
        return rows[-1]

    # istiod sends both roots behind the chain
    found = proxy_certificate(dump(workload(below, now=NOW), *map(certificate, (below, new, ROOT)), trusted=both))
    assert found is not None
    assert not of(found).wrong

    done, aware, behind = proxy(below, new, both), proxy(trusted=both), proxy()
    assert (of(done).notes, of(done).wrong) == (("1 proxy",), False)
    assert of(done, aware).notes == ("2 proxies", "1 signed by another intermediate", "1 signed below another root")
    assert of(done, aware).wrong
    assert of(done, behind).notes[-1] == "1 without a root of the stack among the trusted"


def test_a_chain_with_a_gap_is_told() -> None:
    stranger = make_intermediate(make_root(now=NOW), now=NOW)
    found = proxy_certificate(dump(workload(stranger, now=NOW), certificate(INTERMEDIATE), certificate(ROOT)))
    assert found is not None
    (row,) = of_proxies(found)
    assert row.notes == ("1 proxy", "signed below another root")


@pytest.mark.parametrize(("hours", "wrong"), [(12, False), (15, False), (17, True), (25, True)])
def test_a_certificate_that_was_not_renewed_after_half_its_life_is_told(hours: int, wrong: bool) -> None:  # noqa: FBT001
    (row,) = of_proxies(proxy(hours=24), now=NOW + timedelta(hours=hours))
    assert row.wrong is wrong
    assert ("not renewed in time" in row.notes) is wrong


@pytest.mark.parametrize("missing", ["rootCertificate", "intermediateCertificate"])
def test_a_stack_that_exports_no_ca_is_told_what_to_do(missing: str) -> None:
    outputs = {name: value for name, value in OUTPUTS.items() if name != missing}
    with pytest.raises(RolloutError, match=rf"the stack has no output {missing}\. Run: pulumi up"):
        authority_of(outputs)


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=364, hours=23), "364 days"),
        (timedelta(hours=47), "47 h"),
        (timedelta(minutes=90), "90 min"),
        (timedelta(seconds=5), "5 s"),
        (timedelta(0), "expired"),
        (-MONTH, "expired"),
    ],
)
def test_what_is_left_is_never_made_more(length: timedelta, text: str) -> None:
    assert left(length) == text


def test_what_is_wrong_is_red() -> None:
    rows = endings(authority(intermediate_days=7), [], [proxy()], MONTH, NOW)
    shown = table(rows, NOW)
    cells = [list(column.cells) for column in shown.columns]
    assert [[cell.plain for cell in column] for column in cells][3] == ["3650 days", "7 days", "24 h"]  # type: ignore[union-attr]
    assert [cell.style for cell in cells[1]] == ["", "red", "red"]  # type: ignore[union-attr]


class Api(ClusterApi):
    """A cluster of two pods, one of which does not answer."""

    def __init__(self, bundle: str | None) -> None:
        object.__setattr__(self, "bundle", bundle)

    def get(self, path: str, **query: str) -> dict[str, Any]:
        if path.endswith("/mutatingwebhookconfigurations"):
            assert query["labelSelector"] == "app=sidecar-injector"
            webhooks = [{"name": name, "clientConfig": {"caBundle": self.bundle}} for name in ("a", "b")]  # type: ignore[attr-defined]
            names = ("istio-sidecar-injector", "istio-revision-tag-default")
            items = [{"metadata": {"name": name}, "webhooks": webhooks} for name in names if self.bundle is not None]  # type: ignore[attr-defined]
            return {"items": items, "metadata": {}}
        assert (path, query["fieldSelector"]) == ("/api/v1/pods", "status.phase=Running")
        spec = {"containers": [{"name": "app"}, {"name": "istio-proxy"}]}
        pods = [{"metadata": {"namespace": "models", "name": name}, "spec": spec} for name in ("good", "mute")]
        return {"items": pods, "metadata": {}}

    def forward(self, namespace: str, pod: str, port: int) -> Forwarded:
        if pod == "mute":
            raise RolloutError(f"cannot connect to port {port} of {namespace}/{pod}: refused")
        return Answers()


class Answers(Forwarded):
    """A proxy's admin port."""

    def __init__(self) -> None:
        pass

    def get(self, path: str) -> bytes:
        assert path == "/config_dump?resource=dynamic_active_secrets"
        return json.dumps(dump(workload(INTERMEDIATE, now=NOW), certificate(INTERMEDIATE))).encode()

    def close(self) -> None:
        pass


def test_a_proxy_that_does_not_answer_is_named_and_the_others_are_shown() -> None:
    bundles, proxies, notes = look(Api(base64.b64encode(ROOT.certificate_pem.encode()).decode()))
    names = ("istio-sidecar-injector", "istio-revision-tag-default")
    assert bundles == {Bundle(name, ROOT.certificate_pem.encode()) for name in names}
    assert [each.identity for each in proxies] == ["models/inception"]
    assert notes == ["models/mute does not say: cannot connect to port 15000 of models/mute: refused"]


def test_a_webhook_without_a_bundle_is_named() -> None:
    bundles, _, notes = look(Api(""))
    assert bundles == set()
    assert notes[:4] == [f"the webhook {name} has no caBundle; istiod writes it once it is ready" for name in "abab"]


def test_a_cluster_without_an_injector_is_told_of() -> None:
    bundles, _, notes = look(Api(None))
    assert (bundles, notes[0]) == (set(), "the injector has no webhook: no istiod is there")


def test_a_proxy_without_a_certificate_is_none_with_an_old_one() -> None:
    assert proxy_certificate({"configs": []}) is None
    assert proxy_certificate({}) is None


def test_what_the_command_does_needs_neither_pulumi_nor_a_client_of_kubernetes() -> None:
    code = (
        "import sys, rollout.certificates, rollout.certificates_table, rollout.pulumi_cli, rollout.target\n"
        "print({'kubernetes', 'pulumi', 'pulumi_kubernetes', 'pydantic'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
