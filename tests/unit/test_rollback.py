"""A rollback comes to its end whatever is in its way, and an interruption leaves what the next run finishes."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rollout import pulumi_cli, route
from rollout import rollback as command
from rollout.cluster_api import ApiError, ClusterApi
from rollout.errors import RolloutError
from rollout.mesh import Pod, Proxy
from rollout.review_plan import Change, Plan
from rollout.rollback import rollback
from rollout.stack import Stack

ROOT = Path(__file__).parents[2]
HOST = "half-plus.models.svc.cluster.local"
MORE = Plan((Change("urn:pulumi:local::tfserving-mesh::kubernetes:apps/v1:Deployment::half-plus-v3", "create"),))
MANAGER = "pulumi-kubernetes-1a2b3c4d"


def destinations(**weights: int) -> list[dict[str, Any]]:
    return [{"destination": {"host": HOST, "subset": name}, "weight": weight} for name, weight in weights.items()]


VIRTUAL_SERVICE: dict[str, Any] = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {
        "name": "half-plus",
        "namespace": "models",
        "resourceVersion": "7",
        "uid": "u",
        "labels": {"app": "half-plus", "team": "somebody-elses"},
        "annotations": {"pulumi.com/patchForce": "true"},
        "managedFields": [
            {
                "manager": MANAGER,
                "operation": "Apply",
                "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}, "f:annotations": {"f:pulumi.com/patchForce": {}}},
                    "f:spec": {"f:http": {}},
                },
            },
            {"manager": "team", "operation": "Apply", "fieldsV1": {"f:metadata": {"f:labels": {"f:team": {}}}}},
        ],
    },
    "spec": {
        "hosts": [HOST, "models.example.com"],
        "http": [
            {"match": [{"headers": {"x-v": {"exact": "v2"}}}], "route": [{"destination": {"subset": "v2"}}]},
            {"route": destinations(v1=50, v2=50), "match": [{"gateways": ["mesh"]}], "timeout": "30s"},
            {"route": destinations(v1=50, v2=50), "match": [{"uri": {"regex": "/v1/models/half-plus.*"}}]},
            {
                "route": destinations(v1=50, v2=50),
                "match": [
                    {"uri": {"prefix": "/tensorflow.serving."}, "headers": {"model-name": {"exact": "half-plus"}}}
                ],
            },
        ],
    },
}


class Api(ClusterApi):
    """A cluster of one route and two callers."""

    def __init__(self, *, refuses: int = 0, conflicts: int = 0, lists: int | None = None) -> None:
        self.live = copy.deepcopy(VIRTUAL_SERVICE)
        self.refuses, self.conflicts = refuses, conflicts
        self.lists = lists  # how often pods can be listed; None is always
        self.applied: list[tuple[str, Mapping[str, Any]]] = []

    def get(self, path: str, **_query: str) -> dict[str, Any]:
        assert path.endswith("/namespaces/models/virtualservices/half-plus"), path
        return copy.deepcopy(self.live)

    def items(self, path: str, **_query: str) -> list[dict[str, Any]]:
        assert path == "/api/v1/pods"
        if self.lists == 0:
            raise ApiError(403, "GET /api/v1/pods was answered 403: pods is forbidden")
        if self.lists is not None:
            self.lists -= 1

        def pod(namespace: str, name: str, *containers: str, **more: Any) -> dict[str, Any]:
            spec = {"containers": [{"name": each} for each in containers], **more}
            revision = {"istio.io/rev": "1-31-0"} if name == "new" else {}
            metadata = {"namespace": namespace, "name": name, "labels": {"app": name}, "annotations": revision}
            return {"metadata": metadata, "spec": spec}

        return [
            pod("callers", "new", "app", initContainers=[{"name": "istio-proxy"}]),
            pod("callers", "old", "app", "istio-proxy"),
            pod("istio-system", "ingress", "istio-proxy"),
            pod("istio-system", "istiod", "discovery"),
            pod("batch", "plain", "app"),
        ]

    def apply(self, _path: str, manager: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        if self.refuses:
            raise ApiError(self.refuses, "no")
        if self.conflicts:
            self.conflicts -= 1
            self.live["metadata"]["resourceVersion"] = "8"
            raise ApiError(409, "changed meanwhile")
        self.applied.append((manager, manifest))
        self.live["spec"] = copy.deepcopy(manifest["spec"])
        return self.live

    def split(self) -> dict[str, int]:
        return {version: weight for version, weight in route.Route("", self.live).weights.items() if weight}


class Live(Proxy):
    """A proxy that has whatever the route says, or is `cut` off from it."""

    def __init__(self, api: Api, name: str, cut: dict[str, int] | None = None) -> None:
        super().__init__(api, Pod("callers", name))
        self.api, self.cut = api, cut

    def weights(self, host: str) -> dict[str, int] | None:
        assert host == HOST
        return self.cut or self.api.split()


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text((ROOT / file.name).read_text().replace("v2Weight: 5", "v2Weight: 50"))
    return Stack("local", ROOT, file)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, stack: Stack) -> Any:
    """Roll back with Pulumi played; what was said, and done."""
    monkeypatch.setattr(command, "proxies_of", lambda api, *_: [Live(api, "new"), Live(api, "old")])
    monkeypatch.setattr(pulumi_cli, "preview", lambda _: Plan())

    def run(api: Api, up: Any = lambda *_: None) -> tuple[bool, list[str]]:
        monkeypatch.setattr(pulumi_cli, "up", up)
        said: list[str] = []
        return rollback(stack, api, stack.model(None), time.monotonic(), said.append), said

    return run


def test_a_rollback_moves_the_route_and_then_records_it(run: Any, stack: Stack) -> None:
    api = Api()
    recorded: list[dict[str, int]] = []
    done, said = run(api, lambda *_: recorded.append(api.split()))
    assert done
    assert recorded == [{"v1": 100}]
    assert stack.settings.models[0].weights == {"v1": 100, "v2": 0}
    assert said[0] == "half-plus: v1 50 %, v2 50 % -> v1 100 %"
    assert said[1].startswith("2 of 2 proxies have v1 100 %, after 0.")
    assert said[2].startswith("recorded by Pulumi after ")


def test_a_route_that_may_not_be_patched_is_left_to_pulumi(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api(refuses=403)
    monkeypatch.setattr(command, "DEADLINE", 0.2)

    def up(stack: Stack, _message: str) -> None:
        weights = stack.settings.models[0].weights
        api.live["spec"]["http"][1]["route"] = destinations(**weights)

    done, said = run(api, up)
    assert done
    assert "`pulumi up` does it" in said[0]
    assert said[-1].startswith("2 of 2 proxies have v1 100 %")


@pytest.mark.parametrize("refuses", [0, 403])
def test_pods_that_cannot_be_listed_do_not_keep_a_rollback_from_its_end(run: Any, refuses: int) -> None:
    ups: list[str] = []
    done, said = run(Api(lists=0, refuses=refuses), lambda stack, _: ups.append(stack.file.read_text()))
    assert not done
    assert len(ups) == 1
    assert "v2Weight: 0" in ups[0]
    assert "the proxies cannot be asked: GET /api/v1/pods was answered 403: pods is forbidden" in said
    assert said[-1].startswith("recorded by Pulumi after ")


def test_pods_that_can_no_longer_be_listed_while_proxies_are_waited_for_do_not_either(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silent(Live):
        def weights(self, _host: str) -> dict[str, int] | None:
            raise RolloutError("does not answer")

    monkeypatch.setattr(command, "DEADLINE", 0.1)
    monkeypatch.setattr(command, "proxies_of", lambda api, *_: [Silent(api, "new")])
    ups: list[str] = []
    done, said = run(Api(lists=1), lambda _, message: ups.append(message))
    assert not done
    assert ups == ["roll back half-plus to v1"]
    asked, recorded, again = said[1:]
    assert asked == again == "the proxies cannot be asked: GET /api/v1/pods was answered 403: pods is forbidden"
    assert recorded.startswith("recorded by Pulumi after ")


HELD_BY = "carol@ci (pid 42) at 2026-11-28T09:00:00Z"
LOCKS = {
    f"the stack is locked by {HELD_BY}": (
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the "
        f"lock file with `pulumi cancel`.\n  file:///state/locks/1.json: created by {HELD_BY}"
    ),
    "another update of the stack is running": "error: [409] Conflict: Another update is currently in progress.",
}


class OtherUp:
    """Another `pulumi up`, begun before the rollback: it has the lock for some tries, and moves the route in one."""

    def __init__(self, api: Api, error: str, tries: float, moves_in: int) -> None:
        self.api, self.error, self.tries, self.moves_in = api, error, tries, moves_in
        self.seen: list[dict[str, int]] = []

    def __call__(self, _stack: Stack, _message: str) -> None:
        self.seen.append(self.api.split())
        if len(self.seen) == self.moves_in:
            for rule in self.api.live["spec"]["http"][1:]:
                rule["route"] = destinations(v1=75, v2=25)
        if len(self.seen) <= self.tries:
            raise RolloutError(f"pulumi up failed:\n{self.error}")


@pytest.mark.parametrize(("holder", "error"), LOCKS.items())
def test_another_up_that_brings_the_canary_back_is_waited_for_and_does_not_keep_it(
    run: Any, monkeypatch: pytest.MonkeyPatch, holder: str, error: str
) -> None:
    monkeypatch.setattr(command, "PAUSE", 0)
    api = Api()
    other = OtherUp(api, error, tries=3, moves_in=2)
    done, said = run(api, other)
    assert done
    assert other.seen == [{"v1": 100}] * 4
    told = [line for line in said if line.startswith(holder)]
    assert told == [f"{holder}: waits 3 min at most. If that was killed, run in another shell: pulumi cancel"]
    assert "the route had v1 75 %, v2 25 % meanwhile, and is moved again to v1 100 %" in said
    assert said[-2].startswith("recorded by Pulumi after ")
    assert said[-1].startswith("2 of 2 proxies have v1 100 %")


def test_when_another_up_has_ended_the_proxies_are_asked_once_more(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PAUSE", 0)
    api = Api()
    done, said = run(api, OtherUp(api, next(iter(LOCKS.values())), tries=1, moves_in=0))
    assert done
    assert said[-1].startswith("2 of 2 proxies have v1 100 %")


def test_what_another_up_has_half_done_is_no_reason_to_leave_the_route_alone(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = iter([Plan(), MORE, MORE, Plan()])
    monkeypatch.setattr(pulumi_cli, "preview", lambda _: next(plans))
    monkeypatch.setattr(command, "PAUSE", 0)
    api = Api()
    other = OtherUp(api, next(iter(LOCKS.values())), tries=1, moves_in=1)
    done, said = run(api, other)
    assert done
    assert next(plans, None) is None
    assert len(other.seen) == 2
    assert not any("more than weights" in line for line in said)


def test_an_up_that_does_not_end_is_not_waited_for_for_ever_and_the_route_is_looked_at_last(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LOCKED", 0)
    api = Api()
    other = OtherUp(api, next(iter(LOCKS.values())), tries=float("inf"), moves_in=1)
    done, said = run(api, other)
    assert not done
    assert len(other.seen) == 1
    assert api.split() == {"v1": 100}
    assert any("not recorded; run `python -m rollout rollback half-plus` again: " in line for line in said)
    assert said[-1].startswith("2 of 2 proxies have v1 100 %")


def test_an_up_that_fails_for_another_reason_is_not_tried_again(run: Any) -> None:
    api = Api()
    other = OtherUp(api, "error: the program has a fault", tries=float("inf"), moves_in=0)
    done, said = run(api, other)
    assert not done
    assert len(other.seen) == 1
    assert "the program has a fault" in said[-1]


def test_killed_before_the_route_is_moved_the_config_already_says_it(
    run: Any, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(route, "move", killed)
    with pytest.raises(KeyboardInterrupt):
        run(Api())
    assert "v2Weight: 0" in stack.file.read_text()


def test_an_up_that_would_change_more_is_not_made(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi_cli, "preview", lambda _: MORE)
    ups: list[str] = []
    api = Api()
    done, said = run(api, lambda _, message: ups.append(message))
    assert not done
    assert ups == []
    assert api.split() == {"v1": 100}
    assert "would change more than weights: half-plus-v3" in said[-1]
