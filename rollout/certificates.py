"""What is valid until when: the CA, the roots in the injector's webhook, what proxies have, what a gateway serves."""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rollout.cluster_api import ApiError
from rollout.errors import RolloutError
from rollout.injector import LABEL
from rollout.mesh import Pod, Proxy, callers

if TYPE_CHECKING:
    from rollout.cluster_api import ClusterApi

# A proxy renews after half of its certificate's life; one that has less than this left could not.
OVERDUE: Final = 1 / 3
# Whoever renews a server's certificate does it with a third of its life left, or more.
_NEAR: Final = 1 / 4
_SERVED: Final = "kubernetes://"  # a gateway has a Secret's certificate under the Secret's name behind this
_WEBHOOKS: Final = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_AT_ONCE: Final = 100


@dataclass(frozen=True)
class Authority:
    """The stack's CA, as it exports it.

    Attributes:
        roots: what proxies have to trust; two while a root is replaced.
        intermediate: what istiod signs with.
    """

    roots: tuple[x509.Certificate, ...]
    intermediate: x509.Certificate


class Bundle(NamedTuple):
    """What a webhook of an injector, of which each revision of Istio has one, is known by.

    Attributes:
        of: the webhook configuration's name.
        pem: its caBundle.
    """

    of: str
    pem: bytes


@dataclass(frozen=True)
class ProxyCertificate:
    """What one proxy has.

    Attributes:
        identity: namespace and service account, as the certificate says: models/half-plus.
        chain: its own certificate, then those that signed it.
        trusted: the roots by which it knows others.
        served: what a gateway shows to callers from outside.
    """

    identity: str
    chain: tuple[x509.Certificate, ...]
    trusted: tuple[x509.Certificate, ...]
    served: tuple[x509.Certificate, ...] = ()


@dataclass(frozen=True)
class Ending:
    """One certificate, or the certificates of one identity's proxies.

    Attributes:
        what: root, intermediate, webhook, host or proxy.
        of: whose.
        until: the earliest end, UTC.
        notes: what is to be known of it.
        wrong: whether something has to be done about it.
    """

    what: str
    of: str
    until: datetime
    notes: tuple[str, ...] = ()
    wrong: bool = False


def authority_of(outputs: Mapping[str, Any]) -> Authority:
    """Read the CA out of a stack's outputs.

    Raises:
        RolloutError: the stack was never brought up by a program that exports it.
    """
    try:
        roots = x509.load_pem_x509_certificates(outputs["rootCertificate"].encode())
        intermediate = x509.load_pem_x509_certificate(outputs["intermediateCertificate"].encode())
    except KeyError as error:
        raise RolloutError(f"the stack has no output {error.args[0]}. Run: pulumi up") from error
    return Authority(tuple(roots), intermediate)


def proxy_certificate(dump: Mapping[str, Any]) -> ProxyCertificate | None:
    """Read a proxy's dump of its secrets; None where istiod has given it no certificate yet.

    Raises:
        ValueError: a certificate in it cannot be read.
    """
    secrets = {each["name"]: each.get("secret", {}) for each in dump.get("configs", [])}
    own = secrets.get("default", {}).get("tls_certificate", {}).get("certificate_chain", {})
    trusted = secrets.get("ROOTCA", {}).get("validation_context", {}).get("trusted_ca", {})
    if "inline_bytes" not in own or "inline_bytes" not in trusted:
        return None
    chain = _inline(own["inline_bytes"])
    names = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    (name,) = names.get_values_for_type(x509.UniformResourceIdentifier)
    _, _, namespace, _, account = name.removeprefix("spiffe://").split("/")
    shown = [each.get("tls_certificate", {}) for name, each in secrets.items() if name.startswith(_SERVED)]
    served = tuple(_inline(each["certificate_chain"]["inline_bytes"])[0] for each in shown if each)
    return ProxyCertificate(f"{namespace}/{account}", chain, _inline(trusted["inline_bytes"]), served)


def endings(
    authority: Authority,
    bundles: Collection[Bundle],
    proxies: Iterable[ProxyCertificate],
    within: timedelta,
    now: datetime,
) -> list[Ending]:
    """Return what ends when.

    Args:
        authority: the stack's CA.
        bundles: by which roots the API server knows an injector.
        proxies: what the proxies have.
        within: what the program makes must not end in this time. A proxy's certificate renews itself, and is held
            against its own length instead; a host's against the shorter of both.
        now: UTC.
    """
    rows = [
        _made("root", _name(root), [root], now + within, ("signs",) if _signs(root, authority) else ())
        for root in authority.roots
    ]
    rows.append(_made("intermediate", _name(authority.intermediate), [authority.intermediate], now + within))
    for bundle in sorted(bundles):
        found = x509.load_pem_x509_certificates(bundle.pem)
        row = _made("webhook", bundle.of, found, now + within)
        agrees = set(found) == set(authority.roots)
        rows.append(row if agrees else replace(row, notes=("trusts other roots than the stack's",), wrong=True))
    identities: dict[str, list[ProxyCertificate]] = {}
    hosts: dict[str, list[x509.Certificate]] = {}
    for proxy in proxies:
        identities.setdefault(proxy.identity, []).append(proxy)
        for certificate in proxy.served:
            hosts.setdefault(_hosts(certificate), []).append(certificate)
    rows += [_of_host(name, found, within, now) for name, found in sorted(hosts.items())]
    return rows + [_of_proxies(name, found, authority, now) for name, found in sorted(identities.items())]


