"""Where the recorded series of requests come from: Istio's standard metrics, or Envoy's statistics of its clusters.

Istio's own proxies count requests as `istio_requests_total`, with who called whom. A proxy without Istio's filters has
Envoy's counters for each cluster, which is what Istio makes of a subset: in a caller's proxy
`outbound|8501|v1|inception.models.svc.cluster.local`, in the version's own `inbound|8501||`. Both end as one set of
series; a mesh has one kind of proxy.

A caller's proxy of Istio knows a version by what the answer brings along, or else by the pod that it sent the request
to, of which istiod has told it the canonical revision and nothing more. So a request that timed out has its version in
that label alone. One that found no pod, or no connection in time, has none and no namespace either: its Service's name
is all that says whose it is.
No Pulumi import.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra import naming
from infra.metrics.series import DESTINATION, NO_VERSION, SOURCE

# gRPC statuses that are the server's failure: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and
# DATA_LOSS, as OpenTelemetry's conventions for gRPC servers have it. The others tell a caller of its own mistake.
FAILED_STATUSES: Final = "2|4|12|13|14|15"
# A failed answer, or (0, from Istio) none.
FAILED_CODES: Final = "5..|0"
# What a quota answers, by REST and by gRPC (RESOURCE_EXHAUSTED); a model server whose queue is full says 503.
LIMITED_CODE: Final = "429"
LIMITED_STATUS: Final = "8"
PER_PROXY: Final = "namespace, model, version, pod"
# Istio's labels of the pod that was called; of a model's pods both are the version, see `naming.version_labels`.
_VERSION: Final = "destination_version"
_REVISION: Final = "destination_canonical_revision"


@dataclass(frozen=True)
class Source:
    """PromQL of one side's counters, with the labels of `PER_PROXY`.

    Attributes:
        requests: since each proxy started.
        errors: those of them that failed; nothing where none did.
        limited: those of them that were refused for their number; nothing where none was.
        latency: the cumulative histogram of milliseconds, with `le` as well.
    """

    requests: str
    errors: str
    limited: str
    latency: str


def istio(namespace: str) -> dict[str, Source]:
    """Return both sides by Istio's standard metrics, for the models of a namespace."""

    def source(metric: str, more: str = "") -> str:
        # Where a proxy knew no such Service, its name is the caller's Host header, or one of Istio's own with capitals.
        service = f'destination_service=~"[^.]+{_domain(namespace)}", destination_service_name=~"[a-z0-9-]+"'
        found = f'{metric}{{reporter="source", {service}{more}}}'
        return _renamed(found, {"namespace": namespace, "model": "$1"}, "destination_service_name", "(.+)")

    def called(metric: str, more: str = "") -> str:
        # What Istio does not know is "unknown", and of a canonical revision "latest".
        both = f'label_join({source(metric, more)}, "version", ";", "{_VERSION}", "{_REVISION}")'
        none = _renamed(both, {"version": NO_VERSION}, "version", "(unknown)?;(latest|unknown)?")
        return _renamed(none, {"version": "$2$3"}, "version", "(unknown)?;(.+)|(.+);.*")

    def own(metric: str, more: str = "") -> str:
        return f'{metric}{{reporter="destination", namespace="{namespace}", model!=""{more}}}'

    def of(side: str) -> Source:
        pick = called if side == SOURCE else own
        failed = pick("istio_requests_total", f', response_code=~"{FAILED_CODES}"')
        refused = pick("istio_requests_total", f', grpc_response_status=~"{FAILED_STATUSES}"')
        limited = pick("istio_requests_total", f', response_code="{LIMITED_CODE}"')
        limited_grpc = pick("istio_requests_total", f', grpc_response_status="{LIMITED_STATUS}"')
        return Source(
            requests=_summed(pick("istio_requests_total")),
            errors=_summed(f"{failed} or {refused}"),
            limited=_summed(f"{limited} or {limited_grpc}"),
            latency=_summed(pick("istio_request_duration_milliseconds_bucket"), "le"),
        )

    return {side: of(side) for side in (SOURCE, DESTINATION)}


