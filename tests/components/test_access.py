"""Who may call a model: which objects say so, what they allow, and what waits for them."""

from typing import Any

import pytest

from tests.components.conftest import Program, Record
from tests.components.test_program import CONFIG, DEPLOYMENT, deploy, needs

AUTHORIZATION = "kubernetes:security.istio.io/v1:AuthorizationPolicy"
PEERS = "kubernetes:security.istio.io/v1:PeerAuthentication"
TOKENS = "kubernetes:security.istio.io/v1:RequestAuthentication"
GATEWAY = "cluster.local/ns/istio-system/sa/istio-ingress"
SHOP = "cluster.local/ns/web/sa/shop"
HOST = {"host": "models.example.com", "plainHttp": True}
JWT = {"issuer": "https://issuer.example.com/", "audiences": ["a", "b"], "jwksUri": "https://issuer.example.com/keys"}


def guarded(record: Record, *, host: bool = False, **model: Any) -> Program:
    """A stack of one model with a few more keys."""
    inception = CONFIG["tfserving-mesh:models"]["inception"] | model  # type: ignore[index]
    return deploy(record, models={"inception": inception}, **(HOST if host else {}))


def rules(program: Program) -> list[dict[str, Any]]:
    spec = program.one(AUTHORIZATION, "inception").inputs["spec"]
    assert (spec["action"], spec["selector"]) == ("ALLOW", {"matchLabels": {"app": "inception"}})
    return list(spec.get("rules", []))


def sources(program: Program) -> Any:
    (rule,) = rules(program)
    return [each["source"] for each in rule["from"]] if "from" in rule else "everybody"


@pytest.mark.parametrize(
    ("model", "host", "expected"),
    [
        ({"callers": "any"}, False, "everybody"),
        ({"callers": "any"}, True, "everybody"),
        ({"callers": ["web/shop"]}, False, [{"principals": [SHOP]}]),
        ({"callers": ["web/shop"]}, True, [{"principals": [SHOP, GATEWAY]}]),
        ({"callers": []}, True, [{"principals": [GATEWAY]}]),
    ],
)
def test_who_is_listed_is_let_in_and_the_gateway_where_there_is_a_host(
    record: Record,
    model: dict[str, Any],
    host: bool,  # noqa: FBT001
    expected: Any,
) -> None:
    assert sources(guarded(record, host=host, **model)) == expected


@pytest.mark.parametrize(
    ("callers", "untokened"),
    [("any", [{"notPrincipals": [GATEWAY]}]), (["web/shop"], [{"principals": [SHOP]}]), ([], [])],
)
def test_the_gateways_requests_need_a_token_of_the_issuer_and_no_others(
    record: Record, callers: Any, untokened: list[Any]
) -> None:
    program = guarded(record, host=True, callers=callers, jwt=JWT)
    token = {"principals": [GATEWAY], "requestPrincipals": ["https://issuer.example.com//*"]}
    assert sources(program) == [*untokened, token]


def test_whom_nobody_may_call_refuses_everybody(record: Record) -> None:
    assert rules(guarded(record, callers=[])) == [], "Istio refuses what no rule allows"


def test_only_tf_servings_own_paths_and_methods_are_let_through_whoever_calls(record: Record) -> None:
    versions = {"v1": {"model": 1}, "v2": {"model": 12}}
    for callers in ("any", ["web/shop"]):
        (rule,) = rules(guarded(record, callers=callers, versions=versions))
        allowed = {
            (method, path)
            for to in rule["to"]
            for method in to["operation"]["methods"]
            for path in to["operation"]["paths"]
        }
        calls = {path for method, path in allowed if method == "POST"}
        looks = {path for method, path in allowed if method == "GET"}
        assert calls | looks == {path for _, path in allowed}
        whole, version = "/v1/models/inception", "/v1/models/inception/versions/{*}"
        assert looks == {whole, version, f"{whole}/metadata", f"{version}/metadata"}
        methods = {path for path in calls if path.startswith("/tensorflow.serving.")}
        assert calls - methods == {version, *(f"{whole}:{verb}" for verb in ("predict", "classify", "regress"))}
        assert "/tensorflow.serving.PredictionService/Predict" in methods
        assert "/tensorflow.serving.ModelService/GetModelStatus" in methods
        assert "/tensorflow.serving.ModelService/HandleReloadConfigRequest" not in methods


