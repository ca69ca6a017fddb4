"""The authority whose certificates the sandbox's model server trusts: what plays Google there has one of them.

It is made on this machine, once, and kept in the cache beside the images. Only the model server's image has its
certificate, as the one root in it, so its key opens nothing but the sandbox.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.paths import cache_root

_LEAF_LIFETIME = timedelta(days=1)
_BEGIN = "-----BEGIN CERTIFICATE-----"


def certificate() -> Path:
    """The file with the authority's certificate, in PEM; it is made when there is none."""
    file = _folder() / "ca-certificates.crt"
    content = _BEGIN + _authority().partition(_BEGIN)[2]
    if not file.exists() or file.read_text() != content:
        _write(file, content)
    return file


def key() -> str:
    """Changes with the authority."""
    return hashlib.sha256(certificate().read_bytes()).hexdigest()


def issue(hosts: Sequence[str], file: Path) -> None:
    """Write a server's key and its certificate for these DNS names, good for a day, into one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    pem = _authority().encode()
    signer = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise TypeError("the authority's key is no elliptic curve key")
    own, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])]))
        .issuer_name(x509.load_pem_x509_certificate(pem).subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LEAF_LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    private = own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    _write(file, (private + made.public_bytes(serialization.Encoding.PEM)).decode())


def _folder() -> Path:
    return cache_root() / "authority"


def _authority() -> str:
    """The authority's key, then its certificate, in PEM."""
    file = _folder() / "authority.pem"
    if not file.exists():
        # Imported here: most commands find the authority made, and cryptography takes its time.
        from infra.certificates import make_root

        made = make_root("tfserving-mesh sandbox")
        _write(file, made.key_pem + made.certificate_pem, replace=False)
    return file.read_text()


def _write(file: Path, content: str, *, replace: bool = True) -> None:
    """Write a file that only its user can read, whole or not at all; without `replace` the first writer wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    staged.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(content)
        if replace:
            staged.replace(file)
        else:
            file.hardlink_to(staged)
    except FileExistsError:
        pass  # another command was faster: its authority is everybody's
    finally:
        staged.unlink(missing_ok=True)
