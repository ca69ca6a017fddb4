"""The rules of a model's route: what comes before the weights, what is retried, what is copied, who is left out."""

import asyncio
import json
import re
import time
from contextlib import closing
from typing import Any

import pulumi
import pytest

from infra import routing
from infra.routing import forgotten, let_proxies_hear, refuse_orphans
from tests.components.conftest import Program, Record
from tests.components.test_program import (
    CONFIG,
    DEPLOYMENT,
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    deploy,
)

HOST = "inception.models.svc.cluster.local"


def model(**more: Any) -> dict[str, Any]:
    models = json.loads(json.dumps(CONFIG["tfserving-mesh:models"]))
    models["inception"] |= more
    return {"models": models}


def rules(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program.one(VIRTUAL_SERVICE).inputs["spec"]["http"]
    return found


def test_an_inference_is_tried_again_only_when_no_server_has_seen_it(record: Record) -> None:
    (rule,) = rules(deploy(record))
    assert rule["retries"] == {"attempts": 2, "retryOn": "connect-failure,refused-stream,reset-before-request"}
    (rule,) = rules(deploy(record, **model(retries=0)))
    assert rule["retries"] == {"attempts": 0}, "left out, Istio would retry; with a condition it would refuse the rule"


@pytest.mark.parametrize("seconds", [None, 7])
def test_route_and_server_give_up_a_request_at_the_same_time(record: Record, seconds: int | None) -> None:
    program = deploy(record, **model(**({} if seconds is None else {"timeoutSeconds": seconds})))
    (rule,) = rules(program)
    assert rule["timeout"] == f"{seconds or 30}s"
    for deployment in program.of(DEPLOYMENT):
        (container,) = deployment.inputs["spec"]["template"]["spec"]["containers"]
        assert f"--rest_api_timeout_in_ms={(seconds or 30) * 1000}" in container["args"]


def test_matches_stand_before_the_weights_in_the_order_of_the_config(record: Record) -> None:
    matches = [
        {"header": "x-version", "value": "2", "version": "v2"},
        {"cookie": "group", "value": "b", "version": "v1"},
    ]
    first, second, last = rules(deploy(record, **model(matches=matches)))
    assert first["match"] == [{"headers": {"x-version": {"exact": "2"}}}]
    assert first["route"] == [{"destination": {"host": HOST, "subset": "v2"}}]
    assert list(second["match"][0]["headers"]) == ["cookie"]
    assert second["route"] == [{"destination": {"host": HOST, "subset": "v1"}}]
    assert "match" not in last
    assert [each["weight"] for each in last["route"]] == [75, 25]
    assert first["timeout"] == last["timeout"]
    assert first["retries"] == last["retries"]


@pytest.mark.parametrize(
    ("header", "hit"),
    [
        ("a.b=v+1", True),
        ("x=1; a.b=v+1", True),
        ("a.b=v+1; x=1", True),
        ("x=1;a.b=v+1;y=2", True),
        ("a.b=v+10", False),
        ("xa.b=v+1", False),
        ("a-b=v+1", False),
        ("a.b=vv1", False),
        ("x=a.b=v+1", False),
    ],
)
def test_a_cookie_is_found_among_others_and_not_mistaken(record: Record, header: str, hit: bool) -> None:  # noqa: FBT001
    matches = [{"cookie": "a.b", "value": "v+1", "version": "v2"}]
    wanted = rules(deploy(record, **model(matches=matches)))[0]["match"][0]["headers"]["cookie"]["regex"]
    assert bool(re.fullmatch(wanted, header)) is hit


@pytest.mark.parametrize("percent", [0, 100])
def test_a_mirror_is_beside_the_weights_and_on_no_override(record: Record, percent: int) -> None:
    matches = [{"header": "x-version", "value": "2", "version": "v2"}]
    mirror = {"version": "v2", "percent": percent}
    override, last = rules(deploy(record, **model(matches=matches, mirror=mirror)))
    assert last["mirror"] == {"host": HOST, "subset": "v2"}
    assert last["mirrorPercentage"] == {"value": percent}
    assert "mirror" not in override
    assert [each["weight"] for each in last["route"]] == [75, 25]


def test_a_failing_pod_is_left_out_of_its_version_and_never_the_last(record: Record) -> None:
    rules_ = deploy(record).of(DESTINATION_RULE)
    assert len(rules_) == 2
    for rule in rules_:
        assert "trafficPolicy" not in rule.inputs["spec"], "for a host, one version's policy would be all versions'"
        policy = rule.inputs["spec"]["subsets"][0]["trafficPolicy"]["outlierDetection"]
        assert policy == {
            "consecutiveGatewayErrors": 5,
            "consecutive5xxErrors": 0,
            "baseEjectionTime": "30s",
            "maxEjectionPercent": 50,
        }


def test_ejection_can_be_tuned_and_switched_off(record: Record) -> None:
    tuned = {"consecutiveErrors": 3, "ejectionSeconds": 10, "maxPercent": 34}
    policy = deploy(record, **model(outlierEjection=tuned)).of(DESTINATION_RULE)[0].inputs["spec"]["subsets"][0]
    assert policy["trafficPolicy"]["outlierDetection"]["consecutiveGatewayErrors"] == 3
    assert policy["trafficPolicy"]["outlierDetection"]["baseEjectionTime"] == "10s"
    assert policy["trafficPolicy"]["outlierDetection"]["maxEjectionPercent"] == 34
    off = deploy(record, **model(outlierEjection={"enabled": False})).of(DESTINATION_RULE)[0]
    assert "trafficPolicy" not in off.inputs["spec"]["subsets"][0]


def test_a_step_and_a_promotion_change_the_route_and_nothing_else(record: Record) -> None:
    before = deploy(record)
    step = deploy(record, v2Weight=60)
    promoted = deploy(record, v2Weight=None, v1Weight=10, **model(stable="v2"))
    assert [each["weight"] for each in rules(promoted)[-1]["route"]] == [10, 90]
    for after in (step, promoted):
        old, new = kubernetes(before), kubernetes(after)
        assert old.keys() == new.keys()
        assert {name for name in old if old[name] != new[name]} == {"inception-virtual-service"}


def kubernetes(program: Program) -> dict[str, dict[str, Any]]:
    """The inputs of what is in the cluster, but for the CA, which the recorder cannot keep from run to run."""
    objects = [each for each in program.resources if each.token.startswith("kubernetes:")]
    return {each.name: each.inputs for each in objects if each.name != "injector-cacerts"}


PATHS = {
    "/v1/models/inception": True,
    "/v1/models/inception:predict": True,
    "/v1/models/inception/versions/2:predict": True,
    "/v1/models/inception/metadata": True,
    "/v1/models/inception-v3:predict": False,
    "/v1/models/inceptionx": False,
    "/x/v1/models/inception": False,
    "/v1/config/reload": False,
}


def test_callers_from_outside_get_the_same_rules_by_the_models_path_and_by_its_header(record: Record) -> None:
    matches = [
        {"header": "x-version", "value": "2", "version": "v2"},
        {"cookie": "group", "value": "b", "version": "v2"},
    ]
    mirror = {"version": "v2", "percent": 10}
    outside = {"host": "models.example.com", "plainHttp": True}
    program = deploy(record, **model(matches=matches, mirror=mirror), **outside)
    route = program.one(VIRTUAL_SERVICE).inputs["spec"]
    assert route["hosts"] == [HOST, "models.example.com"]
    assert route["gateways"] == ["mesh", "models/ingress"]
    inside, rest, grpc = (route["http"][first : first + 3] for first in (0, 3, 6))
    assert len(route["http"]) == 9
    for inner, by_path, by_header in zip(inside, rest, grpc, strict=True):
        (met,), (rest_met,), (grpc_met,) = (rule["match"] for rule in (inner, by_path, by_header))
        assert met.pop("gateways") == ["mesh"]
        assert rest_met.pop("gateways") == grpc_met.pop("gateways") == ["models/ingress"]
        for path, hit in PATHS.items():
            assert bool(re.fullmatch(rest_met["uri"]["regex"], path)) is hit, path
        assert grpc_met.pop("uri") == {"prefix": "/tensorflow.serving."}
        assert grpc_met["headers"].pop("model-name") == {"exact": "inception"}
        assert met == {key: value for key, value in rest_met.items() if key != "uri"}, "no path: gRPC has other ones"
        assert met.get("headers", {}) == grpc_met["headers"]
        assert without_ports(by_path, 8501) == without_ports(by_header, 8500) == without_ports(inner, None)
    assert [list(rule["match"][0].get("headers", {})) for rule in inside] == [["x-version"], ["cookie"], []]
    assert [each["weight"] for each in route["http"][-1]["route"]] == [75, 25]


def without_ports(rule: dict[str, Any], port: int | None) -> dict[str, Any]:
    """A rule as callers in the mesh have it, who say by their port whether they speak REST or gRPC; what it matches is
    left out."""
    rule = json.loads(json.dumps({key: value for key, value in rule.items() if key != "match"}))
    for destination in (*(target["destination"] for target in rule["route"]), *filter(None, [rule.get("mirror")])):
        found = destination.pop("port", None)
        assert found == (port and {"number": port}), "the gateway's own port, 80, is no model server's"
    return rule


def test_a_model_is_not_reached_by_the_name_of_another_that_begins_like_it(record: Record) -> None:
    models = {"models": {name: model()["models"]["inception"] for name in ("inception", "inception-v3")}}
    program = deploy(record, host="models.example.com", plainHttp=True, **models, v2Weight=None)
    for route in program.of(VIRTUAL_SERVICE):
        named = route.inputs["spec"]["http"][-1]["match"][0]["headers"]
        assert named == {"model-name": {"exact": route.inputs["metadata"]["name"]}}
    assert len(program.of(VIRTUAL_SERVICE)) == 2


def spec(**weights: int) -> dict[str, Any]:
    override = {"match": [{}], "route": [{"destination": {"host": HOST, "subset": "v9"}}]}
    split = [{"destination": {"host": HOST, "subset": name}, "weight": share} for name, share in weights.items()]
    return {"hosts": [HOST], "http": [override, {"route": split}]}


def test_a_version_that_the_route_forgets_is_seen_with_its_share() -> None:
    assert forgotten(spec(v1=75, v2=25), spec(v1=100)) == {"v2": 25}
    assert forgotten(spec(v1=100, v2=0), spec(v2=100)) == {"v1": 100}, "the next one would have become stable unasked"
    assert forgotten(spec(v1=0, v2=100), spec(v2=100)) == {"v1": 0}
    assert forgotten(spec(v1=95, v2=5), spec(v1=0, v2=100, v3=0)) == {}


def test_its_removal_is_refused_before_the_route_changes(record: Record) -> None:
    route = deploy(record).one(VIRTUAL_SERVICE)
    assert route.hooks["before_update"] == ["inception-keeps-its-traffic"]
    refuse_orphans(step(spec(v1=0, v2=100), spec(v2=100)))
    refuse_orphans(step(spec(v1=75, v2=25), spec(v1=0, v2=100)))
    with pytest.raises(ValueError, match=r"still sends requests to v1 \(75 %\)"):
        refuse_orphans(step(spec(v1=75, v2=25), spec(v2=100)))


@pytest.mark.parametrize(("after", "held"), [({"v2": 100}, True), ({"v1": 50, "v2": 50}, False)])
def test_a_forgotten_versions_pods_stay_until_every_proxy_has_heard(
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
    after: dict[str, int],
    held: bool,  # noqa: FBT001
) -> None:
    assert deploy(record).one(VIRTUAL_SERVICE).hooks["after_update"] == ["inception-is-heard-of"]
    monkeypatch.setattr(routing, "HEARING_PERIOD", 0.3)
    started = time.monotonic()
    with closing(asyncio.new_event_loop()) as loop:
        loop.run_until_complete(let_proxies_hear(step(spec(v1=0, v2=100), spec(**after))))
    assert (time.monotonic() - started >= 0.3) is held, "a step that removes nothing is not held up"


def step(before: dict[str, Any], after: dict[str, Any]) -> pulumi.ResourceHookArgs:
    return pulumi.ResourceHookArgs("urn", "id", "name", "type", {"spec": after}, {"spec": before})
