"""A real Prometheus counts real requests: what it records is what was sent."""

from __future__ import annotations

import json
import math
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from scipy.stats import binom

from infra.metrics import series
from infra.metrics.dashboards import dashboards
from tests.e2e.conftest import MODEL, Cluster, Stack, settle, wait_for
from tests.e2e.outside import Outside
from tests.e2e.prometheus import INTERVAL, MONITORING, NAMESPACE, Prometheus

pytestmark = pytest.mark.e2e
HOST = "models.sandbox.example"
REQUESTS = 10_000
WEIGHTS = {"v1": 75, "v2": 25}
# A scrape and an evaluation, of which neither waits for the other, and one more for histograms.
RECORDED_AFTER = 3 * INTERVAL


@pytest.fixture(scope="module")
def prometheus(deployed: Stack, cluster: Cluster) -> Iterator[Prometheus]:
    """Prometheus, with the stack's model measured; taken away after the tests."""
    before = deployed.file.read_text()
    deployed.set(monitoring=dict(MONITORING), v2Weight=WEIGHTS["v2"], host=HOST, tls={"kind": "ca"})
    try:
        deployed.up()
        restart_caller(cluster)
        settle(cluster, WEIGHTS)
        server = Prometheus(f"http://{pod_address(cluster)}:9090")
        wait_for(lambda: all_are_up(server), "all targets to be scraped")
        count_from_here(server, cluster)
        yield server
    finally:
        deployed.file.write_text(before)
        deployed.up()


def restart_caller(cluster: Cluster) -> None:
    """Start the calling pod anew: a proxy hears at its start which statistics to keep."""
    old = cluster.caller()
    body = {"spec": {"template": {"metadata": {"annotations": {"restarted": str(time.time())}}}}}
    cluster.apps.patch_namespaced_deployment("caller", "callers", body)

    def renewed() -> bool:
        pods = cluster.core.list_namespaced_pod("callers", label_selector="app=caller").items
        return len(pods) == 1 and pods[0].metadata.name != old and pods[0].status.phase == "Running"

    wait_for(renewed, "a new calling pod", 120)


def count_from_here(server: Prometheus, cluster: Cluster) -> None:
    """Have the new calling pod's series recorded before a test counts.

    Envoy has no counter of an answer that it never had, and a rate sees nothing of what a series begins with: all of a
    quick load's requests may be in it.
    """
    cluster.count(200)
    mine = series.selector(series.REQUESTS_TOTAL, model=MODEL, side=series.SOURCE, pod=cluster.caller())
    wait_for(lambda: server.by("version", mine).keys() == WEIGHTS.keys(), "the calling pod's requests to be recorded")
    # What the next test counts must not be in one interval with these.
    time.sleep(2 * INTERVAL)


def pod_address(cluster: Cluster) -> str:
    (pod,) = cluster.core.list_namespaced_pod(NAMESPACE, label_selector="app=prometheus").items
    return str(pod.status.pod_ip)


def all_are_up(server: Prometheus) -> bool:
    health = server.targets()
    jobs = {"tfserving-proxies", "tfserving-istiod", "tfserving-exporter"}
    return jobs <= health.keys() and all(set(each) == {"up"} for each in health.values())


def test_the_recorded_series_carry_the_load_that_was_sent(prometheus: Prometheus, cluster: Cluster) -> None:
    began = time.time()
    sent = cluster.count(REQUESTS)
    time.sleep(RECORDED_AFTER)
    for side in (series.SOURCE, series.DESTINATION):
        elapsed = math.ceil(time.time() - began) + INTERVAL
        grown = prometheus.by(
            "version", series.since(series.REQUESTS_TOTAL, elapsed, ["version"], model=MODEL, side=side)
        )
        total = series.selector(series.REQUESTS_TOTAL, model=MODEL, side=side)
        counted = dict.fromkeys(WEIGHTS, 0.0)
        for labels, samples in prometheus.samples(total, began - 12 * INTERVAL, time.time(), INTERVAL):
            counted[labels["version"]] += series.counted(samples, began)
        for version in WEIGHTS:
            assert grown[version] == pytest.approx(sent[version], rel=0.01), (side, version)
            assert counted[version] == pytest.approx(sent[version], rel=0.01), (side, version)

    # The share on the dashboard, the one that the client counted, and the configured weight are one.
    share = prometheus.by("version", series.selector(series.SHARE, model=MODEL, side=series.SOURCE))
    weight = prometheus.by("version", series.selector(series.WEIGHT, model=MODEL))
    assert weight == WEIGHTS
    for version in WEIGHTS:
        assert share[version] == pytest.approx(sent[version] / REQUESTS, abs=0.01)
        low, high = binom.interval(0.999, REQUESTS, WEIGHTS[version] / 100)
        assert low <= sent[version] <= high
        assert low <= share[version] * REQUESTS <= high


