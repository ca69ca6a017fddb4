"""The review holds a plan's steps against the stack's own limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rollout.review_limits import limits
from rollout.review_plan import Change, Plan, State

URN = "urn:pulumi:dev::tfserving-mesh::kubernetes:networking.istio.io/v1:VirtualService::inception-virtual-service"


def plan(before: dict[str, int], after: dict[str, int], **config: Any) -> str:
    def state(weights: dict[str, int]) -> State:
        host = "inception.models.svc.cluster.local"
        route = [{"destination": {"host": host, "subset": name}, "weight": weight} for name, weight in weights.items()]
        return State({"spec": {"hosts": [host], "http": [{"route": route}]}}, {})

    models = {"inception": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}, "v2": {"model": 2}}}}
    values = {"models": models, **config}
    texts = {f"tfserving-mesh:{key}": json.dumps(value) for key, value in values.items()}
    change = Change(URN, "update", state(before), state(after))
    return "\n".join(
        line for section in limits(Plan((change,), config=texts)) for line in [*section.head, *section.items]
    )


def test_a_step_within_the_limits_is_said_to_be() -> None:
    assert plan({"v1": 95, "v2": 5}, {"v1": 75, "v2": 25}) == (
        "Within the limits of a step: 50 points at most, and not from 0 to 100."
    )


@pytest.mark.parametrize(("after", "what"), [(60, "0 to 60 in one step"), (100, "0 to 100 in one step, which")])
def test_a_step_beyond_them_is_named(after: int, what: str) -> None:
    text = plan({"v1": 100, "v2": 0}, {"v1": 100 - after, "v2": after})
    assert "`rollout.override` gives no reason" in text
    assert f"- `inception`: `v2` goes from {what}" in text


def test_a_reason_is_shown() -> None:
    text = plan({"v1": 100, "v2": 0}, {"v1": 0, "v2": 100}, rollout={"override": "hotfix"})
    assert "because: hotfix" in text


def test_a_rollback_is_no_step() -> None:
    assert plan({"v1": 0, "v2": 100}, {"v1": 100, "v2": 0}) == ""


def test_a_plan_that_does_not_tell_the_config_says_nothing() -> None:
    assert plan({"v1": 100, "v2": 0}, {"v1": 0, "v2": 100}, modles={}) == ""
    assert list(limits(Plan())) == []
