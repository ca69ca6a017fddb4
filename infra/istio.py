"""Istio from its own Helm charts: base (the CRDs), istiod, and the ingress gateway.

Each chart is a Helm release of its own, in this order: istiod needs the CRDs, and the gateway's pod is filled in by
istiod's injector. Configuration objects such as routes are not made here; they depend on this component.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.helm.v3 import Release, ReleaseArgs, RepositoryOptsArgs

from infra import naming
from infra.component import Component
from infra.objects import KubernetesObject
from infra.settings import IstioSettings

# Seconds Helm waits for a chart's workloads: images of a fresh node are pulled within it.
RELEASE_TIMEOUT = 600


@dataclass(frozen=True)
class IstioArgs:
    """What to install, and from where.

    Attributes:
        source: charts, images and further Helm values, from the stack's config.
        namespace: where istiod lives.
        injector_values: what istiod has to be told by `SidecarInjector`; wins over the stack's values.
        outbound_policy: REGISTRY_ONLY or ALLOW_ANY (MeshConfig.OutboundTrafficPolicy.Mode), for the whole mesh.
        statistics: regular expressions of the statistics that each proxy keeps beside Istio's own choice; a proxy hears
            of them when its pod starts.
    """

    source: IstioSettings
    namespace: pulumi.Input[str]
    injector_values: Mapping[str, Any]
    outbound_policy: str
    statistics: Sequence[str] = ()


def merge_values(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge Helm values as Helm itself does: mappings key by key, anything else replaced by the later layer."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            below = merged.get(key)
            if isinstance(value, Mapping):
                merged[key] = merge_values(below if isinstance(below, Mapping) else {}, value)
            else:
                merged[key] = copy.deepcopy(value)
    return merged


def chart_source(charts: str, chart: str, version: str) -> dict[str, Any]:
    """Return the arguments of a Release that say where `chart` comes from, for each of the three kinds of source."""
    if charts.startswith("oci://"):
        return {"chart": f"{charts.rstrip('/')}/{chart}", "version": version}
    if charts.startswith(("https://", "http://")):
        return {"chart": chart, "version": version, "repository_opts": RepositoryOptsArgs(repo=charts)}
    return {"chart": f"{charts.rstrip('/')}/{chart}"}


def istiod_values(args: IstioArgs) -> dict[str, Any]:
    """Return istiod's values: the program's own, then the stack's, then the injector's."""
    matcher = {"proxyStatsMatcher": {"inclusionRegexps": list(args.statistics)}}
    kept = {"defaultConfig": matcher} if args.statistics else {}
    own = {
        "global": {"hub": args.source.hub, "tag": args.source.tag, "istioNamespace": naming.ISTIO_NAMESPACE},
        "meshConfig": {"outboundTrafficPolicy": {"mode": args.outbound_policy}, **kept},
        # istiod sets Fail itself once it is ready; saying so here keeps each later `up` from setting it back.
        "base": {"validationFailurePolicy": "Fail"},
    }
    return merge_values(own, args.source.values.istiod, args.injector_values)


class IstioNamespace(Component):
    """The control plane's namespace; it is there before Istio, to hold the CA that istiod starts with."""

    namespace: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("IstioNamespace", name, opts)
        metadata = {"name": naming.ISTIO_NAMESPACE, "labels": naming.part_of()}
        namespace = KubernetesObject(
            f"{name}-namespace",
            {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata},
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # Istio's charts look for this name
        )
        self.namespace = namespace.object_name
        self.register_outputs({})


class Istio(Component):
    """The control plane, and the ingress gateway if asked for."""

    def __init__(self, name: str, args: IstioArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Istio", name, opts)
        base = self._release(
            f"{name}-base",
            "base",
            naming.ISTIO_BASE_RELEASE,
            args,
            merge_values({"base": {"validationFailurePolicy": "Fail"}}, args.source.values.base),
        )
        istiod = self._release(
            f"{name}-istiod", "istiod", naming.ISTIOD_RELEASE, args, istiod_values(args), depends_on=[base]
        )
        if args.source.gateway:
            self._release(
                f"{name}-gateway",
                "gateway",
                naming.GATEWAY_RELEASE,
                args,
                args.source.values.gateway,
                depends_on=[istiod],
            )
        self.register_outputs({})

    def _release(
        self,
        name: str,
        chart: str,
        release: str,
        args: IstioArgs,
        values: dict[str, Any],
        depends_on: list[Release] | None = None,
    ) -> Release:
        return Release(
            name,
            ReleaseArgs(
                # Fixed: the gateway's labels and istiod's objects carry the release's name.
                name=release,
                namespace=args.namespace,
                values=values,
                timeout=RELEASE_TIMEOUT,
                **chart_source(args.source.charts, chart, args.source.version),
            ),
            opts=self.child(pulumi.ResourceOptions(depends_on=depends_on, delete_before_replace=True)),
        )
