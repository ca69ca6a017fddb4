"""Whether a certificate and key that somebody gives can serve a host. Pure cryptography, as `infra.certificates`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

_CERTIFICATE: Final = "certificate"
_KEY: Final = "key"


@dataclass(frozen=True)
class CertificateProblem:
    """Why a certificate and its key cannot be.

    Attributes:
        key: which of the two has to be another: certificate or key.
        message: what would be right.
    """

    key: str
    message: str


def problem(certificate_pem: str, key_pem: str, host: str, now: datetime) -> CertificateProblem | None:
    """Return what keeps a certificate and its key from serving a host; None when they can.

    Args:
        certificate_pem: the host's certificate, then those that signed it.
        key_pem: its private key.
        host: a DNS name.
        now: UTC.
    """
    try:
        certificate, *_ = x509.load_pem_x509_certificates(certificate_pem.encode())
        names = _names(certificate)
    except ValueError:
        return CertificateProblem(_CERTIFICATE, "it is the host's certificate and those that signed it, PEM")
    try:
        private_key = serialization.load_pem_private_key(key_pem.encode(), password=None)
    except (ValueError, TypeError):  # the latter for a key that needs a passphrase
        return CertificateProblem(_KEY, "it is the certificate's private key, PEM without a passphrase")
    if private_key.public_key() != certificate.public_key():
        return CertificateProblem(_KEY, "it is the private key of the certificate's first, and this is another's")
    if not any(_covers(name, host) for name in names):
        message = f"the first certificate is for {host}, and this one is for {', '.join(names) or 'no DNS name'}"
        return CertificateProblem(_CERTIFICATE, message)
    if now >= certificate.not_valid_after_utc:
        message = f"the certificate is valid, and this one has ended on {certificate.not_valid_after_utc:%Y-%m-%d}"
        return CertificateProblem(_CERTIFICATE, message)
    return None


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []  # clients heed no name in the subject any more (RFC 9525)
    return found.value.get_values_for_type(x509.DNSName)


def _covers(name: str, host: str) -> bool:
    # a wildcard stands for one label, the first (RFC 9525, 6.3)
    name = name.lower()
    return name == host or (name.startswith("*.") and name[1:] == host[host.find(".") :])
