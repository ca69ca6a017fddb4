import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509 import verification

from infra.certificates import (
    CLOCK_SKEW,
    KeyPair,
    cacerts,
    make_intermediate,
    make_root,
    make_server,
    renewal_number,
)
from tests.workload_certificates import certificate, private_key, workload

NOW = datetime.now(UTC).replace(microsecond=0)
HOST = "models.example.com"


@pytest.fixture(scope="module")
def root() -> KeyPair:
    return make_root(now=NOW)


@pytest.fixture(scope="module")
def intermediate(root: KeyPair) -> KeyPair:
    return make_intermediate(root, now=NOW)


def signed(signer: KeyPair, *, authority: bool = False) -> x509.Certificate:
    return workload(signer, now=NOW, authority=authority)


def verify(
    leaf: x509.Certificate, chain: list[x509.Certificate], trusted: KeyPair, at: datetime = NOW
) -> list[x509.Certificate]:
    store = verification.Store([certificate(trusted)])
    return verification.PolicyBuilder().store(store).time(at).build_client_verifier().verify(leaf, chain).chain


def test_a_pods_certificate_chains_to_the_root(root: KeyPair, intermediate: KeyPair) -> None:
    leaf = signed(intermediate)
    assert verify(leaf, [certificate(intermediate)], root) == [leaf, certificate(intermediate), certificate(root)]


def test_a_pods_certificate_does_not_chain_to_another_stacks_root(intermediate: KeyPair) -> None:
    with pytest.raises(verification.VerificationError):
        verify(signed(intermediate), [certificate(intermediate)], make_root(now=NOW))


def test_two_intermediates_of_one_root_are_trusted_side_by_side(root: KeyPair, intermediate: KeyPair) -> None:
    new = make_intermediate(root, now=NOW)
    assert certificate(new).public_key() != certificate(intermediate).public_key()
    assert verify(signed(new), [certificate(new)], root)
    assert verify(signed(intermediate), [certificate(intermediate)], root)


def test_the_intermediate_cannot_be_used_to_make_a_further_ca(root: KeyPair, intermediate: KeyPair) -> None:
    with pytest.raises(verification.VerificationError):
        verify(signed(intermediate, authority=True), [certificate(intermediate)], root)
    assert certificate(intermediate).extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    assert certificate(root).extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 1


