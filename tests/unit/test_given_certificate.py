"""Which names of a given certificate a host may have; what else is wrong with one is told by the settings."""

from datetime import UTC, datetime

import pytest

from infra import given_certificate
from infra.certificates import make_intermediate, make_root, make_server

HOST = "models.example.com"


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        (HOST, True),
        ("*.example.com", True),
        ("*.com", False),
        ("*.models.example.com", False),
        ("example.com", False),
        ("xmodels.example.com", False),
    ],
)
def test_a_given_certificate_names_the_host_or_all_beside_it(name: str, *, fits: bool) -> None:
    pair = make_server(make_intermediate(make_root()), name)
    problem = given_certificate.problem(pair.certificate_pem, pair.key_pem, HOST, datetime.now(UTC))
    assert (problem is None) is fits
    if problem is not None:
        assert (problem.key, name in problem.message) == ("certificate", True)
