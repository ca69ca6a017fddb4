"""A model's rules and its versions' ways of running: what is read, and what is said of what cannot be."""

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]


@pytest.fixture
def inception_with(stack: Make, inception: dict[str, Any]) -> Make:
    """A stack whose model has more keys than path and versions."""

    def make(**more: Any) -> Any:
        return stack(models={"inception": inception["inception"] | more})

    return make


def test_a_model_that_says_nothing_is_routed_safely(inception_with: Make) -> None:
    (model,) = inception_with().parse().models
    assert (model.timeout_seconds, model.retries, model.matches, model.mirror) == (30, 2, (), None)
    ejection = model.outlier_ejection
    assert (ejection.enabled, ejection.consecutive_errors, ejection.max_percent) == (True, 5, 50)


@pytest.mark.parametrize(("value", "text"), [("v2", "v2"), (2, "2"), (True, "true"), ("a b", "a b")])
def test_a_matchs_value_is_a_text_however_it_was_typed(inception_with: Make, value: Any, text: str) -> None:
    (model,) = inception_with(matches=[{"header": "x-v", "value": value, "version": "v2"}]).parse().models
    assert model.matches[0].value == text


@pytest.mark.parametrize(
    ("match", "key", "said"),
    [
        ({"header": "X-Version"}, "header", "a header's name has a-z, 0-9, - and _"),
        ({"header": "host"}, "header", "is none of authority, cookie, host"),
        ({"header": "cookie"}, "header", "is none of authority, cookie, host"),
        ({"header": "x v"}, "header", "a header's name has"),
        ({"header": None, "cookie": "a b"}, "cookie", "a cookie's name has no space"),
        ({"header": None}, "header", "a match names a header or a cookie"),
        ({"cookie": "a"}, "cookie", "a match is by header or by cookie"),
        ({"value": ""}, "value", "it is the text to compare with"),
        ({"value": " x"}, "value", "it is the text to compare with"),
        ({"value": None}, "value", "it is the text to compare with"),
        ({"header": None, "cookie": "a", "value": "a;b"}, "value", "a cookie's value has no space"),
        ({"version": "v9"}, "version", "it is one of the model's versions: v1, v2, v3"),
        ({"version": "V2"}, "version", "it is one of the model's versions: v1, v2, v3"),
        ({"version": None}, "version", "it is one of the model's versions: v1, v2, v3"),
    ],
)
def test_a_match_that_cannot_be(inception_with: Make, match: dict[str, Any], key: str, said: str) -> None:
    whole = {"header": "x-version", "value": "2", "version": "v2"} | match
    broken = inception_with(matches=[{name: value for name, value in whole.items() if value is not None}])
    problem = broken.only()
    assert problem.key == f"models.inception.matches[0].{key}"
    assert said in problem.message
    broken.mend()


def test_a_match_that_can_never_be_reached(inception_with: Make) -> None:
    matches = [{"header": "x-version", "value": "2", "version": version} for version in ("v2", "v3", "v1")]
    broken = inception_with(matches=matches)
    assert [problem.key for problem in broken.problems()] == [
        "models.inception.matches[2]",
        "models.inception.matches[1]",
    ]
    broken.mend()
    assert [match.version for match in broken.parse().models[0].matches] == ["v2"]


def test_a_mirror_of_a_model_with_one_version(stack: Make) -> None:
    models = {"m": {"path": "/m", "versions": {"v1": {"model": 1}}, "mirror": {"version": "v1"}}}
    broken = stack(models=models)
    assert broken.only().message == "the model has one version, which gets every request already"
    broken.mend()


@pytest.mark.parametrize(
    ("more", "key", "fix"),
    [
        ({"mirror": {"version": "v9"}}, "mirror.version", "rm --path models.inception.mirror"),
        ({"mirror": {"version": "v_2"}}, "mirror.version", "set --path models.inception.mirror.version v2"),
        ({"mirror": {"percent": 5}}, "mirror.version", "rm --path models.inception.mirror"),
        ({"mirror": {"version": "v2", "percent": 101}}, "mirror.percent", "mirror.percent 100"),
        (
            {"mirror": {"version": "v2", "percents": 5}},
            "mirror.percents",
            "set --path models.inception.mirror.percent 5",
        ),
        ({"mirror": "v2"}, "mirror", "rm --path models.inception.mirror"),
        ({"matches": {"header": "x"}}, "matches", "rm --path models.inception.matches"),
        ({"timeoutSeconds": 0}, "timeoutSeconds", "timeoutSeconds 30"),
        ({"timeoutSeconds": "30s"}, "timeoutSeconds", "timeoutSeconds 30"),
        ({"retries": -1}, "retries", "retries 2"),
        ({"retries": 11}, "retries", "retries 2"),
        ({"outlierEjection": {"maxPercent": 100}}, "outlierEjection.maxPercent", "maxPercent 50"),
        ({"outlierEjection": {"consecutiveErrors": 0}}, "outlierEjection.consecutiveErrors", "consecutiveErrors 5"),
        ({"outlierEjection": {"ejectionSeconds": "x"}}, "outlierEjection.ejectionSeconds", "ejectionSeconds 30"),
        ({"outlierEjection": False}, "outlierEjection", "rm --path models.inception.outlierEjection"),
        ({"timeoutSecond": 5}, "timeoutSecond", "set --path models.inception.timeoutSeconds 5"),
    ],
)
def test_a_rule_that_cannot_be(inception_with: Make, more: dict[str, Any], key: str, fix: str) -> None:
    broken = inception_with(**more)
    problem = broken.only()
    assert problem.key == f"models.inception.{key}"
    assert fix in problem.fix
    broken.mend()
