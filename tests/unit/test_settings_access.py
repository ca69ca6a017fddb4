"""Who may call a model: what has to be written down, what is read, and what is said of callers that are none."""

import json
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


def test_callers_need_a_sidecar_unless_anybody_may_call_and_the_model_says_so(stack: Make, inception: Any) -> None:
    def strict(**more: Any) -> bool:
        (model,) = stack(models={"inception": inception["inception"] | more}).parse().models
        return bool(model.strict_callers)

    assert strict()
    assert strict(callers=["web/shop"])
    assert not strict(strictCallers=False)
    assert not strict(mesh=False, callers=None), "there is no proxy to refuse anybody"
    broken = stack(models={"inception": inception["inception"] | {"callers": ["web/shop"], "strictCallers": False}})
    assert broken.only().key == "models.inception.strictCallers"
    assert "a caller without a sidecar has no identity" in broken.only().message
    broken.mend()
    assert broken.parse().models[0].callers == ("web/shop",)


KEYS = {"keys": [{"kty": "RSA", "kid": "1", "n": "sXch", "e": "AQAB"}]}
JWT = {"issuer": "https://issuer.example.com", "audiences": ["inception"], "jwks": json.dumps(KEYS)}


@pytest.fixture
def outside_with(stack: Make, inception: dict[str, Any]) -> Make:
    """A stack whose model is reached from outside with a token, of which some keys are others or gone."""

    def make(more: dict[str, Any], **stacks: Any) -> Any:
        jwt = {key: value for key, value in (JWT | more).items() if value is not None}
        host = {"host": "models.example.com", "plainHttp": "true"} | stacks
        return stack(host, models={"inception": inception["inception"] | {"jwt": jwt}})

    return make


def test_a_tokens_keys_are_given_or_fetched(outside_with: Make) -> None:
    uri = "https://issuer.example.com/keys"
    for more in ({}, {"jwks": KEYS}):
        assert json.loads(outside_with(more).parse().models[0].jwt.jwks) == KEYS
    assert outside_with({"jwks": None, "jwksUri": uri}).parse().models[0].jwt.jwks_uri == uri


@pytest.mark.parametrize(
    ("more", "key", "said", "fix"),
    [
        ({"issuer": None}, "issuer", "it is the iss of the tokens", "issuer https://issuer.example.com"),
        ({"issuer": ""}, "issuer", "it is the iss of the tokens", "issuer https://issuer.example.com"),
        ({"issuer": "https://*"}, "issuer", "without spaces and *", "issuer https://issuer.example.com"),
        ({"audiences": None}, "audiences", "a token names the services it is for", "audiences[0]' my-models"),
        ({"audiences": []}, "audiences", "a token names the services it is for", "audiences[0]' my-models"),
        ({"audiences": [""]}, "audiences[0]", "it is an aud of the tokens", "audiences[0]' my-models"),
        ({"jwks": None}, "jwksUri", "the issuer's public keys are needed", "jwksUri https://"),
        ({"jwksUri": "https://a.b/keys"}, "jwks", "are fetched from jwksUri, or stand here", "rm --path"),
        ({"jwks": None, "jwksUri": "http://a.b/keys"}, "jwksUri", "keys are fetched by https", "jwksUri https://"),
        ({"jwks": "no JSON"}, "jwks", "it is a JSON Web Key Set", "rm --path"),
        ({"jwks": "[" * 100_000}, "jwks", "it is a JSON Web Key Set", "rm --path"),
        ({"jwks": {"keys": []}}, "jwks", "it is a JSON Web Key Set", "rm --path"),
        ({"jwks": {"keys": 5}}, "jwks", "it is a JSON Web Key Set", "rm --path"),
        ({"jwks": {"keys": "x"}}, "jwks", "it is a JSON Web Key Set", "rm --path"),
        ({"jwks": {"keys": [{"n": "1"}]}}, "jwks", "it is a JSON Web Key Set", "rm --path"),
        ({"jwks": {"keys": [{"kty": "RSA"}, 5]}}, "jwks", "it is a JSON Web Key Set", "rm --path"),
        ({"jwksURI": "https://a.b/keys"}, "jwksURI", "did you mean jwksUri?", "jwksUri https://a.b/keys"),
    ],
)
def test_a_token_rule_that_cannot_be(outside_with: Make, more: dict[str, Any], key: str, said: str, fix: str) -> None:
    broken = outside_with(more)
    problem = broken.only()
    assert problem.key == f"models.inception.jwt.{key}"
    assert said in problem.message
    assert fix in problem.fix
    broken.mend()


@pytest.mark.parametrize(
    "keys",
    [
        {"keys": [{"kty": "RSA", "n": "1", "e": "AQAB", "d": "hunter2"}]},
        {"keys": [{"kty": "RSA", "n": "1"}, {"kty": "oct", "k": "hunter2"}]},
        {"kty": "EC", "d": "hunter2"},
        "-----BEGIN PRIVATE KEY-----\nhunter2",
    ],
)
def test_a_private_key_is_refused_and_shown_nowhere(outside_with: Make, keys: Any) -> None:
    for given in (keys, keys if isinstance(keys, str) else json.dumps(keys)):
        broken = outside_with({"jwks": given})
        assert "it holds a private or a symmetric key" in broken.only().message
        assert broken.only().value == "[secret]"
        broken.values["models"] = json.dumps(broken.values["models"], indent=1)
        assert "hunter" not in str(broken.problems())
        broken.mend()


def test_tokens_without_requests_from_outside(outside_with: Make) -> None:
    broken = outside_with({}, host="", plainHttp="false")
    assert broken.only().key == "models.inception.jwt"
    assert broken.only().fix == "pulumi config rm --path models.inception.jwt"
    broken.mend()


def test_a_gateway_that_may_call_without_a_token_would_let_in_everybody(outside_with: Make) -> None:
    broken = outside_with({})
    broken.values["models"]["inception"]["callers"] = ["web/shop", "istio-system/istio-ingress"]
    assert broken.only().key == "models.inception.callers[1]"
    broken.mend()
    assert broken.parse().models[0].callers == ("web/shop",)
    del broken.values["models"]["inception"]["jwt"]
    broken.values["models"]["inception"]["callers"] = ["istio-system/istio-ingress"]
    assert broken.problems() == ()
