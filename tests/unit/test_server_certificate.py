"""The host's certificate: one that the program makes, and one that somebody gives."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509 import verification

from infra import given_certificate
from infra.certificates import KeyPair, make_intermediate, make_root, make_server, renewal_number
from tests.workload_certificates import certificate, private_key

NOW = datetime.now(UTC).replace(microsecond=0)
HOST = "models.example.com"


@pytest.fixture(scope="module")
def root() -> KeyPair:
    return make_root(now=NOW)


@pytest.fixture(scope="module")
def intermediate(root: KeyPair) -> KeyPair:
    return make_intermediate(root, now=NOW)


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


@pytest.mark.parametrize(
    ("name", "host", "fits"),
    [
        (HOST, HOST, True),
        ("*.example.com", HOST, True),
        ("*.com", HOST, False),
        ("*.models.example.com", HOST, False),
        ("example.com", HOST, False),
        ("xmodels.example.com", HOST, False),
    ],
)
def test_a_given_certificate_names_the_host_or_all_beside_it(
    intermediate: KeyPair,
    name: str,
    host: str,
    fits: bool,  # noqa: FBT001
) -> None:
    pair = make_server(intermediate, name, now=NOW)
    problem = given_certificate.problem(pair.certificate_pem, pair.key_pem, host, NOW)
    assert (problem is None) is fits
    if problem is not None:
        assert (problem.key, name in problem.message) == ("certificate", True)
