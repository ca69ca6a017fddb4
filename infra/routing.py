"""RouteRule: which share of a model's requests goes to which version.

The word is the 2018 guide's; the object is a networking.istio.io/v1 VirtualService. The subsets that it names belong to
the versions (`ModelVersion`), so a route can only be made after them.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.component import Component
from infra.config_models import Match
from infra.objects import KubernetesObject
from infra.settings import ModelSettings

# An inference may cost money or change a counter, so it is sent again only when no server has seen it: no connection,
# a stream that the peer refused, or a connection that broke before the request's headers were sent.
RETRY_ON = "connect-failure,refused-stream,reset-before-request"
# Seconds that the pods of a version stay after the route forgot it: so long a proxy may send to them.
HEARING_PERIOD = 5


@dataclass(frozen=True)
class RouteRuleArgs:
    """The split of one model's traffic.

    Attributes:
        model: the model; its versions' weights are plain integers, never Outputs, so that a preview shows them.
        namespace: the models' namespace.
        host: the name that callers outside the mesh use, when there are any.
    """

    model: ModelSettings
    namespace: str
    host: str | None = None


def virtual_service(args: RouteRuleArgs) -> dict[str, Any]:
    """Return the VirtualService's spec: rules for callers in the mesh, and the same for REST and for gRPC from outside.

    A weighted rule lists every version, those at 0 too, so that a step changes weights and nothing else; Istio sends
    nothing to a destination of weight 0.

    Raises:
        ValueError: the weights do not sum to 100; Istio would take them as proportions without a word.
    """
    model, weights = args.model, args.model.weights
    if sum(weights.values()) != 100:
        raise ValueError(f"the shares of {model.name} sum to {sum(weights.values())}, not 100: {weights}")
    host = naming.service_host(model.name, args.namespace)
    if args.host is None:
        return {"hosts": [host], "http": _rules(model, {"host": host}, {})}
    gateway = f"{args.namespace}/{naming.INGRESS}"
    # The gateway has one host for all models, so there a request says which is meant. By REST its path does: the
    # model's name, and behind it the end, a verb (`:predict`), or a part (`/metadata`). `inception` is not the
    # beginning of `inception-v3`. By gRPC a header does, for the path is the method's, and no proxy reads messages.
    rest = {"uri": {"regex": f"/v1/models/{re.escape(model.name)}([:/].*)?"}}
    grpc = {"uri": {"prefix": naming.GRPC_PATHS}, "headers": {naming.MODEL_HEADER: {"exact": model.name}}}
    # Without a port Istio takes the one that a request came in by: in the mesh the caller's choice, at the gateway its
    # own, which no model server has.
    outside = [
        rule
        for asked, port in ((rest, naming.HTTP_PORT), (grpc, naming.GRPC_PORT))
        for rule in _rules(model, {"host": host, "port": {"number": port}}, {"gateways": [gateway], **asked})
    ]
    inside = _rules(model, {"host": host}, {"gateways": ["mesh"]})
    return {"hosts": [host, args.host], "gateways": ["mesh", gateway], "http": [*inside, *outside]}


def _rules(model: ModelSettings, service: dict[str, Any], callers: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of some callers: the matches in their order, and last the weights.

    Args:
        model: the model.
        service: the destination without its subset.
        callers: the condition that all of their requests meet; an empty one holds for everybody.
    """

    def to(version: str) -> dict[str, Any]:
        return {**service, "subset": version}

    patience = {"timeout": f"{model.timeout_seconds}s", "retries": _retries(model.retries)}
    overrides = [
        {
            "match": [{**callers, "headers": {**callers.get("headers", {}), **_headers(match)}}],
            "route": [{"destination": to(match.version)}],
            **patience,
        }
        for match in model.matches
    ]
    split = [{"destination": to(version), "weight": share} for version, share in model.weights.items()]
    rollout: dict[str, Any] = {"route": split, **patience}
    if callers:
        rollout["match"] = [callers]
    if model.mirror is not None:
        rollout |= {"mirror": to(model.mirror.version), "mirrorPercentage": {"value": model.mirror.percent}}
    return [*overrides, rollout]


