"""A model's quota as an object: whose pods, which place in the proxy, when it comes, and what else it changes."""

from typing import Any

import pytest

from infra.config_quota import Quota
from infra.quota import filters
from tests.components.conftest import Program, Record
from tests.components.test_program import DEPLOYMENT, deploy, needs
from tests.components.test_routing import kubernetes, model

ENVOY_FILTER = "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter"


def limited(record: Record, **quota: Any) -> Program:
    return deploy(record, **model(quota=quota))


def test_a_model_without_a_quota_has_no_filter(record: Record) -> None:
    assert deploy(record).of(ENVOY_FILTER) == []


def test_a_quota_is_for_the_pods_of_all_versions_and_for_what_comes_in(record: Record) -> None:
    program = limited(record, requestsPerSecond=10, callers={"shop/web": {"requestsPerSecond": 5}})
    made = program.one(ENVOY_FILTER, "inception-quota").inputs
    assert made["metadata"]["namespace"] == "models"
    chosen = made["spec"]["workloadSelector"]["labels"]
    for deployment in program.of(DEPLOYMENT):
        assert chosen.items() <= deployment.inputs["spec"]["template"]["metadata"]["labels"].items()
    assert len(made["spec"]["configPatches"]) == 2
    for patch in made["spec"]["configPatches"]:
        assert patch["applyTo"] == "HTTP_FILTER"
        assert patch["match"]["context"] == "SIDECAR_INBOUND"
        assert patch["match"]["listener"]["filterChain"]["filter"]["subFilter"] == {"name": "envoy.filters.http.router"}
        assert patch["patch"]["operation"] == "INSERT_BEFORE", "behind what refuses a caller, who then uses nothing up"


def test_no_pod_takes_requests_before_its_quota_holds(record: Record) -> None:
    program = limited(record, requestsPerSecond=10)
    for deployment in program.of(DEPLOYMENT):
        assert "inception-quota" in needs(program, deployment), "what is needed is made first and deleted last"


def test_another_quota_is_one_changed_object_and_no_pod(record: Record) -> None:
    before, after = kubernetes(limited(record, requestsPerSecond=10)), kubernetes(limited(record, requestsPerSecond=20))
    assert before.keys() == after.keys()
    assert {name for name in before if before[name] != after[name]} == {"inception-quota"}
    none = kubernetes(deploy(record))
    assert before.keys() - none.keys() == {"inception-quota"}
    assert all(before[name] == none[name] for name in none)


@pytest.mark.parametrize(
    ("rate", "bucket"),
    [
        ({"requestsPerSecond": 10}, (10, 10, "1s")),
        ({"requestsPerSecond": "2.5", "burst": 7}, (7, 5, "2s")),
        ({"requestsPerSecond": "0.01"}, (1, 1, "100s")),
        ({"requestsPerSecond": "0.07"}, (1, 7, "100s")),
        ({"requestsPerSecond": "33.33"}, (34, 3333, "100s")),
    ],
)
def test_a_rate_is_whole_tokens_in_whole_seconds(rate: dict[str, Any], bucket: tuple[int, int, str]) -> None:
    (only,) = filters(Quota.model_validate(rate))
    (descriptor,) = only["typed_config"]["descriptors"]
    found = descriptor["token_bucket"]
    assert (found["max_tokens"], found["tokens_per_fill"], found["fill_interval"]) == bucket


@pytest.mark.parametrize(("rate", "seconds"), [("100", "1"), ("1", "1"), ("0.4", "3"), ("0.01", "100")])
def test_who_is_refused_is_told_when_the_next_request_is_free(rate: str, seconds: str) -> None:
    (only,) = filters(Quota.model_validate({"requestsPerSecond": rate}))
    told = {each["header"]["key"]: each["header"]["value"] for each in only["typed_config"]["response_headers_to_add"]}
    assert told == {"retry-after": seconds, "x-envoy-ratelimited": "true"}
