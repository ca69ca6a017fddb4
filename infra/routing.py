"""RouteRule: which share of a model's requests goes to which version.

The word is the 2018 guide's; the object is a networking.istio.io/v1 VirtualService. The subsets that it names belong to
the versions (`ModelVersion`), so a route can only be made after them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.component import Component
from infra.objects import KubernetesObject


@dataclass(frozen=True)
class RouteRuleArgs:
    """The split of one model's traffic.

    Attributes:
        model: the model's name, which is its Service's as well.
        namespace: the models' namespace.
        shares: per cent by version, in the order of the stack's config; sums to 100. Plain integers, never Outputs, so
            that a preview shows them.
    """

    model: str
    namespace: str
    shares: Mapping[str, int]


def virtual_service(args: RouteRuleArgs) -> dict[str, Any]:
    """Return the VirtualService's spec.

    Every version is listed, those at 0 too, so that a step changes weights and nothing else; Istio sends nothing to a
    destination of weight 0.

    Raises:
        ValueError: the shares do not sum to 100; Istio would take them as proportions without a word.
    """
    if sum(args.shares.values()) != 100:
        raise ValueError(f"the shares of {args.model} sum to {sum(args.shares.values())}, not 100: {dict(args.shares)}")
    host = naming.service_host(args.model, args.namespace)
    return {
        "hosts": [host],
        "http": [
            {
                "route": [
                    {"destination": {"host": host, "subset": version}, "weight": share}
                    for version, share in args.shares.items()
                ]
            }
        ],
    }


class RouteRule(Component):
    """One VirtualService: the mesh takes no second one for the same host."""

    def __init__(self, name: str, args: RouteRuleArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("RouteRule", name, opts)
        KubernetesObject(
            f"{name}-virtual-service",
            {
                "apiVersion": naming.ISTIO_NETWORKING,
                "kind": "VirtualService",
                "metadata": {
                    "name": args.model,
                    "namespace": args.namespace,
                    "labels": naming.labels(args.model),
                    # A weight edited by hand is shown as a diff and put back, instead of ending in a field conflict.
                    "annotations": {"pulumi.com/patchForce": "true"},
                },
                "spec": virtual_service(args),
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # one per host, so no two at once
        )
        self.register_outputs({})