def test_a_version_that_comes_or_goes_changes_no_rule(record: Record) -> None:
    # Proxies take up new listeners for another rule, and with that close connections.
    versions = {f"v{number}": {"model": number} for number in (1, 2, 3)}
    less = {name: versions[name] for name in ("v1", "v2")}
    before, after = (guarded(record, versions=each).one(AUTHORIZATION).inputs for each in (less, versions))
    assert before == after


@pytest.mark.parametrize("keys", [{"jwksUri": "https://issuer.example.com/keys"}, {"jwks": '{"keys":[{"kty":"RSA"}]}'}])
def test_tokens_are_checked_at_the_models_pods_and_taken_from_the_header_alone(
    record: Record, keys: dict[str, str]
) -> None:
    jwt = {"issuer": "https://issuer.example.com/", "audiences": ["a", "b"], **keys}
    program = guarded(record, host=True, jwt=jwt)
    tokens = program.one(TOKENS, "inception")
    header = {"fromHeaders": [{"name": "Authorization", "prefix": "Bearer "}]}
    assert tokens.inputs["spec"] == {"selector": {"matchLabels": {"app": "inception"}}, "jwtRules": [jwt | header]}
    assert tokens.name in needs(program, program.one(AUTHORIZATION)), "or good tokens would be refused for a while"
    assert guarded(record, host=True).of(TOKENS) == []


def test_keys_may_stand_in_the_config_as_an_object(record: Record) -> None:
    jwt = {"issuer": "me", "audiences": ["a"], "jwks": {"keys": [{"kty": "EC", "x": "1"}]}}
    (rule,) = guarded(record, host=True, jwt=jwt).one(TOKENS).inputs["spec"]["jwtRules"]
    assert rule["jwks"] == '{"keys": [{"kty": "EC", "x": "1"}]}'


def test_mutual_tls_is_the_rule_of_the_models_namespace_and_of_no_other(record: Record) -> None:
    (peers,) = guarded(record).of(PEERS)
    assert peers.inputs["metadata"]["namespace"] == "models"
    assert peers.inputs["spec"] == {"mtls": {"mode": "STRICT"}}


def test_a_model_is_excepted_from_mutual_tls_before_it_becomes_the_rule(record: Record) -> None:
    program = guarded(record, strictCallers=False)
    exception, strict = program.one(PEERS, "inception"), program.one(PEERS, "default")
    assert exception.inputs["spec"] == {
        "selector": {"matchLabels": {"app": "inception"}},
        "mtls": {"mode": "PERMISSIVE"},
    }
    assert exception.name in needs(program, strict), "callers without a sidecar would be refused in between"


def test_no_pod_serves_before_it_is_known_who_may_call_it(record: Record) -> None:
    program = guarded(record, host=True, jwt=JWT, strictCallers=False)
    policies = [*program.of(AUTHORIZATION), *program.of(PEERS), *program.of(TOKENS)]
    assert len(policies) == 4
    for deployment in program.of(DEPLOYMENT):
        assert {policy.name for policy in policies} <= needs(program, deployment)


def test_each_models_pods_wait_for_their_own_policy_by_name(record: Record) -> None:
    inception = CONFIG["tfserving-mesh:models"]["inception"]  # type: ignore[index]
    models = {"inception": inception, "resnet": inception, "plain": inception | {"mesh": False, "callers": None}}
    program = deploy(record, models=models, v2Weight=None)
    assert {policy.inputs["metadata"]["name"] for policy in program.of(AUTHORIZATION)} == {"inception", "resnet"}
    for name in ("inception", "resnet"):
        # Directly: what is deleted is put in order by what it needs itself.
        assert f"{name}-callers" in program.one(DEPLOYMENT, f"{name}-v1").dependencies


def test_a_policy_that_somebody_changed_is_put_back(record: Record) -> None:
    program = guarded(record, host=True, jwt=JWT, strictCallers=False)
    for policy in (*program.of(AUTHORIZATION), *program.of(PEERS), *program.of(TOKENS)):
        assert policy.inputs["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}
