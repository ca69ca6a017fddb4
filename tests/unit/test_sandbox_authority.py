from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from sandbox import authority, images


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tfserving-mesh" / "authority"


def test_the_authority_is_made_once_and_kept(cache: Path) -> None:
    before = authority.key()
    assert authority.key() == before
    (cache / "ca-certificates.crt").unlink()
    assert authority.key() == before
    (cache / "authority.pem").unlink()
    assert authority.key() != before


def test_the_image_gets_the_certificate_and_not_the_key(cache: Path) -> None:
    inside = {source.inside: source for source in images.MODEL_SERVER.files}
    bundle = inside["etc/ssl/certs/ca-certificates.crt"]
    assert "PRIVATE KEY" not in bundle.path().read_text()
    assert x509.load_pem_x509_certificates(bundle.path().read_bytes())
    before = bundle.key()
    (cache / "authority.pem").unlink()
    assert bundle.key() != before  # so the image is written anew


def test_nobody_else_reads_the_keys(cache: Path, tmp_path: Path) -> None:
    authority.issue(["storage.googleapis.com"], tmp_path / "server.pem")
    for file in (cache / "authority.pem", tmp_path / "server.pem"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(path.name for path in cache.iterdir()) == ["authority.pem"]


def test_a_server_is_trusted_for_its_names_only(tmp_path: Path) -> None:
    file = tmp_path / "server.pem"
    authority.issue(["storage.googleapis.com", "www.googleapis.com"], file)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)
    roots = Store(x509.load_pem_x509_certificates(authority.certificate().read_bytes()))
    (leaf,) = x509.load_pem_x509_certificates(file.read_bytes())

    def verify(host: str) -> None:
        PolicyBuilder().store(roots).build_server_verifier(x509.DNSName(host)).verify(leaf, [])

    verify("storage.googleapis.com")
    verify("www.googleapis.com")
    with pytest.raises(VerificationError):
        verify("oauth2.googleapis.com")
