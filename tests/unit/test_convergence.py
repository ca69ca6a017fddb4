"""Which proxies are asked, and which of them are behind."""

from __future__ import annotations

from rollout.convergence import Convergence, Watch
from rollout.errors import RolloutError
from rollout.mesh import Pod, Proxy, callers
from rollout.verify import describe, without_ended
from tests.unit.test_rollback import Api, Live, destinations


def test_a_proxy_that_is_behind_is_named_and_the_others_time_is_given() -> None:
    api = Api()
    api.live["spec"]["http"][1]["route"] = destinations(v1=100, v2=0)
    watch = Watch([Live(api, "new"), Live(api, "cut", {"v1": 50, "v2": 50})], "half-plus", "models")
    result = watch.wait({"v1": 100, "v2": 0}, 0.3)
    watch.close()
    assert list(result.stragglers) == [Pod("callers", "cut")]
    assert result.seconds < 0.3
    lines = describe(result)
    assert lines[0].startswith("1 of 2 proxies have v1 100 %")
    assert lines[1] == "  behind: callers/cut has v1 50 %, v2 50 %"


def test_a_pod_that_ended_is_not_waited_for() -> None:
    class Silent(Proxy):
        def weights(self, _host: str) -> dict[str, int] | None:
            raise RolloutError("gone")

    api = Api()
    watch = Watch([Silent(api, Pod("callers", "ended")), Silent(api, Pod("callers", "old"))], "half-plus", "models")
    result = without_ended(api, watch.wait({"v1": 100}, 0.1))
    assert list(result.stragglers) == [Pod("callers", "old")]
    assert "behind: callers/old does not answer: gone" in describe(result)[1]


def test_a_proxy_without_the_route_is_no_caller() -> None:
    class Elsewhere(Proxy):
        def weights(self, _host: str) -> dict[str, int] | None:
            return None

    watch = Watch([Elsewhere(Api(), Pod("a", "b"))], "half-plus", "models")
    result = watch.wait({"v1": 100}, 5)
    assert result == Convergence({"v1": 100}, {}, (Pod("a", "b"),))
    assert describe(result) == ["no proxy has a route for the model, so nobody in the mesh can call it"]


def test_callers_are_those_with_a_proxy_and_the_rest_is_named() -> None:
    found = callers(Api())
    assert found.sidecars == (Pod("callers", "new"), Pod("callers", "old"))
    assert found.gateways == (Pod("istio-system", "ingress"),)
    assert found.outside == {"batch/plain": 1}
    assert found.revisions == {
        "1-31-0": {"callers/new": 1},
        "default": {"callers/old": 1, "istio-system/ingress": 1},
    }
