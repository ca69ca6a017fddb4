"""The models: a namespace that injects on request, a Service per model, and a Deployment per version.

A version owns everything that exists because of it: its Deployment, the configuration it mounts, and the
DestinationRule that names its pods as a subset. So what depends on a version finds all of it ready, and nothing of it
goes before what depends on it has gone.
"""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ConfigMap, Namespace, Service, ServiceAccount, ServiceSpecArgs
from pulumi_kubernetes.core.v1 import ServicePortArgs as Port
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra import naming
from infra.component import Component
from infra.model_server import AWAIT_MARGIN, ModelVersionArgs, deployment_spec, model_config, monitoring_config


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
        namespace = Namespace(
            f"{name}-namespace",
            metadata=ObjectMetaArgs(
                # Fixed: the name is part of every in-mesh URL.
                name=args.namespace,
                labels={**naming.part_of(), "istio-injection": "enabled"},
            ),
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )
        self.namespace = namespace.metadata.name
        self.register_outputs({})


@dataclass(frozen=True)
class ModelServiceArgs:
    """One model.

    Attributes:
        model: its name; the Service has the same.
        namespace: the models' namespace.
    """

    model: str
    namespace: str


class ModelService(Component):
    """The Service that callers know, and the identity that all versions of the model run under."""

    def __init__(self, name: str, args: ModelServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelService", name, opts)
        metadata = ObjectMetaArgs(name=args.model, namespace=args.namespace, labels=naming.labels(args.model))
        ServiceAccount(
            f"{name}-service-account",
            metadata=metadata,
            automount_service_account_token=False,  # a model server has no business with the Kubernetes API
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # the name is the mesh identity
        )
        Service(
            f"{name}-service",
            metadata=ObjectMetaArgs(
                name=args.model,
                namespace=args.namespace,
                labels=naming.labels(args.model),
                # Made before its first version, so that there is nothing behind it to wait for.
                annotations={"pulumi.com/skipAwait": "true"},
            ),
            spec=ServiceSpecArgs(
                selector=naming.selector(args.model),
                ports=[
                    Port(name=naming.GRPC_PORT_NAME, port=naming.GRPC_PORT, target_port=naming.GRPC_PORT),
                    Port(name=naming.HTTP_PORT_NAME, port=naming.HTTP_PORT, target_port=naming.HTTP_PORT),
                ],
            ),
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # callers know it by this name
        )
        self.register_outputs({})


class ModelVersion(Component):
    """Pods of one version, and the subset that a route can name; ready only when every pod's model is AVAILABLE."""

    def __init__(self, name: str, args: ModelVersionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ModelVersion", name, opts)
        child = self.child()
        fixed = naming.version_name(args.model.name, args.version.name)
        labels = naming.version_labels(args.model.name, args.version.name)
        config = ConfigMap(
            f"{name}-config",
            # No fixed name: a change makes a new one, and the pods roll to it.
            metadata=ObjectMetaArgs(namespace=args.namespace, labels=labels),
            data={
                "models.config": model_config(args.model.name, args.model.path, args.version.model),
                "monitoring.config": monitoring_config(),
            },
            opts=child,
        )
        deployment = Deployment(
            f"{name}-deployment",
            metadata=ObjectMetaArgs(
                name=fixed,
                namespace=args.namespace,
                labels=labels,
                annotations={"pulumi.com/timeoutSeconds": str(args.version.load_timeout_seconds + AWAIT_MARGIN)},
            ),
            spec=deployment_spec(args, config.metadata.name),
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # X-vN is what operators look for
        )
        CustomResource(
            f"{name}-subset",
            api_version=naming.ISTIO_NETWORKING,
            kind="DestinationRule",
            metadata=ObjectMetaArgs(name=fixed, namespace=args.namespace, labels=labels),
            spec={
                "host": naming.service_host(args.model.name, args.namespace),
                "subsets": [
                    {"name": args.version.name, "labels": naming.version_selector(args.model.name, args.version.name)}
                ],
            },
            # Pods before subset: a subset without ready pods would answer 503 to whoever names it.
            opts=self.child(pulumi.ResourceOptions(depends_on=[deployment], delete_before_replace=True)),
        )
        self.register_outputs({})
