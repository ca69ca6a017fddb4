"""Who may call a model: what has to be written down, what is read, and what is said of callers that are none."""

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]
NO_CALLERS: list[Any] = [
    "callers/",
    "callers",
    "/shop",
    "",
    "any",
    "*",
    "*/shop",
    "web/*",
    "Web/shop",
    "a.b/shop",
    "we_b/shop",
    "web/shop/x",
    "web/" + "a" * 254,
    "cluster.local/ns/web/sa/shop",
    ["web/shop"],
    5,
    None,
]


@pytest.fixture
def called_by(stack: Make, inception: dict[str, Any]) -> Make:
    """A stack whose model says who may call it."""

    def make(callers: Any) -> Any:
        return stack(models={"inception": inception["inception"] | {"callers": callers}})

    return make


@pytest.mark.parametrize("callers", ["any", [], ["web/shop"], ["web/shop", "batch/nightly.jobs"], ["1st/" + "a" * 253]])
def test_callers_are_everybody_or_service_accounts(called_by: Make, callers: Any) -> None:
    (model,) = called_by(callers).parse().models
    assert model.callers == (callers if callers == "any" else tuple(callers))


def test_nobody_is_let_in_unasked(stack: Make, inception: dict[str, Any]) -> None:
    del inception["inception"]["callers"]
    broken = stack(models=inception)
    problem = broken.only()
    assert (problem.key, problem.value) == ("models.inception.callers", "missing")
    assert "who may call is any, or a list of NAMESPACE/SERVICEACCOUNT, and has to be written down" in problem.message
    assert problem.fix == "pulumi config set --path 'models.inception.callers[0]' my-namespace/my-account"
    broken.mend()
    assert broken.parse().models[0].callers == ("my-namespace/my-account",)


@pytest.mark.parametrize("caller", NO_CALLERS)
def test_a_caller_that_names_no_service_account(called_by: Make, caller: Any) -> None:
    broken = called_by(["web/shop", caller])
    problem = broken.only()
    assert problem.key == "models.inception.callers[1]"
    assert problem.message == "a caller is NAMESPACE/SERVICEACCOUNT, both in full and without a wildcard"
    broken.mend()


def test_all_callers_that_are_none_are_told_together(called_by: Make) -> None:
    broken = called_by(["shop", "web/shop", "web/shop", "*"])
    assert {problem.key for problem in broken.problems()} == {
        f"models.inception.callers[{index}]" for index in (0, 2, 3)
    }
    broken.mend()
    assert broken.parse().models[0].callers[1] == "web/shop"


@pytest.mark.parametrize(
    ("callers", "meant"),
    [("web/shop", ("web/shop",)), ("*", None), ("all", None), (True, None), ({"web": "shop"}, None)],
)
def test_callers_that_are_no_list(called_by: Make, callers: Any, meant: Any) -> None:
    broken = called_by(callers)
    assert broken.only().key == "models.inception.callers"
    assert broken.only().message == "who may call is any, or a list of NAMESPACE/SERVICEACCOUNT"
    broken.mend()
    assert broken.parse().models[0].callers == (meant or ("my-namespace/my-account",))
