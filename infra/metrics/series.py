"""The recorded series: the names and labels that dashboards, alerts and gates read. No Pulumi import.

`infra.metrics.rules` writes them, and it alone knows the raw metrics they come from. Each series of a version has the
labels namespace, model, version and, where requests are counted, side: "source" as callers' proxies see it, and so
with what never reached a pod, or "destination" as the version's own proxies see it. A version that a route lists has
its series at 0 before its first request. What reached no version at all has the version "unknown".
"""

from collections.abc import Iterable, Sequence
from typing import Final

SOURCE: Final = "source"
DESTINATION: Final = "destination"
NO_VERSION: Final = "unknown"  # of requests that found no pod, or no connection to one in time

# Requests, errors and latency over the last minute.
REQUESTS: Final = "model_version:requests:rate1m"  # per second
# Per second: answered 5xx, not answered, or with a gRPC status that is the server's failure.
ERRORS: Final = "model_version:errors:rate1m"
ERROR_RATIO: Final = "model_version:errors:ratio1m"  # 0-1, absent without requests
LATENCY_BUCKETS: Final = "model_version:latency_ms_bucket:rate1m"  # per second, cumulative, by le in milliseconds
LATENCY_P50: Final = "model_version:latency_ms:p50_1m"  # milliseconds, absent without requests
LATENCY_P90: Final = "model_version:latency_ms:p90_1m"
LATENCY_P99: Final = "model_version:latency_ms:p99_1m"
SHARE: Final = "model_version:share:ratio1m"  # 0-1 of the model's requests, absent without any

# Counts since each proxy started, with the label pod: the proxy that counted. See `counted`.
REQUESTS_TOTAL: Final = "model_version:requests:total"
ERRORS_TOTAL: Final = "model_version:errors:total"
LIMITED_TOTAL: Final = "model_version:limited:total"  # at the callers alone
LATENCY_BUCKETS_TOTAL: Final = "model_version:latency_ms_bucket:total"  # cumulative, by le in milliseconds

# As callers' proxies see it, without the label side: answered 429, or RESOURCE_EXHAUSTED by gRPC. They are no errors.
LIMITED: Final = "model_version:limited:rate1m"  # per second

# What is now; without the label side.
IN_FLIGHT: Final = "model_version:in_flight"  # requests that callers' proxies wait for
LOADED: Final = "model_version:loaded"  # 0-1, the share of its pods whose model is AVAILABLE
WEIGHT: Final = "model_version:weight"  # 0-100, percent in the cluster's VirtualService, whoever wrote it

# As callers' proxies see it, without the label side; each in standard deviations as well, for as many requests.
SHARE_OFFSET: Final = "model_version:share_offset:ratio1m"  # share less weight, -1 to 1
SHARE_DEVIATIONS: Final = "model_version:share_offset:deviations1m"
ERROR_EXCESS: Final = "model_version:errors_excess:ratio1m"  # error ratio less that of the model's other versions
ERROR_DEVIATIONS: Final = "model_version:errors_excess:deviations1m"

# By namespace and model: how many rules of the route (matches, a mirror) send requests past the weights.
EXCEPTIONS: Final = "model:route_exceptions"

# As TF Serving counts itself; by status as well where there is one (requests: "OK"; loads: "success", "fail").
SERVER_REQUESTS: Final = "model_server:requests:rate1m"  # per second
SERVER_LATENCY_P50: Final = "model_server:latency_ms:p50_1m"  # milliseconds, answered requests alone
SERVER_LATENCY_P99: Final = "model_server:latency_ms:p99_1m"
SERVER_RUNTIME_P99: Final = "model_server:runtime_ms:p99_1m"  # milliseconds in the model's graph
SERVER_LOADS: Final = "model_server:loads:total"  # attempts since the pods started

# The mesh as a whole, without labels.
PROXIES: Final = "mesh:proxies:known"  # sidecars and gateways that are scraped
CONNECTED: Final = "mesh:proxies:connected"  # to istiod
REJECTS: Final = "mesh:config_rejects:rate5m"  # configurations that a proxy refused, per second
INTERMEDIATE_LEFT: Final = "mesh:intermediate_ca:left_seconds"  # until what istiod signs with ends
ROOT_LEFT: Final = "mesh:root_ca:left_seconds"  # the signing one's, while there are two
CONVERGENCE_P99: Final = "mesh:config_convergence_seconds:p99_5m"  # from a change to its proxies

VERSION_LABELS: Final = ("namespace", "model", "version")
SIDE_LABELS: Final = (*VERSION_LABELS, "side")


def selector(metric: str, **labels: str) -> str:
    """Return a PromQL selector: a metric whose labels have these values."""
    escaped = (f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{metric}{{{', '.join(escaped)}}}" if labels else metric


def since(metric: str, seconds: int, by: Iterable[str] = SIDE_LABELS, **labels: str) -> str:
    """Return a PromQL expression of what one of the totals grew by in the last `seconds`, summed by labels.

    Unlike `increase` it guesses nothing: a series that is younger has grown by all it has, and one whose proxy has gone
    by what it last had. A proxy's own restart in between is not seen; where that counts, read a range with `counted`.
    """
    series = selector(metric, **labels)
    last = f"last_over_time({series}[{seconds}s])"
    return f"sum by ({', '.join(by)}) ({last} - ({series} offset {seconds}s or {last} * 0))"


def counted(samples: Sequence[tuple[float, float]], start: float) -> float:
    """Return what one series of the totals grew by after `start`, however often its proxy started anew.

    Args:
        samples: (seconds since the epoch, value) in the order of time, from at or before `start` if there are any:
            a series that begins later has grown by its first value as well.
        start: seconds since the epoch.
    """
    before = grown = 0.0
    for at, value in samples:
        if at > start:
            grown += value - before if value >= before else value
        before = value
    return grown


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
