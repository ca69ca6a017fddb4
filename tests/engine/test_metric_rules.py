"""The recording rules under promtool: raw samples in, recorded series out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from infra.metrics import series
from infra.metrics.rules import Telemetry
from tests.engine.metrics_bench import Bench, counter, recorded

BOTH = pytest.mark.parametrize("telemetry", ["istio", "envoy"])
pytestmark = pytest.mark.engine


@pytest.fixture
def bench(tmp_path: Path) -> Callable[[Telemetry], Bench]:
    return lambda telemetry: Bench(telemetry, tmp_path)


@BOTH
def test_both_kinds_of_proxies_give_the_same_series(bench: Callable[[Telemetry], Bench], telemetry: Telemetry) -> None:
    on = bench(telemetry)
    on.route(v1=75, v2=25)
    on.called("v1", counter(3))
    on.called("v2", counter(0.9))
    on.called("v2", counter(0.1), code="503")
    on.answered("v1", counter(3))
    on.answered("v2", counter(0.9))
    on.expect(series.REQUESTS, {recorded(series.REQUESTS, v, s): r for v, s, r in (
        ("v1", "source", 3), ("v2", "source", 1), ("v1", "destination", 3), ("v2", "destination", 0.9))})  # fmt: skip
    on.expect(series.ERRORS, {recorded(series.ERRORS, v, s): r for v, s, r in (
        ("v1", "source", 0), ("v2", "source", 0.1), ("v1", "destination", 0), ("v2", "destination", 0))})  # fmt: skip
    on.expect(f'round({series.ERROR_RATIO}{{side="source"}}, 0.001)', {
        recorded("", "v1"): 0, recorded("", "v2"): 0.1})  # fmt: skip
    on.expect(
        f'{series.SHARE}{{side="source"}}', {recorded(series.SHARE, "v1"): 0.75, recorded(series.SHARE, "v2"): 0.25}
    )
    on.expect(f'{series.REQUESTS_TOTAL}{{version="v2", side="source"}}', {
        recorded(series.REQUESTS_TOTAL, "v2", pod="caller-1"): 600})  # fmt: skip
    on.hold()


@BOTH
def test_a_grpc_status_that_is_the_servers_failure_is_an_error(
    bench: Callable[[Telemetry], Bench], telemetry: Telemetry
) -> None:
    on = bench(telemetry)
    on.called("v1", counter(1), grpc="0", pod="caller-1")
    on.called("v1", counter(0.5), grpc="14", pod="caller-2")
    on.called("v1", counter(0.25), grpc="3", pod="caller-3")  # INVALID_ARGUMENT: the caller's own
    failed = {
        recorded(series.ERRORS_TOTAL, "v1", pod=pod): count
        for pod, count in (("caller-1", 0), ("caller-2", 300), ("caller-3", 0))
    }
    on.expect(f'{series.ERRORS_TOTAL}{{side="source"}}', failed)
    on.expect(f'{series.REQUESTS}{{side="source"}}', {recorded(series.REQUESTS, "v1"): 1.75})
    on.hold()


def test_a_version_that_does_not_answer_has_its_errors(bench: Callable[[Telemetry], Bench]) -> None:
    on = bench("istio")
    on.route(v1=90, v2=10)
    on.called("v1", counter(9))
    on.called("v2", counter(0.5))
    on.unanswered("v2", counter(0.25), code="504", flags="UT")
    on.unanswered("v2", counter(0.15), code="503", flags="UF")
    on.unanswered("v2", counter(0.1), code="200", flags="UC", grpc="14")
    for metric, v1, v2 in ((series.REQUESTS, 9, 1), (series.ERRORS, 0, 0.5)):
        on.expect(f'{metric}{{side="source"}}', {recorded(metric, "v1"): v1, recorded(metric, "v2"): v2})
    on.expect(f'{series.REQUESTS_TOTAL}{{version="v2"}}', {
        recorded(series.REQUESTS_TOTAL, "v2", pod="caller-1"): 600})  # fmt: skip
    on.hold()


def test_requests_that_found_no_pod_are_counted_though_their_version_is_unknown(
    bench: Callable[[Telemetry], Bench],
) -> None:
    on = bench("istio")
    on.route(v1=90, v2=10)
    on.called("v1", counter(9))
    on.unanswered("latest", counter(0.75), code="503", flags="UH")
    on.unanswered("latest", counter(0.25), code="504", flags="UT")  # no connection in time
    of = series.NO_VERSION
    on.expect(f'{series.ERRORS_TOTAL}{{version="{of}"}}', {recorded(series.ERRORS_TOTAL, of, pod="caller-1"): 600})
    on.expect(f'{series.ERROR_RATIO}{{version="{of}"}}', {recorded(series.ERROR_RATIO, of): 1})
    on.expect(f'{series.SHARE}{{side="source", version="v1"}}', {recorded(series.SHARE, "v1"): 0.9})
    on.hold()


@BOTH
def test_what_a_quota_refuses_is_counted_and_no_error(
    bench: Callable[[Telemetry], Bench], telemetry: Telemetry
) -> None:
    on = bench(telemetry)
    on.route(v1=100, v2=0)
    on.called("v1", counter(3))
    on.called("v1", counter(1), code="429")
    on.called("v1", counter(0.5), grpc="8", pod="caller-2")
    on.expect(series.LIMITED, {recorded(series.LIMITED, v, None): rate for v, rate in (("v1", 1.5), ("v2", 0))})
    on.expect(f'{series.REQUESTS}{{side="source", version="v1"}}', {recorded(series.REQUESTS, "v1"): 4.5})
    on.expect(f'{series.ERRORS}{{side="source", version="v1"}}', {recorded(series.ERRORS, "v1"): 0})
    on.hold()


@BOTH
def test_quantiles_are_in_milliseconds_and_absent_without_requests(
    bench: Callable[[Telemetry], Bench], telemetry: Telemetry
) -> None:
    on = bench(telemetry)
    on.route(v1=100, v2=0)
    for le, rate in (("5", 0.0), ("10", 0.9), ("100", 1.0), ("+Inf", 1.0)):
        on.took("v1", le, counter(rate))
        on.took("v2", le, "0x60")
    on.expect(f"round({series.LATENCY_P90}, 0.01)", {recorded("", "v1"): 10})
    on.expect(f"round({series.LATENCY_P50}, 0.01)", {recorded("", "v1"): 7.78})
    on.hold()


@BOTH
def test_a_pod_that_goes_takes_nothing_back(bench: Callable[[Telemetry], Bench], telemetry: Telemetry) -> None:
    on = bench(telemetry)
    on.called("v1", counter(1), pod="caller-1")
    on.called("v1", "0+150x20 stale", pod="caller-2")
    on.expect(f'{series.REQUESTS}{{side="source"}}', {recorded(series.REQUESTS, "v1"): 1}, minutes=8)
    on.expect(
        f"round({series.since(series.REQUESTS_TOTAL, 600, side='source')})",
        {recorded("", "v1"): 600 + 3000},
    )
    on.hold()


@BOTH
def test_a_version_without_a_request_is_at_nothing(bench: Callable[[Telemetry], Bench], telemetry: Telemetry) -> None:
    on = bench(telemetry)
    on.route(v1=100, v2=0)
    on.called("v1", counter(1))
    on.expect(f'{series.REQUESTS}{{version="v2"}}', {
        recorded(series.REQUESTS, "v2", side): 0 for side in ("source", "destination")})  # fmt: skip
    on.expect(f'{series.SHARE}{{version="v2"}}', {recorded(series.SHARE, "v2"): 0})
    on.expect(f'{series.ERROR_RATIO}{{version="v2"}}', {})
    on.hold()


@BOTH
def test_what_a_caller_waits_for_is_in_flight(bench: Callable[[Telemetry], Bench], telemetry: Telemetry) -> None:
    on = bench(telemetry)
    for pod, active, pending in (("caller-1", 3, 1), ("caller-2", 2, 0)):
        labels = f'pod="{pod}", cluster_name="outbound|8501|v1|inception.models.svc.cluster.local"'
        on.feed(f"envoy_cluster_upstream_rq_active{{{labels}}}", f"{active}x60")
        on.feed(f"envoy_cluster_upstream_rq_pending_active{{{labels}}}", f"{pending}x60")
    on.expect(series.IN_FLIGHT, {recorded(series.IN_FLIGHT, "v1", None): 6})
    on.hold()


@BOTH
def test_loaded_is_the_share_of_pods_that_are_available(
    bench: Callable[[Telemetry], Bench], telemetry: Telemetry
) -> None:
    on = bench(telemetry)
    on.route(v1=100, v2=0, v3=0)
    on.pods("v1", 2, available=1)
    on.pods("v2", 1, available=0)
    # v3 has no pod at all
    wanted = {"v1": 0.5, "v2": 0, "v3": 0}
    on.expect(series.LOADED, {recorded(series.LOADED, version, None): value for version, value in wanted.items()})
    on.hold()


def test_what_tf_serving_counts_itself_is_by_version(bench: Callable[[Telemetry], Bench]) -> None:
    on = bench("istio")
    own = on.pod("v1")
    on.feed(f'{{__name__=":tensorflow:serving:request_count", {own}, model_name="inception", status="OK"}}', counter(2))
    for le, rate in (("1800", 1.0), ("+Inf", 1.0)):
        on.feed(
            f'{{__name__=":tensorflow:serving:request_latency_bucket", {own}, API="predict", le="{le}"}}', counter(rate)
        )
    on.feed(f'{{__name__=":tensorflow:cc:saved_model:load_attempt_count", {own}, status="success"}}', "1x60")
    on.expect(series.SERVER_REQUESTS, {recorded(series.SERVER_REQUESTS, "v1", None, status="OK"): 2})
    on.expect(f"round({series.SERVER_LATENCY_P50}, 0.01)", {recorded("", "v1", None): 0.9})
    on.expect(series.SERVER_LOADS, {recorded(series.SERVER_LOADS, "v1", None, status="success"): 1})
    on.hold()


def test_promtool_would_say_what_does_not_hold(bench: Callable[[Telemetry], Bench]) -> None:
    on = bench("istio")
    on.called("v1", counter(1))
    on.expect(f'{series.REQUESTS}{{side="source"}}', {recorded(series.REQUESTS, "v1"): 2})
    done = on.check()
    assert done.returncode != 0
    assert "FAILED" in done.stdout + done.stderr
