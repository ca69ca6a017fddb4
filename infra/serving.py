"""The models: a namespace that injects on request, an identity and a Service per model, and a Deployment per version.

A version owns everything that exists because of it: the DestinationRule that names its pods as a subset, its
Deployment, the configuration it mounts, its autoscaler and its disruption budget. So what depends on a version finds
all of it ready, and nothing of it goes before what depends on it has gone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.cluster import Identity
from infra.component import Component
from infra.model_server import ModelVersionArgs, config_files, deployment_spec, patience
from infra.objects import KubernetesObject
from infra.scaling import autoscaler, disruption_budget, has_several_pods
from infra.settings import ModelSettings


@dataclass(frozen=True)
class ModelNamespaceArgs:
    """The models' namespace.

    Attributes:
        namespace: its name in the cluster.
    """

    namespace: str


class ModelNamespace(Component):
    """A namespace whose pods get a sidecar when they ask for one, and only then."""

    namespace: pulumi.Output[str]

    def __init__(self, name: str, args: ModelNamespaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelNamespace", name, opts)
        namespace = KubernetesObject(
            f"{name}-namespace",
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": args.namespace, "labels": {**naming.part_of(), "istio-injection": "enabled"}},
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # the name is in every in-mesh URL
        )
        self.namespace = namespace.object_name
        self.register_outputs({})


@dataclass(frozen=True)
class ModelIdentityArgs:
    """Who one model's pods are.

    Attributes:
        model: its name; the ServiceAccount has the same.
        namespace: the models' namespace.
        outside: who its pods are to the outside, when they are somebody there.
    """

    model: str
    namespace: str
    outside: Identity | None = None


class ModelIdentity(Component):
    """The identity that all versions of the model run under."""

    def __init__(self, name: str, args: ModelIdentityArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelIdentity", name, opts)
        metadata = {"name": args.model, "namespace": args.namespace, "labels": naming.labels(args.model)}
        outside = {"annotations": {naming.GOOGLE_IDENTITY: args.outside.email}} if args.outside else {}
        former = pulumi.create_urn(name, naming.type_token("ModelService"))  # whose child it was
        KubernetesObject(
            f"{name}-service-account",
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {**metadata, **outside},
                "automountServiceAccountToken": False,  # a model server has no business with the Kubernetes API
            },
            # The name is the mesh identity.
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True, aliases=[pulumi.Alias(parent=former)])),
        )
        self.register_outputs({})


@dataclass(frozen=True)
class ModelServiceArgs:
    """The name that callers know a model by.

    Attributes:
        model: the model; the Service has its name.
        namespace: the models' namespace.
    """

    model: ModelSettings
    namespace: str


class ModelService(Component):
    """The Service that callers know.

    In the mesh it has the pods of all versions, and the route picks among them. Without the mesh nothing picks, so it
    has those of the stable version alone, and is to be made, or moved to another version, after the versions.
    """

    def __init__(self, name: str, args: ModelServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelService", name, opts)
        model = args.model.name
        chosen = naming.selector(model) if args.model.mesh else naming.version_selector(model, args.model.stable)
        ports = ((naming.GRPC_PORT_NAME, naming.GRPC_PORT), (naming.HTTP_PORT_NAME, naming.HTTP_PORT))
        KubernetesObject(
            f"{name}-service",
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {
                    "name": model,
                    "namespace": args.namespace,
                    "labels": naming.labels(model),
                    # In the mesh it is made before its first version, so there is nothing behind it to wait for.
                    "annotations": {"pulumi.com/skipAwait": "true"},
                },
                "spec": {
                    "selector": chosen,
                    "ports": [{"name": port, "port": number, "targetPort": number} for port, number in ports],
                },
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # callers know it by this name
        )
        self.register_outputs({})


class ModelVersion(Component):
    """Pods of one version and all that is theirs; ready only when every pod's model is AVAILABLE.

    The subset is the first to come and the last to go. A proxy that hears of a weight before it knows the subset
    answers 503, so the subset is made before the pods, whose loading gives every proxy time to hear of it. Without pods
    it harms nobody, for no route names it. It goes when the last pod has drained.
    """

    def __init__(self, name: str, args: ModelVersionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelVersion", name, opts)
        metadata: dict[str, Any] = {
            "name": naming.version_name(args.model.name, args.version.name),
            "namespace": args.namespace,
            "labels": naming.version_labels(args.model.name, args.version.name),
        }
        subsets = [self._object("subset", metadata, *_subset(args))] if args.model.mesh else []
        deployment = self._pods(args, metadata, subsets)
        for suffix, api_version, kind, spec in _companions(args, metadata["name"]):
            self._object(suffix, metadata, api_version, kind, spec, [deployment])
        self.register_outputs({})

    def _object(
        self,
        suffix: str,
        metadata: dict[str, Any],
        api_version: str,
        kind: str,
        spec: dict[str, Any],
        needed: Sequence[pulumi.Resource] = (),
    ) -> KubernetesObject:
        return KubernetesObject(
            f"{self._name}-{suffix}",
            {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec},
            opts=self.child(pulumi.ResourceOptions(depends_on=[*needed], delete_before_replace=True)),
        )

    def _pods(
        self, args: ModelVersionArgs, metadata: dict[str, Any], needed: Sequence[pulumi.Resource]
    ) -> KubernetesObject:
        config = KubernetesObject(
            f"{self._name}-config",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                # No fixed name: a change makes a new one, and the pods roll to it.
                "metadata": {key: value for key, value in metadata.items() if key != "name"},
                "data": config_files(args),
            },
            opts=self.child(),
        )
        annotations = {
            "pulumi.com/timeoutSeconds": str(patience(args)),
            # What someone scaled by hand, or an autoscaler that is gone, is put back instead of ending in a conflict.
            "pulumi.com/patchForce": "true",
        }
        # An autoscaler's count stays what the autoscaler made it. The field has to be there all the same: an apply that
        # leaves out a field it had before removes it, and a Deployment without a count has one pod.
        ignored = ["spec.replicas"] if args.version.autoscaling else None
        return KubernetesObject(
            f"{self._name}-deployment",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {**metadata, "annotations": annotations},
                "spec": deployment_spec(args, config.object_name),
            },
            opts=self.child(
                # X-vN is what operators look for
                pulumi.ResourceOptions(depends_on=[*needed], delete_before_replace=True, ignore_changes=ignored)
            ),
        )


def _subset(args: ModelVersionArgs) -> tuple[str, str, dict[str, Any]]:
    """Return API version, kind and spec of what names a version's pods to the route."""
    selector = naming.version_selector(args.model.name, args.version.name)
    subset = {"name": args.version.name, "labels": selector, **_ejection(args)}
    host = naming.service_host(args.model.name, args.namespace)
    return naming.ISTIO_NETWORKING, "DestinationRule", {"host": host, "subsets": [subset]}


def _companions(args: ModelVersionArgs, deployment: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Yield what comes after a version's pods: the resource's suffix, API version, kind and spec of each."""
    if args.version.autoscaling is not None:
        scaling = autoscaler(deployment, args.version.autoscaling)
        yield "autoscaler", "autoscaling/v2", "HorizontalPodAutoscaler", scaling
    if has_several_pods(args.version):
        selector = naming.version_selector(args.model.name, args.version.name)
        yield "disruption-budget", "policy/v1", "PodDisruptionBudget", disruption_budget(selector)


def _ejection(args: ModelVersionArgs) -> dict[str, Any]:
    """Return a subset's traffic policy: each version's pods are judged among themselves.

    A version's share stays its own however many of its pods are ejected, for the weighted pick comes before them.
    """
    wanted = args.model.outlier_ejection
    if not wanted.enabled:
        return {}
    return {
        "trafficPolicy": {
            "outlierDetection": {
                "consecutiveGatewayErrors": wanted.consecutive_errors,
                # Left out it would be 5. A 500 is the model's own answer, and another pod would give the same.
                "consecutive5xxErrors": 0,
                "baseEjectionTime": f"{wanted.ejection_seconds}s",
                "maxEjectionPercent": wanted.max_percent,
            }
        }
    }
