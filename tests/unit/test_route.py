"""The route is moved in Pulumi's name, whole."""

from __future__ import annotations

import copy

import pytest

from rollout import route
from rollout.errors import RolloutError
from tests.unit.test_rollback import MANAGER, VIRTUAL_SERVICE, Api, destinations


def test_the_whole_of_what_pulumi_owns_is_applied_in_its_name_and_nothing_of_others() -> None:
    api = Api()
    route.move(api, route.read(api, "half-plus", "models"), {"v1": 100, "v2": 0})
    ((manager, manifest),) = api.applied
    assert manager == MANAGER
    assert manifest["metadata"]["labels"] == {"app": "half-plus"}
    assert manifest["metadata"]["annotations"] == {"pulumi.com/patchForce": "true"}
    assert "managedFields" not in manifest["metadata"]
    expected = copy.deepcopy(VIRTUAL_SERVICE["spec"])
    for rule in expected["http"][1:]:
        rule["route"] = destinations(v1=100, v2=0)
    assert manifest["spec"] == expected


def test_a_route_that_changed_meanwhile_is_read_again() -> None:
    api = Api(conflicts=1)
    route.move(api, route.read(api, "half-plus", "models"), {"v1": 100})
    assert api.applied[0][1]["metadata"]["resourceVersion"] == "8"


def test_a_route_of_somebody_elses_is_left_alone() -> None:
    api = Api()
    api.live["metadata"]["managedFields"].pop(0)
    with pytest.raises(RolloutError, match="not applied by Pulumi"):
        route.move(api, route.read(api, "half-plus", "models"), {"v1": 100})
    assert api.applied == []


def test_a_version_that_the_route_does_not_list_gets_nothing() -> None:
    with pytest.raises(RolloutError, match="the route has no v3; it has v1, v2"):
        route.read(Api(), "half-plus", "models").moved({"v3": 100})
