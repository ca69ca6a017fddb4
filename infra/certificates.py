"""The mesh's certificate authority: a root, and the intermediate that istiod signs workload certificates with.

Pure cryptography: nothing here knows of Pulumi, of files or of a cluster. It does not sign workload certificates
(istiod does) but may sign the ingress gateway's, and keeps nothing (the stack's encrypted state does).
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ROOT_LIFETIME: Final = timedelta(days=3650)
INTERMEDIATE_LIFETIME: Final = timedelta(days=365)
SERVER_LIFETIME: Final = timedelta(days=90)
RENEWAL_PERIOD: Final = timedelta(days=30)
# Nodes whose clocks run a little behind must not meet a certificate of the future.
CLOCK_SKEW: Final = timedelta(minutes=10)
ISTIOD_HOST: Final = "istiod.istio-system.svc"


@dataclass(frozen=True)
class KeyPair:
    """A certificate and its private key, both PEM text; the key is PKCS #8 and stays out of repr()."""

    certificate_pem: str
    key_pem: str = field(repr=False)

    @property
    def not_after(self) -> datetime:
        """When the certificate expires, UTC."""
        return _certificate(self).not_valid_after_utc


def make_root(
    organization: str = "cluster.local", *, lifetime: timedelta = ROOT_LIFETIME, now: datetime | None = None
) -> KeyPair:
    """Make a self-signed root that may sign one level of CAs below it.

    Args:
        organization: the subject's O; Istio's own CA puts the trust domain there.
        lifetime: from `now` to the certificate's end.
        now: UTC; the clock's when not given.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _name(organization, "Root CA")
    kind = _Kind(subject, _authority(path_length=1))
    return _issue(kind, key, subject, key, start=now or datetime.now(UTC), lifetime=lifetime)


def make_intermediate(
    root: KeyPair,
    organization: str = "cluster.local",
    *,
    lifetime: timedelta = INTERMEDIATE_LIFETIME,
    now: datetime | None = None,
) -> KeyPair:
    """Make the CA that istiod signs workload certificates with: below `root`, and with no CA below itself.

    Args:
        root: what it is signed by.
        organization: the subject's O, as the root's.
        lifetime: from `now` to the certificate's end; the root's end comes first where it is nearer.
        now: UTC; the clock's when not given.

    Raises:
        ValueError: `root` is no certificate with its key, or has expired.
    """
    start = now or datetime.now(UTC)
    subject = _name(organization, "Intermediate CA")
    kind = _Kind(subject, _authority(path_length=0), (ISTIOD_HOST,))
    return _signed(root, "root", kind, start, lifetime)


def make_server(
    intermediate: KeyPair, host: str, *, lifetime: timedelta = SERVER_LIFETIME, now: datetime | None = None
) -> KeyPair:
    """Make a server's certificate, for one host, below the CA that istiod signs with.

    Args:
        intermediate: what it is signed by.
        host: a DNS name.
        lifetime: from `now` to the certificate's end; the intermediate's end comes first where it is nearer.
        now: UTC; the clock's when not given.

    Returns:
        The certificate with the intermediate behind it, as TLS sends them; who trusts the root trusts it.

    Raises:
        ValueError: `intermediate` is no certificate with its key, or has expired.
    """
    # The name is in the alternative names, which has room for every DNS name; a subject has not.
    kind = _Kind(x509.Name([]), _server(), (host,))
    made = _signed(intermediate, "intermediate", kind, now or datetime.now(UTC), lifetime)
    return KeyPair(made.certificate_pem + intermediate.certificate_pem, made.key_pem)


def renewal_number(now: datetime) -> int:
    """Number the periods in each of which a server's certificate is made anew, by the first `up` that comes.

    The periods are a third of the certificate's life and the same for all: one that is made on a period's last day has
    two thirds of its life left when the next but one begins.
    """
    return (now - datetime(1970, 1, 1, tzinfo=UTC)) // RENEWAL_PERIOD


def cacerts(root: KeyPair, intermediate: KeyPair, other_root: KeyPair | None = None) -> dict[str, str]:
    """The four keys of the Secret that istiod reads its CA from; ca-key.pem is the only private one.

    Args:
        root: what the intermediate is signed by.
        intermediate: what istiod signs with.
        other_root: one that is trusted as well, while a root is replaced.

    The chain is leaf first, as TLS sends it. istiod stops when one of the four is missing. The signing root comes first
    among the trusted: so the order changes with it, and istiod tells every proxy, which gets a new certificate at once.
    """
    return {
        "ca-cert.pem": intermediate.certificate_pem,
        "ca-key.pem": intermediate.key_pem,
        "root-cert.pem": root.certificate_pem + (other_root.certificate_pem if other_root else ""),
        "cert-chain.pem": intermediate.certificate_pem + root.certificate_pem,
    }


def _name(organization: str, common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _certificate(pair: KeyPair) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pair.certificate_pem.encode())


@dataclass(frozen=True)
class _Kind:
    subject: x509.Name
    extensions: tuple[tuple[x509.ExtensionType, bool], ...]  # each with whether it is critical
    hosts: tuple[str, ...] = ()


def _authority(path_length: int) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    return (x509.BasicConstraints(ca=True, path_length=path_length), True), (_usage(signs=True), True)


def _server() -> tuple[tuple[x509.ExtensionType, bool], ...]:
    return (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
    )


def _signed(by: KeyPair, what: str, kind: _Kind, start: datetime, lifetime: timedelta) -> KeyPair:
    if start >= by.not_after:
        raise ValueError(f"the {what} expired on {by.not_after:%Y-%m-%d}, and nothing that it signs is valid")
    signer = serialization.load_pem_private_key(by.key_pem.encode(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise ValueError(f"the {what}'s key is no elliptic curve key")  # noqa: TRY004 # a bad value in a PEM text
    key = ec.generate_private_key(ec.SECP256R1())
    lifetime = min(lifetime, by.not_after - start)
    return _issue(kind, key, _certificate(by).subject, signer, start=start, lifetime=lifetime)


def _issue(
    kind: _Kind,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    signer: ec.EllipticCurvePrivateKey,
    *,
    start: datetime,
    lifetime: timedelta,
) -> KeyPair:
    builder = (
        x509.CertificateBuilder()
        .subject_name(kind.subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - CLOCK_SKEW)
        .not_valid_after(start + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    for extension, critical in kind.extensions:
        builder = builder.add_extension(extension, critical=critical)
    if kind.hosts:
        names = x509.SubjectAlternativeName([x509.DNSName(host) for host in kind.hosts])
        # without a subject the names are all that says whose it is (RFC 5280, 4.2.1.6)
        builder = builder.add_extension(names, critical=not list(kind.subject))
    certificate = builder.sign(signer, hashes.SHA256())
    return KeyPair(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
