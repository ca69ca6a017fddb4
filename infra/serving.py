"""The models: a namespace that injects on request, a Service per model, and a Deployment per version.

A version owns everything that exists because of it: its Deployment, the configuration it mounts, and the
DestinationRule that names its pods as a subset. So what depends on a version finds all of it ready, and nothing of it
goes before what depends on it has gone.
"""

from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.cluster import Identity
from infra.component import Component
from infra.model_server import AWAIT_MARGIN, ModelVersionArgs, deployment_spec, model_config, monitoring_config
from infra.objects import KubernetesObject


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
class ModelServiceArgs:
    """One model.

    Attributes:
        model: its name; the Service has the same.
        namespace: the models' namespace.
        identity: who its pods are to the outside, when they are somebody there.
    """

    model: str
    namespace: str
    identity: Identity | None = None


class ModelService(Component):
    """The Service that callers know, and the identity that all versions of the model run under."""

    def __init__(self, name: str, args: ModelServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelService", name, opts)
        metadata = {"name": args.model, "namespace": args.namespace, "labels": naming.labels(args.model)}
        identity = {"annotations": {naming.GOOGLE_IDENTITY: args.identity.email}} if args.identity else {}
        KubernetesObject(
            f"{name}-service-account",
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": {**metadata, **identity},
                "automountServiceAccountToken": False,  # a model server has no business with the Kubernetes API
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # the name is the mesh identity
        )
        ports = ((naming.GRPC_PORT_NAME, naming.GRPC_PORT), (naming.HTTP_PORT_NAME, naming.HTTP_PORT))
        KubernetesObject(
            f"{name}-service",
            {
                "apiVersion": "v1",
                "kind": "Service",
                # Made before its first version, so there is nothing behind it to wait for.
                "metadata": {**metadata, "annotations": {"pulumi.com/skipAwait": "true"}},
                "spec": {
                    "selector": naming.selector(args.model),
                    "ports": [{"name": port, "port": number, "targetPort": number} for port, number in ports],
                },
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # callers know it by this name
        )
        self.register_outputs({})


class ModelVersion(Component):
    """Pods of one version, and the subset that a route can name; ready only when every pod's model is AVAILABLE."""

    def __init__(self, name: str, args: ModelVersionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelVersion", name, opts)
        labels = naming.version_labels(args.model.name, args.version.name)
        metadata = {
            "name": naming.version_name(args.model.name, args.version.name),
            "namespace": args.namespace,
            "labels": labels,
        }
        config = KubernetesObject(
            f"{name}-config",
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                # No fixed name: a change makes a new one, and the pods roll to it.
                "metadata": {"namespace": args.namespace, "labels": labels},
                "data": {
                    "models.config": model_config(args.model.name, args.model.path, args.version.model),
                    "monitoring.config": monitoring_config(),
                },
            },
            opts=self.child(),
        )
        patience = str(args.version.load_timeout_seconds + AWAIT_MARGIN)
        deployment = KubernetesObject(
            f"{name}-deployment",
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {**metadata, "annotations": {"pulumi.com/timeoutSeconds": patience}},
                "spec": deployment_spec(args, config.object_name),
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # X-vN is what operators look for
        )
        selector = naming.version_selector(args.model.name, args.version.name)
        KubernetesObject(
            f"{name}-subset",
            {
                "apiVersion": naming.ISTIO_NETWORKING,
                "kind": "DestinationRule",
                "metadata": metadata,
                "spec": {
                    "host": naming.service_host(args.model.name, args.namespace),
                    "subsets": [{"name": args.version.name, "labels": selector, **_ejection(args)}],
                },
            },
            # Pods before subset: a subset without ready pods would answer 503 to whoever names it.
            opts=self.child(pulumi.ResourceOptions(depends_on=[deployment], delete_before_replace=True)),
        )
        self.register_outputs({})


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