def envoy(namespace: str) -> dict[str, Source]:
    """Return both sides by Envoy's statistics, for the models of a namespace."""

    def called(metric: str, port: str, more: str = "") -> str:
        return outbound(metric, namespace, port, more)

    def own(metric: str, port: str, more: str = "") -> str:
        labels = f'cluster_name=~"inbound[|]({port})[|].*", namespace="{namespace}", model!=""{more}'
        return _selected(metric, labels)

    def of(side: str) -> Source:
        pick = called if side == SOURCE else own
        grpc, rest, both = str(naming.GRPC_PORT), str(naming.HTTP_PORT), f"{naming.GRPC_PORT}|{naming.HTTP_PORT}"
        failed = pick("envoy_cluster_upstream_rq", rest, f', response_code=~"{FAILED_CODES}"')
        # What no server answered has both a code of Envoy's own and a status, so each port counts one of them.
        refused = pick(f"envoy_cluster_grpc_({FAILED_STATUSES})", grpc)
        limited = pick("envoy_cluster_upstream_rq", rest, f', response_code="{LIMITED_CODE}"')
        limited_grpc = pick(f"envoy_cluster_grpc_{LIMITED_STATUS}", grpc)
        return Source(
            requests=_summed(pick("envoy_cluster_upstream_rq", both, ', response_code!=""')),
            errors=_summed(f"{failed} or {refused}"),
            limited=_summed(f"{limited} or {limited_grpc}"),
            latency=_summed(pick("envoy_cluster_upstream_rq_time_bucket", both), "le"),
        )

    return {side: of(side) for side in (SOURCE, DESTINATION)}


def outbound(metric: str, namespace: str, ports: str, more: str = "") -> str:
    """Return what callers' proxies have of the subsets of a namespace, with its namespace, model and version.

    Args:
        metric: a name, or a regular expression of names.
        namespace: the models'.
        ports: a regular expression of port numbers.
        more: further conditions, from the comma on.
    """
    name = f"outbound[|]({ports})[|]([^|]+)[|]([^.]+){_domain(namespace)}.*"
    found = _selected(metric, f'cluster_name=~"{name}"{more}')
    wanted = {"namespace": namespace, "version": "$2", "model": "$3"}
    return _renamed(found, wanted, "cluster_name", name)


def _domain(namespace: str) -> str:
    return f"[.]{namespace}[.]svc[.]{naming.CLUSTER_DOMAIN.replace('.', '[.]')}"


def _selected(metric: str, labels: str) -> str:
    if re.fullmatch(r"\w+", metric):
        return f"{metric}{{{labels}}}"
    return f'{{__name__=~"{metric}", {labels}}}'


def _renamed(vector: str, labels: Mapping[str, str], source: str, pattern: str) -> str:
    for label, value in labels.items():
        vector = f'label_replace({vector}, "{label}", "{value}", "{source}", "{pattern}")'
    return vector


def _summed(vector: str, *more: str) -> str:
    return f"sum by ({', '.join((PER_PROXY, *more))}) ({vector})"


def needed_statistics(namespace: str, telemetry: str) -> list[str]:
    """Return which of Envoy's statistics its bootstrap has to let through, as regular expressions of their names.

    Istio counts no requests that are under way, so these are Envoy's in either case.
    """
    subset = f"cluster[.]outbound[|][0-9]+[|][^|]+[|][^.]+[.]{namespace}[.]svc[.]{naming.CLUSTER_DOMAIN}.*"
    if telemetry == "istio":
        return [f"{subset}[.]upstream_rq_(pending_)?active"]
    counted = r"(upstream_rq_((pending_)?active|time|[0-9]{3})|grpc[.][0-9]+)"
    return [f"{subset}[.]{counted}", f"cluster[.]inbound[|].*[.]{counted}"]