def _made(
    what: str, of: str, certificates: list[x509.Certificate], latest: datetime, notes: tuple[str, ...] = ()
) -> Ending:
    until = min(each.not_valid_after_utc for each in certificates)
    return Ending(what, of, until, notes, wrong=until <= latest)


def _of_host(hosts: str, served: list[x509.Certificate], within: timedelta, now: datetime) -> Ending:
    first = min(served, key=lambda each: each.not_valid_after_utc)
    until = first.not_valid_after_utc
    near = min(within, _NEAR * (until - first.not_valid_before_utc))
    return Ending("host", hosts, until, wrong=until - now <= near)


def _hosts(certificate: x509.Certificate) -> str:
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return ", ".join(names.get_values_for_type(x509.DNSName))


def _of_proxies(identity: str, found: list[ProxyCertificate], authority: Authority, now: datetime) -> Ending:
    def counted(those: list[ProxyCertificate], what: str) -> list[str]:
        return [what if len(those) == len(found) else f"{len(those)} {what}"] if those else []

    earlier = [each for each in found if authority.intermediate not in each.chain]
    signing = tuple(root for root in authority.roots if _signs(root, authority))
    unsigned = [each for each in found if not _chains_to(each.chain, signing)]
    unaware = [each for each in found if not set(authority.roots) <= set(each.trusted)]
    overdue = [each for each in found if _left(each.chain[0], now) < OVERDUE]
    notes = [
        f"{len(found)} {'proxy' if len(found) == 1 else 'proxies'}",
        *counted(earlier, "signed by another intermediate"),
        *counted(unsigned, "signed below another root"),
        *counted(unaware, "without a root of the stack among the trusted"),
        *counted(overdue, "not renewed in time"),
    ]
    until = min(each.chain[0].not_valid_after_utc for each in found)
    return Ending("proxy", identity, until, tuple(notes), wrong=bool(unaware or unsigned or overdue))


def _left(certificate: x509.Certificate, now: datetime) -> float:
    """The part of a certificate's life that is left."""
    whole = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    return (certificate.not_valid_after_utc - now) / whole


def _chains_to(chain: tuple[x509.Certificate, ...], roots: tuple[x509.Certificate, ...]) -> bool:
    # istiod sends along what it trusts, each root of which is its own issuer
    issued = [each for each in chain if each.issuer != each.subject]
    return all(_issued(one, by) for one, by in pairwise(issued)) and any(_issued(issued[-1], root) for root in roots)


def _signs(root: x509.Certificate, authority: Authority) -> bool:
    return _issued(authority.intermediate, root)


def _issued(certificate: x509.Certificate, by: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(by)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    return f"serial {certificate.serial_number:x}"[:15]


def _inline(data: str) -> tuple[x509.Certificate, ...]:
    return tuple(x509.load_pem_x509_certificates(base64.b64decode(data)))


def look(api: ClusterApi) -> tuple[set[Bundle], list[ProxyCertificate], list[str]]:
    """Ask a cluster.

    Returns:
        Each caBundle that one of the injectors' webhooks has, what each proxy has, and what could not be told, a line
        each.
    """
    notes: list[str] = []
    bundles = _bundles(api, notes)
    found = callers(api)
    pods = [*found.sidecars, *found.gateways]

    def ask(pod: Pod) -> ProxyCertificate | str:
        proxy = Proxy(api, pod)
        try:
            return proxy_certificate(proxy.secrets()) or f"{pod} has no certificate yet"
        except (RolloutError, ValueError, x509.ExtensionNotFound) as error:
            return f"{pod} does not say: {error}"
        finally:
            proxy.close()

    with ThreadPoolExecutor(max(1, min(_AT_ONCE, len(pods)))) as pool:
        answers = list(pool.map(ask, pods))
    notes += [answer for answer in answers if isinstance(answer, str)]
    return bundles, [answer for answer in answers if isinstance(answer, ProxyCertificate)], notes


def _bundles(api: ClusterApi, notes: list[str]) -> set[Bundle]:
    try:
        found = api.items(_WEBHOOKS, labelSelector=LABEL)
    except ApiError as error:
        notes.append(f"the injector's webhook cannot be read: {error}")
        return set()
    if not found:
        notes.append("the injector has no webhook: no istiod is there")
    bundles = set()
    for each in found:
        for webhook in each.get("webhooks") or []:
            pem = base64.b64decode(webhook["clientConfig"].get("caBundle") or "")
            if pem:
                bundles.add(Bundle(each["metadata"]["name"], pem))
            else:
                notes.append(f"the webhook {webhook['name']} has no caBundle; istiod writes it once it is ready")
    return bundles
