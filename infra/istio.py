"""Istio from its own Helm charts: base (the CRDs), istiod, and the ingress gateway.

Each chart is a Helm release of its own, in this order: istiod needs the CRDs, and the gateway's pod is filled in by
istiod's injector. Configuration objects such as routes are not made here; they depend on this component.

While Istio is upgraded there are several istiods, each a revision with a release of its own. One is in use: it answers
for every namespace labelled istio-injection=enabled, and it checks Istio's objects.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.component import Component
from infra.config_istio import IstioSettings
from infra.objects import HelmRelease, KubernetesObject
from infra.revisions import PLAIN, Revision, Revisions, refusal, revisions_of

# Seconds Helm waits for a chart's workloads: images of a fresh node are pulled within it.
RELEASE_TIMEOUT = 600
# Seconds; Kubernetes' own. For less, a change of the models' timeouts is no reason to make the gateway's pods anew.
SHORTEST_GRACE = 30


@dataclass(frozen=True)
class IstioArgs:
    """What to install, and from where.

    Attributes:
        source: charts, images, revisions and further Helm values, from the stack's config.
        namespace: where istiod lives.
        injector_values: what istiod has to be told by `SidecarInjector`; wins over the stack's values.
        outbound_policy: REGISTRY_ONLY or ALLOW_ANY (MeshConfig.OutboundTrafficPolicy.Mode), for the whole mesh.
        statistics: regular expressions of the statistics that each proxy keeps beside Istio's own choice; a proxy hears
            of them when its pod starts.
        longest_grace: seconds that a removed pod of a model may need for what it has begun, of all models the most.
    """

    source: IstioSettings
    namespace: pulumi.Input[str]
    injector_values: Mapping[str, Any]
    outbound_policy: str
    statistics: Sequence[str] = ()
    longest_grace: int = 0


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
        return {"chart": chart, "version": version, "repositoryOpts": {"repo": charts}}
    return {"chart": f"{charts.rstrip('/')}/{chart}"}


def istiod_values(args: IstioArgs, revision: Revision) -> dict[str, Any]:
    """Return the values of one istiod: the program's own, the stack's, the injector's, and its revision's."""
    matcher = {"proxyStatsMatcher": {"inclusionRegexps": list(args.statistics)}}
    kept = {"defaultConfig": matcher} if args.statistics else {}
    own = {
        "global": {"hub": args.source.hub, "tag": revision.tag, "istioNamespace": naming.ISTIO_NAMESPACE},
        "meshConfig": {"outboundTrafficPolicy": {"mode": args.outbound_policy}, **kept},
        # istiod sets Fail itself once it is ready; saying so here keeps each later `up` from setting it back.
        "base": {"validationFailurePolicy": "Fail"},
    }
    is_in_use = revision.name == args.source.revision
    return merge_values(own, args.source.values.istiod, args.injector_values, _place(revision, is_in_use=is_in_use))


def gateway_values(args: IstioArgs, revision: Revision) -> dict[str, Any]:
    """Return the gateway's values: the program's own, the stack's, and those of the revision whose proxies it gets.

    A removed pod leaves when its last connection has ended, and is killed when no request can be left. By itself it
    would end all of them five seconds after it was told to leave.
    """
    own = {
        "env": {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"},
        "terminationGracePeriodSeconds": max(args.longest_grace, SHORTEST_GRACE),
    }
    return merge_values(own, args.source.values.gateway, _of_revision("revision", revision))


def _place(revision: Revision, *, is_in_use: bool) -> dict[str, Any]:
    """Return what makes an istiod a revision, and lets only the one in use answer for istio-injection=enabled.

    The plain istiod does so by itself, another by Istio's tag `default`. With both,
    a pod would be handed to one after the other.
    """
    if revision.is_plain:
        return {} if is_in_use else {"global": {"operatorManageWebhooks": True}}  # its chart then makes no webhook
    return {"revision": revision.name, **({"revisionTags": [PLAIN]} if is_in_use else {})}


def _of_revision(key: str, revision: Revision) -> dict[str, str]:
    # Left out for the plain one, whose releases are as they were before there were revisions.
    return {} if revision.is_plain else {key: revision.name}


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
        self._args = args
        installed, values = args.source.installed, args.source.values
        in_use = installed.in_use
        check = pulumi.ResourceHook(
            f"{name}-keeps-the-order-of-revisions",
            refuse_skipped(args.source.plain),
            pulumi.ResourceHookOptions(on_dry_run=True),
        )
        fail = {"base": {"validationFailurePolicy": "Fail"}}
        base = self._release(
            f"{name}-base",
            naming.ISTIO_BASE_RELEASE,
            ("base", installed.newest),
            merge_values(fail, values.base, _of_revision("defaultRevision", in_use)),
            pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_update=[check])),
            {} if installed.is_plain else {"description": str(installed)},
        )
        before: list[pulumi.Resource] = [base]
        # The one in use comes first: it answers for the namespaces before another one stops to.
        for revision in installed.all:
            suffix = "" if revision.is_plain else f"-{revision.name}"
            istiod = self._release(
                f"{name}-istiod{suffix}",
                f"{naming.ISTIOD_RELEASE}{suffix}",
                ("istiod", revision.version),
                istiod_values(args, revision),
                pulumi.ResourceOptions(depends_on=before),
            )
            before = [*before, istiod]
        if args.source.gateway:
            self._release(
                f"{name}-gateway",
                naming.GATEWAY_RELEASE,
                ("gateway", in_use.version),
                gateway_values(args, in_use),
                pulumi.ResourceOptions(depends_on=before),
            )
        self.register_outputs({})

    def _release(
        self,
        name: str,
        release: str,
        chart: tuple[str, str],
        values: dict[str, Any],
        opts: pulumi.ResourceOptions,
        more: Mapping[str, str] | None = None,
    ) -> HelmRelease:
        return HelmRelease(
            name,
            {
                # Fixed: the gateway's labels and istiod's objects carry the release's name.
                "name": release,
                "namespace": self._args.namespace,
                "values": values,
                "timeout": RELEASE_TIMEOUT,
                **chart_source(self._args.source.charts, *chart),
                **(more or {}),
            },
            opts=pulumi.ResourceOptions.merge(self.child(opts), pulumi.ResourceOptions(delete_before_replace=True)),
        )


def refuse_skipped(plain: Revision) -> Callable[[pulumi.ResourceHookArgs], None]:
    """Return a check of the base release, which holds what revisions there were at the last update.

    Args:
        plain: what there was at an update that named no revisions.
    """

    def check(args: pulumi.ResourceHookArgs) -> None:
        """Refuse a step that leaves another out, before anything of Istio is changed.

        Raises:
            ValueError: with what to do; Pulumi shows it, and ends the preview or the update.
        """
        before, after = (_recorded(inputs, plain) for inputs in (args.old_inputs, args.new_inputs))
        problem = refusal(before, after) if before and after else None
        if problem:
            raise ValueError(str(problem))

    return check


def _recorded(inputs: Mapping[str, Any] | None, plain: Revision) -> Revisions | None:
    if inputs is None:
        return None
    description = inputs.get("description")  # the plugin fills in an empty one
    return revisions_of(description) if description else Revisions(plain)
