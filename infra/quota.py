"""Quota: how many predictions a second each pod of a model takes, from callers that are named and from all others.

A pod's own proxy counts, so the limit is a pod's, and nobody else has to be asked. Istio has no object for it: this is
an EnvoyFilter, with one of Envoy's local rate limits for each class of callers. It uses that filter alone, for Istio's
build of Envoy lacks many others.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pulumi

from infra import naming
from infra.component import Component, after
from infra.config_quota import Quota, Rate
from infra.objects import KubernetesObject
from infra.settings import ModelSettings

OTHERS = "others"
# What is asked of a model without a prediction: by REST all that names no verb, by gRPC these. Whatever is not known to
# be such a read counts, so no spelling of a prediction gets around. One expression for all is too large for Envoy.
_READS: tuple[dict[str, Any], ...] = (
    {"safe_regex": {"regex": r"/v1/models/[^:?]*(\?.*)?"}},
    {"exact": naming.METRICS_PATH},
    {"exact": "/tensorflow.serving.PredictionService/GetModelMetadata"},
    {"exact": "/tensorflow.serving.ModelService/GetModelStatus"},
    {"prefix": "/grpc.health.v1.Health/"},
)
_ALWAYS = {"default_value": {"numerator": 100}}


@dataclass(frozen=True)
class QuotaArgs:
    """What one model's pods take.

    Attributes:
        model: its name.
        namespace: the models' namespace.
        quota: requests a second for each pod.
    """

    model: str
    namespace: str
    quota: Quota


def filters(quota: Quota) -> list[dict[str, Any]]:
    """Return the HTTP filters that keep a quota, as Envoy has them.

    Each is for one class: a caller with a rate of its own, and the last for all others. A request is of one class, or,
    when it asks for no prediction, of none.
    """
    named = {caller: _is(caller) for caller in sorted(quota.callers)}
    # An inverted condition would not hold for a caller without a sidecar, who has no such header.
    others = [{**matcher, "invert_match": True, "treat_missing_header_as_empty": True} for matcher in named.values()]
    own = [_limit(caller, [matcher], quota.callers[caller]) for caller, matcher in named.items()]
    return [*own, _limit(OTHERS, others, quota)]


def _is(caller: str) -> dict[str, Any]:
    """Return the condition that a caller's certificate meets.

    The pod's proxy puts what it verified behind all that a caller may have written into this header itself, and drops
    the header when there is no certificate; so its end, and no other part, cannot be forged.
    """
    namespace, _, account = caller.partition("/")
    identity = f"spiffe://{naming.CLUSTER_DOMAIN}/ns/{namespace}/sa/{account}"
    return {"name": "x-forwarded-client-cert", "string_match": {"suffix": f";URI={identity}"}}


def _limit(name: str, callers: Sequence[dict[str, Any]], rate: Rate) -> dict[str, Any]:
    counted = [{"name": ":path", "string_match": read, "invert_match": True} for read in _READS]
    entry = {"descriptor_key": "quota", "descriptor_value": name, "headers": [*counted, *callers]}
    until_the_next = math.ceil(1 / rate.requests_per_second)
    told = {"retry-after": str(until_the_next), "x-envoy-ratelimited": "true"}  # the second forbids proxies to retry
    return {
        "name": f"{naming.PROJECT}.quota.{name}",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
            "stat_prefix": "quota",
            "filter_enabled": _ALWAYS,
            "filter_enforced": _ALWAYS,
            # Requests without a descriptor are not limited: there is no bucket for them.
            "rate_limits": [{"actions": [{"header_value_match": entry}]}],
            "descriptors": [{"entries": [{"key": "quota", "value": name}], "token_bucket": _bucket(rate)}],
            "response_headers_to_add": [
                {"header": {"key": key, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
                for key, value in told.items()
            ],
            "enable_x_ratelimit_headers": "DRAFT_VERSION_03",
            "rate_limited_as_resource_exhausted": True,  # gRPC's default would be UNAVAILABLE, which clients try again
        },
    }


def _bucket(rate: Rate) -> dict[str, Any]:
    # Envoy fills all the time, and takes a rate as so many whole tokens in so many seconds.
    tokens = Fraction(rate.requests_per_second)
    return {
        "max_tokens": rate.tokens,
        "tokens_per_fill": tokens.numerator,
        "fill_interval": f"{tokens.denominator}s",
    }


class PodQuota(Component):
    """One EnvoyFilter for the pods of all versions; a change of it reaches the proxies and restarts nothing.

    The filters stand last before the router: who is not let in uses nothing up.
    """

    def __init__(self, name: str, args: QuotaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("PodQuota", name, opts)
        manager = "envoy.filters.network.http_connection_manager"
        before_router = {"name": manager, "subFilter": {"name": "envoy.filters.http.router"}}
        match = {"context": "SIDECAR_INBOUND", "listener": {"filterChain": {"filter": before_router}}}
        patches = [{"operation": "INSERT_BEFORE", "value": each} for each in filters(args.quota)]
        KubernetesObject(
            f"{name}-quota",
            {
                "apiVersion": naming.ISTIO_FILTERS,
                "kind": "EnvoyFilter",
                "metadata": {
                    "name": f"{args.model}-quota",
                    "namespace": args.namespace,
                    "labels": naming.labels(args.model),
                    # A limit edited by hand is put back, instead of ending in a field conflict.
                    "annotations": {"pulumi.com/patchForce": "true"},
                },
                "spec": {
                    "workloadSelector": {"labels": naming.selector(args.model)},
                    "configPatches": [{"applyTo": "HTTP_FILTER", "match": match, "patch": patch} for patch in patches],
                },
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )
        self.register_outputs({})


def limited(model: ModelSettings, namespace: str, opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    """Make a model's quota, if it has one, and return options that wait for it: no pod takes requests before."""
    if model.quota is None:
        return opts
    return after(opts, PodQuota(model.name, QuotaArgs(model.name, namespace, model.quota), opts))