def test_openssl_agrees(root: KeyPair, intermediate: KeyPair, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("no openssl here")
    files = {"root": root.certificate_pem, "intermediate": intermediate.certificate_pem}
    files["leaf"] = signed(intermediate).public_bytes(serialization.Encoding.PEM).decode()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    command = [openssl, "verify", "-x509_strict", "-CAfile", "root", "-untrusted", "intermediate", "leaf"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "leaf: OK\n"), done.stderr


def test_istiod_finds_all_four_files_and_the_chain_begins_with_the_signing_certificate(
    root: KeyPair, intermediate: KeyPair
) -> None:
    files = cacerts(root, intermediate)
    assert set(files) == {"ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"}
    assert x509.load_pem_x509_certificates(files["cert-chain.pem"].encode()) == [
        certificate(intermediate),
        certificate(root),
    ]
    assert files["root-cert.pem"] == root.certificate_pem
    assert files["ca-cert.pem"] == intermediate.certificate_pem
    assert files["ca-key.pem"] == intermediate.key_pem


def test_the_roots_key_is_not_given_to_the_cluster(root: KeyPair, intermediate: KeyPair) -> None:
    assert root.key_pem not in "".join(cacerts(root, intermediate).values())


def test_each_key_belongs_to_its_certificate_and_is_pkcs8(root: KeyPair, intermediate: KeyPair) -> None:
    for pair in (root, intermediate):
        assert private_key(pair).public_key() == certificate(pair).public_key()
        assert pair.key_pem.startswith("-----BEGIN PRIVATE KEY-----\n")


def test_no_log_that_shows_a_pair_shows_its_key(root: KeyPair) -> None:
    secret = root.key_pem.splitlines()[1]
    assert secret not in repr(root)
    assert secret not in f"{root} {[root]} {root!r}"


def test_istiod_accepts_what_the_certificates_say_of_themselves(root: KeyPair, intermediate: KeyPair) -> None:
    for pair in (root, intermediate):
        found = certificate(pair).extensions
        constraints = found.get_extension_for_class(x509.BasicConstraints)
        usage = found.get_extension_for_class(x509.KeyUsage)
        assert constraints.critical
        assert constraints.value.ca
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
        assert usage.value.digital_signature
        assert isinstance(certificate(pair).signature_hash_algorithm, hashes.SHA256)
        with pytest.raises(x509.ExtensionNotFound):
            found.get_extension_for_class(x509.ExtendedKeyUsage)
    names = certificate(intermediate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["istiod.istio-system.svc"]


def test_identifiers_link_the_chain(root: KeyPair, intermediate: KeyPair) -> None:
    above = certificate(root).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    link = certificate(intermediate).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert link.key_identifier == above.digest
    assert certificate(intermediate).issuer == certificate(root).subject


def test_lifetimes_are_ten_years_and_one_and_can_be_others(root: KeyPair, intermediate: KeyPair) -> None:
    assert root.not_after == NOW + timedelta(days=3650)
    assert intermediate.not_after == NOW + timedelta(days=365)
    short = make_root(now=NOW, lifetime=timedelta(days=2))
    assert short.not_after == NOW + timedelta(days=2)
    assert make_intermediate(short, now=NOW, lifetime=timedelta(days=1)).not_after == NOW + timedelta(days=1)


def test_a_node_whose_clock_is_slow_accepts_a_new_certificate(root: KeyPair, intermediate: KeyPair) -> None:
    for pair in (root, intermediate):
        assert certificate(pair).not_valid_before_utc == NOW - CLOCK_SKEW


def test_without_a_given_time_a_pair_is_valid_now() -> None:
    pair = make_intermediate(make_root())
    assert certificate(pair).not_valid_before_utc < datetime.now(UTC) < pair.not_after


def test_no_two_certificates_share_a_serial_number(root: KeyPair) -> None:
    serials = {certificate(make_intermediate(root, now=NOW)).serial_number for _ in range(5)}
    assert len(serials) == 5


def test_an_intermediate_ends_with_its_root_where_that_comes_first() -> None:
    old = make_root(now=NOW, lifetime=timedelta(days=300))
    assert make_intermediate(old, now=NOW).not_after == old.not_after
    later = make_intermediate(old, now=NOW + timedelta(days=299))
    assert later.not_after == old.not_after


def test_a_root_that_has_expired_signs_nothing() -> None:
    old = make_root(now=NOW, lifetime=timedelta(days=300))
    with pytest.raises(ValueError, match="the root expired on "):
        make_intermediate(old, now=old.not_after)


def test_a_root_with_a_key_of_another_kind_is_refused(root: KeyPair) -> None:
    other = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ValueError, match="no elliptic curve key"):
        make_intermediate(KeyPair(root.certificate_pem, other.decode()), now=NOW)


@pytest.fixture(scope="module")
def served(intermediate: KeyPair) -> KeyPair:
    return make_server(intermediate, HOST, now=NOW)


def test_who_trusts_the_root_trusts_the_host_and_no_other_name(root: KeyPair, served: KeyPair) -> None:
    leaf, *chain = x509.load_pem_x509_certificates(served.certificate_pem.encode())
    policy = verification.PolicyBuilder().store(verification.Store([certificate(root)])).time(NOW)
    assert policy.build_server_verifier(x509.DNSName(HOST)).verify(leaf, chain)
    with pytest.raises(verification.VerificationError):
        policy.build_server_verifier(x509.DNSName("other.example.com")).verify(leaf, chain)
    with pytest.raises(verification.VerificationError):
        policy.build_client_verifier().verify(leaf, chain)


def test_it_signs_nothing_and_its_key_is_its_own(served: KeyPair) -> None:
    found = certificate(served).extensions
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    assert not found.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert private_key(served).public_key() == certificate(served).public_key()


def test_it_is_valid_for_ninety_days_or_until_its_signer_ends(root: KeyPair, served: KeyPair) -> None:
    assert served.not_after == NOW + timedelta(days=90)
    short = make_intermediate(root, now=NOW, lifetime=timedelta(days=40))
    assert make_server(short, HOST, now=NOW).not_after == short.not_after
    with pytest.raises(ValueError, match="the intermediate expired on "):
        make_server(short, HOST, now=short.not_after)


def test_it_is_renewed_each_thirty_days_and_so_with_a_month_left_at_least() -> None:
    made = [NOW + timedelta(days=day) for day in range(60)]
    for moment in made:
        later = [day for day in range(1, 90) if renewal_number(moment + timedelta(days=day)) > renewal_number(moment)]
        assert later[0] <= 30
        assert later == list(range(later[0], 90)), "once due, it stays due"
