"""A model's quota: what is read, and what is said of one that cannot be."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

Make = Callable[..., Any]
TEN = {"requestsPerSecond": 10}


@pytest.fixture
def limited(stack: Make, inception: dict[str, Any]) -> Make:
    """A stack whose model has a quota, and what else it is given."""

    def make(quota: Any, **more: Any) -> Any:
        return stack(models={"inception": inception["inception"] | {"quota": quota} | more})

    return make


def test_without_one_a_model_takes_what_comes(stack: Make, inception: dict[str, Any]) -> None:
    assert stack(models=inception).parse().models[0].quota is None


@pytest.mark.parametrize(
    ("given", "rate", "tokens"),
    [
        ({"requestsPerSecond": 10}, "10", 10),
        ({"requestsPerSecond": "2.5"}, "2.5", 3),
        ({"requestsPerSecond": 0.05}, "0.05", 1),
        ({"requestsPerSecond": 1000, "burst": 5}, "1000", 5),
        ({"requestsPerSecond": "0.5", "burst": "20"}, "0.5", 20),
    ],
)
def test_a_burst_is_a_second_of_requests_unless_it_is_given(
    limited: Make, given: dict[str, Any], rate: str, tokens: int
) -> None:
    quota = limited({**given, "callers": {"shop/web": given}}).parse().models[0].quota
    for each in (quota, quota.callers["shop/web"]):
        assert (each.requests_per_second, each.tokens) == (Decimal(rate), tokens)


@pytest.mark.parametrize(
    "wrong", [0, "0", -1, "-0.5", 0.001, "0.125", "1e3", "ten", "", True, 10**6 + 1, 5000000.5, []]
)
@pytest.mark.parametrize("where", ["quota", "quota.callers.shop/web"])
def test_a_rate_that_is_none(limited: Make, where: str, wrong: Any) -> None:
    rate = {"requestsPerSecond": wrong}
    broken = limited(rate if where == "quota" else {**TEN, "callers": {"shop/web": rate}})
    problem = broken.only()
    assert problem.key.startswith("models.inception.quota")
    assert problem.key.endswith("requestsPerSecond")
    assert problem.message == "a quota is 0.01-1000000 requests a second, with two decimals at most"
    assert problem.fix.endswith("requestsPerSecond 100") or problem.fix.endswith("requestsPerSecond' 100")
    broken.mend()


@pytest.mark.parametrize(
    ("quota", "key", "fix"),
    [
        ({}, "quota.requestsPerSecond", "set --path models.inception.quota.requestsPerSecond 100"),
        ({**TEN, "burst": 0}, "quota.burst", "set --path models.inception.quota.burst 100"),
        ({**TEN, "burst": -1}, "quota.burst", "quota.burst 100"),
        ({**TEN, "burst": 2.5}, "quota.burst", "quota.burst 100"),
        ({**TEN, "brust": 5}, "quota.brust", "set --path models.inception.quota.burst 5"),
        ({**TEN, "callers": ["shop/web"]}, "quota.callers", "rm --path models.inception.quota.callers"),
        (10, "quota", "rm --path models.inception.quota"),
        (
            {**TEN, "callers": {"shop/web": {}}},
            'quota.callers["shop/web"].requestsPerSecond',
            """set --path 'models.inception.quota.callers["shop/web"].requestsPerSecond' 100""",
        ),
    ],
)
def test_a_quota_that_cannot_be(limited: Make, quota: Any, key: str, fix: str) -> None:
    broken = limited(quota)
    problem = broken.only()
    assert problem.key == f"models.inception.{key}"
    assert fix in problem.fix
    broken.mend()


@pytest.mark.parametrize("caller", ["web", "shop/", "/web", "*", "shop/*", "Shop/web", "shop/web/x", "shop/web_1"])
def test_a_quota_for_nobody(limited: Make, caller: str) -> None:
    broken = limited({**TEN, "callers": {caller: TEN}})
    problem = broken.only()
    assert problem.value == caller
    assert problem.message == "a caller is NAMESPACE/SERVICEACCOUNT, both in full and without a wildcard"
    broken.mend()
    assert broken.parse().models[0].quota.callers == {}


@pytest.mark.parametrize(
    ("caller", "fix"),
    [
        ("shop/wbe", """callers["shop/web"].requestsPerSecond' 10 && pulumi config rm"""),
        ("lab/notebook", "pulumi config rm --path 'models.inception.quota.callers[\"lab/notebook\"]'"),
        ("istio-system/istio-ingress", "pulumi config rm"),
    ],
)
def test_a_quota_for_somebody_who_may_not_call(limited: Make, caller: str, fix: str) -> None:
    broken = limited({**TEN, "callers": {caller: TEN}}, callers=["shop/web", "shop/batch"])
    problem = broken.only()
    assert problem.message == "it may not call the model; who may is shop/batch, shop/web"
    assert fix in problem.fix
    broken.mend()


def test_those_from_outside_are_one_caller(limited: Make) -> None:
    config = limited({**TEN, "callers": {"istio-system/istio-ingress": TEN}}, callers=["shop/web"])
    config.values |= {"host": "models.example.com", "plainHttp": "true"}
    assert list(config.parse().models[0].quota.callers) == ["istio-system/istio-ingress"]


def test_without_the_mesh_nobody_counts(limited: Make) -> None:
    broken = limited(TEN, mesh=False, callers=None)
    problem = broken.only()
    assert (problem.key, problem.fix) == (
        "models.inception.quota",
        "pulumi config rm --path models.inception.quota",
    )
    assert "no proxies" in problem.message
    broken.mend()