def test_every_panel_has_something_to_show(prometheus: Prometheus, cluster: Cluster) -> None:
    cluster.count(1000)
    time.sleep(RECORDED_AFTER)
    empty = []
    for name, text in dashboards().items():
        for panel in json.loads(text)["panels"]:
            for target in panel["targets"]:
                values = prometheus.query(target["expr"].replace("$model", ".+")).values()
                if not values or any(math.isnan(value) for value in values):
                    empty.append((name, panel["title"], target["expr"]))
    assert empty == []


def test_every_rule_and_target_is_well(prometheus: Prometheus) -> None:
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    assert all(set(health) == {"up"} for health in prometheus.targets().values())


def test_a_weight_that_is_moved_by_hand_is_told_at_once(prometheus: Prometheus, cluster: Cluster) -> None:
    route = cluster.route()
    group = ("networking.istio.io", "v1", "models", "virtualservices", MODEL)
    first, second = route["spec"]["http"][0]["route"]
    first["weight"], second["weight"] = 60, 40
    cluster.objects.patch_namespaced_custom_object(*group, {"spec": route["spec"]})
    moved = {"v1": 60.0, "v2": 40.0}
    weight = series.selector(series.WEIGHT, model=MODEL)
    try:
        wait_for(lambda: prometheus.by("version", weight) == moved, "the weights on the dashboard", 4 * INTERVAL)
    finally:
        first["weight"], second["weight"] = WEIGHTS["v1"], WEIGHTS["v2"]
        cluster.objects.patch_namespaced_custom_object(*group, {"spec": route["spec"]})


def test_a_version_whose_model_is_available_is_loaded(prometheus: Prometheus) -> None:
    wanted = dict.fromkeys(WEIGHTS, 1.0)
    loaded = series.selector(series.LOADED, model=MODEL)
    wait_for(lambda: prometheus.by("version", loaded) == wanted, "both versions to be loaded")


def grafana(outside: Outside, path: str, password: str | None = None) -> tuple[int, Any]:
    """Ask Grafana through the ingress gateway, as a browser outside of the cluster would."""
    known = {} if password is None else {"Authorization": f"Basic {b64encode(f'admin:{password}'.encode()).decode()}"}
    answer = outside.ask(path, headers=known)
    return answer.status, json.loads(answer.body) if answer.status == 200 else None


@pytest.mark.usefixtures("prometheus")
def test_grafana_is_at_the_host_and_shows_the_dashboards_to_who_has_the_password(
    deployed: Stack, cluster: Cluster
) -> None:
    outside = Outside.of(deployed, cluster, HOST)
    wait_for(lambda: grafana(outside, "/grafana/api/health")[0] == 200, "Grafana at the host")
    assert grafana(outside, "/grafana/api/search")[0] == 401
    assert grafana(outside, "/grafana/api/search", "guessed")[0] == 401
    shown = deployed.run("stack", "output", "monitoring", "--json", "--show-secrets")
    access = json.loads(shown.text)
    assert access["grafanaUrl"] == f"https://{HOST}/grafana"
    code, found = grafana(outside, "/grafana/api/search", access["grafanaPassword"])
    assert code == 200
    assert {board["title"] for board in found} == {"Rollout", "Mesh", "Serving"}
    proxied = "/grafana/api/datasources/proxy/uid/prometheus/api/v1/query"
    code, answer = grafana(outside, f"{proxied}?query={series.WEIGHT}", access["grafanaPassword"])
    assert code == 200
    assert {each["metric"]["version"] for each in answer["data"]["result"]} == set(WEIGHTS)
    assert access["grafanaPassword"] not in deployed.run("stack", "output", "--json").text
