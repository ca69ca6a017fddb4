import json
import socket
import subprocess
import sys
import time
import urllib.request
from typing import Any

from infra.config_models import Match
from infra.metrics import exporter
from infra.metrics.exporter import page, pod_samples, route_samples
from infra.routing import RouteRuleArgs, virtual_service
from infra.settings import parse


def service(host: str = "", **model: Any) -> dict[str, Any]:
    """The VirtualService that the program makes of a model with 75 and 25 percent."""
    given = {"path": "/models/m", "callers": "any", "versions": {"v1": {"model": 1}, "v2": {"model": 2}}, **model}
    config = {"p:models": json.dumps({"inception": given}), "p:v2Weight": "25"}
    more = {"p:host": host, "p:plainHttp": "true"} if host else {}
    settings = parse({**config, **more}, project="p", stack="s")
    spec = virtual_service(RouteRuleArgs(settings.models[0], "models", settings.host))
    return {"metadata": {"name": "inception", "namespace": "models"}, "spec": spec}


def weights(*services: dict[str, Any]) -> dict[str, int]:
    return {labels["version"]: value for name, labels, value in route_samples(services) if name.endswith("weight")}


def exceptions(*services: dict[str, Any]) -> list[int]:
    return [value for name, _, value in route_samples(services) if name.endswith("exceptions")]


def test_the_weights_are_those_of_the_rule_that_splits() -> None:
    matched = service(matches=[Match(header="x-version", value="v2", version="v2").model_dump(exclude_none=True)])
    for each in (service(), service("models.example.com"), matched):
        assert weights(each) == {"v1": 75, "v2": 25}


def test_the_gateways_rules_are_not_the_meshs() -> None:
    edited = service("models.example.com")
    edited["spec"]["http"][-1]["route"][0]["weight"] = 0
    assert weights(edited) == {"v1": 75, "v2": 25}
    edited["spec"]["http"][0]["route"][0]["weight"] = 1
    assert weights(edited)["v1"] == 1


def test_only_what_goes_past_the_weights_is_an_exception() -> None:
    assert exceptions(service()) == [0]
    assert exceptions(service("models.example.com")) == [0]
    assert exceptions(service(matches=[{"cookie": "group", "value": "b", "version": "v2"}])) == [1]
    assert exceptions(service("models.example.com", matches=[{"header": "a", "value": "b", "version": "v2"}])) == [1]
    assert exceptions(service(mirror={"version": "v2", "percent": 10})) == [1]


def test_a_weight_of_0_that_the_api_leaves_out_is_0_and_a_single_version_has_all() -> None:
    def made(*routes: dict[str, Any]) -> dict[str, Any]:
        return {"metadata": {"name": "m", "namespace": "models"}, "spec": {"http": [{"route": list(routes)}]}}

    v1, v2 = ({"destination": {"host": "m", "subset": version}} for version in ("v1", "v2"))
    assert weights(made({**v1, "weight": 100}, v2)) == {"v1": 100, "v2": 0}
    assert weights(made(v1)) == {"v1": 100}
    assert list(route_samples([made({"destination": {"host": "grafana"}})])) == []


def test_pods_count_as_available_when_they_are_ready_and_not_at_all_when_they_leave() -> None:
    def pod(version: str, ready: str, **metadata: str) -> dict[str, Any]:
        labels = {"app": "m", "version": version}
        conditions = [{"type": "ContainersReady", "status": "True"}, {"type": "Ready", "status": ready}]
        return {
            "metadata": {"namespace": "models", "labels": labels, **metadata},
            "status": {"conditions": conditions},
        }

    pods = [pod("v1", "True"), pod("v1", "False"), pod("v2", "False"), pod("v1", "True", deletionTimestamp="now")]
    found = {(name, labels["version"]): value for name, labels, value in pod_samples(pods)}
    assert found == {
        ("tfserving_pods", "v1"): 2,
        ("tfserving_pods_available", "v1"): 1,
        ("tfserving_pods", "v2"): 1,
        ("tfserving_pods_available", "v2"): 0,
    }


def test_it_answers_probes_and_ends_when_it_is_told_to() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # isolated, as in its pod: modules beside it have names of the library's
    with subprocess.Popen([sys.executable, "-I", exporter.__file__, "models", str(port), "tfserving-mesh"]) as process:
        deadline = time.monotonic() + 30
        while not answers(f"http://127.0.0.1:{port}/healthz"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.terminate()
        assert process.wait(10) == 0


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 # on this machine
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_page_is_prometheus_text() -> None:
    labels = {"namespace": "models", "model": 'a"b'}
    assert page([("g", labels, 5), ("h", {}, 1), ("g", {}, 2)]) == (
        '# TYPE g gauge\ng{namespace="models",model="a\\"b"} 5\ng{} 2\n# TYPE h gauge\nh{} 1\n'
    )