def _retries(attempts: int) -> dict[str, Any]:
    # Istio refuses conditions for no attempts; leaving retries out would bring its own default back.
    return {"attempts": attempts, "retryOn": RETRY_ON} if attempts else {"attempts": 0}


def _headers(match: Match) -> dict[str, Any]:
    if match.header is not None:
        return {match.header: {"exact": match.value}}
    # Envoy has no match for one cookie among several, and its expressions (RE2) always match the header as a whole.
    wanted = rf"(.*;\s*)?{re.escape(match.cookie or '')}={re.escape(match.value)}(;.*)?"
    return {"cookie": {"regex": wanted}}


def forgotten(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, int]:
    """Return the weights of versions that one VirtualService's spec lists and the next does not, 0 included."""

    def weights(spec: Mapping[str, Any]) -> dict[str, int]:
        return {each["destination"]["subset"]: int(each.get("weight", 0)) for each in spec["http"][-1]["route"]}

    left = weights(after)
    return {version: weight for version, weight in weights(before).items() if version not in left}


def _forgotten_by(args: pulumi.ResourceHookArgs) -> dict[str, int]:
    before, after = (args.old_inputs or {}).get("spec"), (args.new_inputs or {}).get("spec")
    return forgotten(before, after) if before and after else {}


def refuse_orphans(args: pulumi.ResourceHookArgs) -> None:
    """Refuse an update of a route that drops a version with traffic: its share would jump to others unasked.

    What the route says now is known to the engine alone, so neither the config's checks nor the program can tell.

    Raises:
        ValueError: with what to do; Pulumi shows it, and ends the preview or the update before the route changes.
    """
    lost = {version: weight for version, weight in _forgotten_by(args).items() if weight}
    if lost:
        shares = " and ".join(f"{version} ({weight} %)" for version, weight in lost.items())
        raise ValueError(
            f"the route still sends requests to {shares}, which the config does not declare any more; "
            "a version is removed when its weight is 0. Declare it again, move its weight to another version, run "
            "pulumi up, and remove it then"
        )


async def let_proxies_hear(args: pulumi.ResourceHookArgs) -> None:
    """Hold an update of a route that forgot a version until every proxy has heard of it.

    Pulumi deletes the version's pods as soon as the program has ended, and a proxy hears of a missing pod before it
    hears of the route when istiod tells it of both at once. A match may have sent requests there to the end.
    """
    if _forgotten_by(args):
        await asyncio.sleep(HEARING_PERIOD)


class RouteRule(Component):
    """One VirtualService: the mesh takes no second one for the same host."""

    def __init__(self, name: str, args: RouteRuleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("RouteRule", name, opts)
        check = pulumi.ResourceHook(
            f"{name}-keeps-its-traffic", refuse_orphans, pulumi.ResourceHookOptions(on_dry_run=True)
        )
        wait = pulumi.ResourceHook(f"{name}-is-heard-of", let_proxies_hear)
        KubernetesObject(
            f"{name}-virtual-service",
            {
                "apiVersion": naming.ISTIO_NETWORKING,
                "kind": "VirtualService",
                "metadata": {
                    "name": args.model.name,
                    "namespace": args.namespace,
                    "labels": naming.labels(args.model.name),
                    # A weight edited by hand is shown as a diff and put back, instead of ending in a field conflict.
                    "annotations": {"pulumi.com/patchForce": "true"},
                },
                "spec": virtual_service(args),
            },
            opts=self.child(
                pulumi.ResourceOptions(
                    delete_before_replace=True,  # one per host, so no two at once
                    hooks=pulumi.ResourceHookBinding(before_update=[check], after_update=[wait]),
                )
            ),
        )
        self.register_outputs({})
