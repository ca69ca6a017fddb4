"""The alerts under promtool: each fires for its fault, and all are quiet while things are well."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.metrics import alerts, series
from tests.engine.metrics_bench import Bench, counter

pytestmark = pytest.mark.engine
NAMES = [rule["alert"] for group in alerts.groups(15) for rule in group["rules"]]
V1, V2 = ({"severity": "", "namespace": "models", "model": "inception", "version": version} for version in ("v1", "v2"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench("envoy", tmp_path)


def labels(version: dict[str, str], severity: str) -> dict[str, str]:
    return {**version, "severity": severity}


def well(bench: Bench, unavailable: str | None = None) -> None:
    """Feed what a mesh without a fault has, requests aside: three proxies, two of them pods of the model."""
    bench.feed('up{job="tfserving-proxies", pod="caller-1"}', "1x60")
    for version in ("v1", "v2"):
        bench.feed(f'up{{job="tfserving-proxies", {bench.pod(version)}}}', "1x60")
        bench.pods(version, 2, available=1 if version == unavailable else 2)
    bench.feed('pilot_xds{job="tfserving-istiod"}', "3x60")
    ca_ends(bench, intermediate_days=15, root_days=61)


def ca_ends(bench: Bench, *, intermediate_days: int, root_days: int, istiod: str = "istiod-1") -> None:
    """Feed when one istiod says that its CA ends, counted from the beginning of the test."""
    for metric, days in (("cert_chain", intermediate_days), ("root_cert", root_days)):
        name = f'citadel_server_{metric}_expiry_timestamp{{job="tfserving-istiod", pod="{istiod}"}}'
        bench.feed(name, f"{days * 86400}x60")


def test_all_are_quiet_while_things_are_well(bench: Bench) -> None:
    well(bench)
    bench.route(v1=95, v2=5)
    bench.called("v1", counter(95))
    bench.called("v1", counter(0.5), code="503", pod="caller-2")
    bench.called("v2", counter(5))
    for name in NAMES:
        for minutes in (1, 5, 10):
            bench.expect_alert(name, [], minutes)
    bench.hold()


def test_all_are_quiet_without_a_request(bench: Bench) -> None:
    well(bench)
    bench.route(v1=95, v2=5)
    for name in NAMES:
        bench.expect_alert(name, [])
    bench.hold()


def test_a_share_off_its_weight_is_told_of_both_versions(bench: Bench) -> None:
    well(bench)
    bench.route(v1=95, v2=5)
    bench.called("v1", counter(75))
    bench.called("v2", counter(25))
    bench.expect_alert("ModelShareOffWeight", [], minutes=3)
    bench.expect_alert("ModelShareOffWeight", [labels(V1, "warning"), labels(V2, "warning")])
    bench.hold()


def test_a_request_to_a_version_of_weight_0_is_off_however_few_there_are(bench: Bench) -> None:
    well(bench)
    bench.route(v1=100, v2=0)
    bench.called("v1", counter(0.9))
    bench.called("v2", counter(0.1))
    bench.expect_alert("ModelShareOffWeight", [labels(V1, "warning"), labels(V2, "warning")])
    bench.hold()


def test_a_share_is_not_off_by_the_chance_of_few_requests(bench: Bench) -> None:
    well(bench)
    bench.route(v1=90, v2=10)
    bench.called("v1", counter(0.4))
    bench.called("v2", counter(0.1))  # 20 % of 30 requests a minute
    bench.expect_alert("ModelShareOffWeight", [])
    bench.hold()


def test_matches_may_take_a_share_past_the_weights(bench: Bench) -> None:
    well(bench)
    bench.route(exceptions=1, v1=95, v2=5)
    bench.called("v1", counter(75))
    bench.called("v2", counter(25))
    bench.expect_alert("ModelShareOffWeight", [])
    bench.hold()


def test_a_canary_that_fails_more_than_the_stable_version_is_told_of(bench: Bench) -> None:
    well(bench)
    bench.route(v1=90, v2=10)
    bench.called("v1", counter(90))
    bench.called("v2", counter(9))
    bench.called("v2", counter(1), code="500")
    bench.expect_alert("ModelVersionErrorsAboveOthers", [], minutes=1)
    bench.expect_alert("ModelVersionErrorsAboveOthers", [labels(V2, "critical")])
    bench.hold()


@pytest.mark.parametrize(
    ("revision", "code", "flags", "version"), [("v2", "504", "UT", "v2"), ("latest", "503", "UH", series.NO_VERSION)]
)
def test_a_canary_that_hangs_or_is_gone_is_told_of(
    tmp_path: Path, revision: str, code: str, flags: str, version: str
) -> None:
    bench = Bench("istio", tmp_path)
    well(bench)
    bench.route(v1=90, v2=10)
    bench.called("v1", counter(90))
    bench.unanswered(revision, counter(10), code, flags)
    bench.expect_alert("ModelVersionErrorsAboveOthers", [labels({**V2, "version": version}, "critical")])
    bench.hold()


def test_versions_that_fail_alike_are_no_canarys_fault(bench: Bench) -> None:
    well(bench)
    bench.route(v1=90, v2=10)
    for version, rate in (("v1", 90.0), ("v2", 10.0)):
        bench.called(version, counter(0.9 * rate))
        bench.called(version, counter(0.1 * rate), code="500")
    bench.expect_alert("ModelVersionErrorsAboveOthers", [])
    bench.hold()


def test_a_version_that_is_not_available_is_told_of(bench: Bench) -> None:
    well(bench, unavailable="v2")
    bench.route(v1=100, v2=0, v3=0)
    v3 = {**V2, "version": "v3"}  # without a pod at all
    bench.expect_alert("ModelVersionNotAvailable", [], minutes=4)
    bench.expect_alert("ModelVersionNotAvailable", [labels(V2, "warning"), labels(v3, "warning")])
    bench.hold()


def test_a_proxy_that_istiod_does_not_know_is_told_of(bench: Bench) -> None:
    well(bench)
    bench.feed('up{job="tfserving-proxies", pod="caller-2"}', "1x60")
    bench.expect_alert("MeshProxiesOutOfSync", [{"severity": "warning"}])
    bench.hold()


def test_a_configuration_that_a_proxy_refuses_is_told_of(bench: Bench) -> None:
    well(bench)
    bench.feed('pilot_total_xds_rejects{job="tfserving-istiod"}', "0x20 1+1x40")
    bench.expect_alert("MeshConfigRejected", [], minutes=4)
    bench.expect_alert("MeshConfigRejected", [{"severity": "warning"}])
    bench.hold()


def test_a_ca_that_ends_soon_is_told_of_even_if_one_istiod_has_the_next(bench: Bench) -> None:
    well(bench)
    ca_ends(bench, intermediate_days=14, root_days=60, istiod="istiod-2")
    bench.expect_alert("MeshIntermediateEnds", [], minutes=4)
    bench.expect_alert("MeshIntermediateEnds", [{"severity": "critical"}])
    bench.expect_alert("MeshRootEnds", [{"severity": "warning"}])
    bench.hold()


def test_weights_that_nobody_tells_are_told_of(bench: Bench) -> None:
    well(bench)
    bench.expect_alert("ModelWeightsUnknown", [{"severity": "warning"}])
    bench.hold()


def test_each_alert_has_a_test_in_which_it_fires() -> None:
    tested = Path(__file__).read_text()
    assert [name for name in NAMES if f'expect_alert("{name}", [{{' not in tested.replace("labels(", "{")] == []
