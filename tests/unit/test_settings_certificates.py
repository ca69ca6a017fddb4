"""How long certificates are valid: the config's three lifetimes, and that none outlives what it is signed by."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

Make = Callable[..., Any]


def test_a_stack_that_says_nothing_has_ten_years_a_year_and_a_day(stack: Make, inception: dict[str, Any]) -> None:
    found = stack(models=inception).parse().ca
    lifetimes = found.root_lifetime, found.intermediate_lifetime, found.workload_hours
    assert lifetimes == (timedelta(3650), timedelta(365), 24)


def test_each_lifetime_may_be_another(stack: Make, inception: dict[str, Any]) -> None:
    given = {"caRootDays": "365", "caIntermediateDays": "30", "workloadCertHours": "720"}
    found = stack(given, models=inception).parse().ca
    lifetimes = found.root_lifetime, found.intermediate_lifetime, found.workload_hours
    assert lifetimes == (timedelta(365), timedelta(30), 720)


def test_the_root_is_the_first_and_may_be_one_that_replaces_another(stack: Make, inception: dict[str, Any]) -> None:
    assert str(stack(models=inception).parse().ca.roots) == "1"
    assert stack(models=inception, caRoot="3+2").parse().ca.roots.numbers == (3, 2)


@pytest.mark.parametrize(
    ("given", "message", "fix"),
    [
        (
            {"caRootDays": "365", "caIntermediateDays": "366"},
            "caIntermediateDays is 366; the root signs it and ends no earlier: at most caRootDays, 365",
            "pulumi config set caIntermediateDays 365",
        ),
        (
            {"caRootDays": "200"},
            "caIntermediateDays is missing; the root signs it and ends no earlier: at most caRootDays, 200",
            "pulumi config set caIntermediateDays 200",
        ),
        (
            {"caIntermediateDays": "30", "workloadCertHours": "721"},
            "workloadCertHours is 721; the intermediate signs it and ends no earlier: at most its 30 days",
            "pulumi config rm workloadCertHours",
        ),
    ],
)
def test_a_certificate_that_would_outlive_its_signer_is_refused(
    stack: Make, inception: dict[str, Any], given: dict[str, str], message: str, fix: str
) -> None:
    broken = stack(given, models=inception)
    assert str(broken.only()) == f"{message}. Run: {fix}"
    broken.mend()


def test_a_lifetime_that_is_no_number_is_told_once(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack(models=inception, caRootDays="ten years", workloadCertHours="2000")
    assert broken.only().key == "caRootDays"
    broken.mend()
