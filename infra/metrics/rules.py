"""The recording rules: the only place, with `sources`, that knows the raw metrics' names. No Pulumi import.

Requests are first summed for each proxy, and rates are taken of these sums: all that one proxy counts starts anew at
once, while a sum over proxies would fall whenever a pod goes, and a rate would take the fall for a new start.
"""

from collections.abc import Iterator
from typing import Any, Final, Literal

from infra import naming
from infra.metrics import comparisons, series, sources

Telemetry = Literal["istio", "envoy"]
Rule = dict[str, Any]

PROXIES_JOB: Final = "tfserving-proxies"
SERVERS_JOB: Final = "tfserving-servers"
EXPORTER_JOB: Final = "tfserving-exporter"
ISTIOD_JOB: Final = "tfserving-istiod"

_VERSION: Final = ", ".join(series.VERSION_LABELS)
_SIDE: Final = ", ".join(series.SIDE_LABELS)
_QUANTILES: Final = ((series.LATENCY_P50, "0.5"), (series.LATENCY_P90, "0.9"), (series.LATENCY_P99, "0.99"))


def groups(namespace: str, telemetry: Telemetry, interval: int) -> list[dict[str, Any]]:
    """Return the groups of recording rules, as a rule file has them.

    Args:
        namespace: the models'.
        telemetry: what the mesh's proxies count: Istio's standard metrics, or Envoy's own.
        interval: seconds between two evaluations; as between two scrapes.
    """
    named = {"models": _models(namespace, telemetry), "servers": _servers(namespace), "mesh": _mesh()}
    recorded = [{"name": name, "interval": f"{interval}s", "rules": list(rules)} for name, rules in named.items()]
    return [*recorded, comparisons.group(interval)]


def _models(namespace: str, telemetry: Telemetry) -> Iterator[Rule]:
    yield _rule(series.WEIGHT, f"max by ({_VERSION}) (tfserving_route_weight)")
    yield _rule(series.EXCEPTIONS, "max by (namespace, model) (tfserving_route_exceptions)")
    for side, source in {"istio": sources.istio, "envoy": sources.envoy}[telemetry](namespace).items():
        yield _rule(series.REQUESTS_TOTAL, source.requests, side)
        nothing = f"0 * {series.selector(series.REQUESTS_TOTAL, side=side)}"
        yield _rule(series.ERRORS_TOTAL, f"{source.errors} or sum by ({sources.PER_PROXY}) ({nothing})", side)
        yield _rule(series.LATENCY_BUCKETS_TOTAL, source.latency, side)
        if side == series.SOURCE:  # a quota's refusal never reaches what Envoy counts at the version's own proxy
            yield _rule(series.LIMITED_TOTAL, source.limited, side)
    yield _rule(series.REQUESTS, _filled(f"sum by ({_SIDE}) (rate({series.REQUESTS_TOTAL}[1m]))"))
    yield _rule(series.ERRORS, _filled(f"sum by ({_SIDE}) (rate({series.ERRORS_TOTAL}[1m]))"))
    yield _rule(series.LIMITED, f"sum by ({_VERSION}) (rate({series.LIMITED_TOTAL}[1m])) or 0 * {series.WEIGHT}")
    yield _rule(series.ERROR_RATIO, f"{series.ERRORS} / ({series.REQUESTS} > 0)")
    yield _rule(series.LATENCY_BUCKETS, f"sum by ({_SIDE}, le) (rate({series.LATENCY_BUCKETS_TOTAL}[1m]))")
    for name, quantile in _QUANTILES:
        # without requests it is no number, which is not at least 0
        yield _rule(name, f"histogram_quantile({quantile}, {series.LATENCY_BUCKETS}) >= 0")
    whole = f"sum without (version) ({series.REQUESTS})"
    yield _rule(series.SHARE, f"{series.REQUESTS} / ignoring (version) group_left () ({whole} > 0)")
    waiting = sources.outbound(
        "envoy_cluster_upstream_rq_(pending_)?active", namespace, f"{naming.GRPC_PORT}|{naming.HTTP_PORT}"
    )
    yield _rule(series.IN_FLIGHT, f"sum by ({_VERSION}) ({waiting}) or 0 * {series.WEIGHT}")
    pods = f"sum by ({_VERSION}) (tfserving_pods_available) / (sum by ({_VERSION}) (tfserving_pods) > 0)"
    yield _rule(series.LOADED, f"{pods} or 0 * {series.WEIGHT}")


def _servers(namespace: str) -> Iterator[Rule]:
    """Yield what TF Serving counts itself; its times are microseconds."""

    def rate(metric: str) -> str:
        return f'rate({{__name__=":tensorflow:serving:{metric}", namespace="{namespace}", model!=""}}[1m])'

    yield _rule(series.SERVER_REQUESTS, f"sum by ({_VERSION}, status) ({rate('request_count')})")
    for name, metric, quantile in (
        (series.SERVER_LATENCY_P50, "request_latency_bucket", "0.5"),
        (series.SERVER_LATENCY_P99, "request_latency_bucket", "0.99"),
        (series.SERVER_RUNTIME_P99, "runtime_latency_bucket", "0.99"),
    ):
        buckets = f"sum by ({_VERSION}, le) ({rate(metric)})"
        yield _rule(name, f"histogram_quantile({quantile}, {buckets}) / 1000 >= 0")
    loads = f'{{__name__=":tensorflow:cc:saved_model:load_attempt_count", namespace="{namespace}", model!=""}}'
    yield _rule(series.SERVER_LOADS, f"sum by ({_VERSION}, status) ({loads})")


def _mesh() -> Iterator[Rule]:
    yield _rule(series.PROXIES, f'count(up{{job="{PROXIES_JOB}"}} == 1)')
    yield _rule(series.CONNECTED, f'sum(pilot_xds{{job="{ISTIOD_JOB}"}})')
    # a counter that nothing has raised yet is not there
    rejected = f'sum(rate(pilot_total_xds_rejects{{job="{ISTIOD_JOB}"}}[5m]))'
    yield _rule(series.REJECTS, f"{rejected} or 0 * {series.CONNECTED}")
    took = f'sum by (le) (rate(pilot_proxy_convergence_time_bucket{{job="{ISTIOD_JOB}"}}[5m]))'
    for name, metric in ((series.INTERMEDIATE_LEFT, "cert_chain"), (series.ROOT_LEFT, "root_cert")):
        yield _rule(name, f'min(citadel_server_{metric}_expiry_timestamp{{job="{ISTIOD_JOB}"}}) - time()')
    yield _rule(series.CONVERGENCE_P99, f"histogram_quantile(0.99, {took}) >= 0")


def _rule(record: str, expr: str, side: str | None = None) -> Rule:
    return {"record": record, "expr": expr, **({"labels": {"side": side}} if side else {})}


def _filled(vector: str) -> str:
    """Return a vector with 0 for the versions that a route lists and that it has nothing of."""
    sides = (
        f'label_replace(0 * {series.WEIGHT}, "side", "{side}", "", "")' for side in (series.SOURCE, series.DESTINATION)
    )
    return " or ".join((vector, *sides))
