"""The whole system, top to bottom: cluster, injector, Istio, namespace, egress, models with their versions, routes."""

import pulumi

from infra import naming
from infra.cluster import Cluster, cluster_of
from infra.component import after
from infra.egress import EgressRules, EgressRulesArgs
from infra.injector import SidecarInjector, SidecarInjectorArgs
from infra.istio import Istio, IstioArgs, IstioNamespace
from infra.model_server import ModelVersionArgs
from infra.routing import RouteRule, RouteRuleArgs
from infra.serving import ModelNamespace, ModelNamespaceArgs, ModelService, ModelServiceArgs, ModelVersion
from infra.settings import ModelSettings, Settings, SettingsError, load


def deploy_model(settings: Settings, model: ModelSettings, cluster: Cluster, opts: pulumi.ResourceOptions) -> None:
    """Make one model: its Service, every version, and last the route, which moves only when all versions are ready."""
    reader = cluster.bucket_reader(model.name, model.path, settings.namespace)
    service = ModelService(model.name, ModelServiceArgs(model.name, settings.namespace, reader), opts)
    versions = [
        ModelVersion(
            naming.version_name(model.name, version.name),
            ModelVersionArgs(model=model, version=version, namespace=settings.namespace),
            after(opts, service),
        )
        for version in model.versions
    ]
    RouteRule(model.name, RouteRuleArgs(model, settings.namespace), after(opts, service, *versions))


def deploy(settings: Settings) -> None:
    """Compose the components in the guide's order and export what an operator asks for first."""
    cluster = cluster_of(settings.cluster, "cluster")
    on_cluster = pulumi.ResourceOptions(providers=[cluster.provider])
    new_only = pulumi.ResourceOptions(providers=[cluster.new_only])
    system = IstioNamespace("istio-system", new_only)
    injector = SidecarInjector(
        "injector",
        SidecarInjectorArgs(namespace=system.namespace, ca_generation=settings.ca_generation),
        on_cluster,
    )
    istio = Istio(
        "istio",
        IstioArgs(
            source=settings.istio,
            namespace=system.namespace,
            injector_values=injector.istiod_values,
            outbound_policy=settings.egress.policy,
        ),
        after(on_cluster, injector),
    )
    namespace = ModelNamespace("models", ModelNamespaceArgs(namespace=settings.namespace), new_only)
    in_mesh = after(on_cluster, istio, namespace)
    egress = EgressRules("egress", EgressRulesArgs(namespace=settings.namespace, allowed=settings.egress), in_mesh)
    for model in settings.models:
        deploy_model(settings, model, cluster, after(in_mesh, egress))

    pulumi.export("connect", cluster.connect)
    pulumi.export("namespace", settings.namespace)
    pulumi.export("rootCertificate", injector.root_certificate)
    pulumi.export(
        "models",
        {
            model.name: {
                "versions": {version.name: version.model for version in model.versions},
                "weights": model.weights,
                "url": naming.model_url(model.name, settings.namespace),
            }
            for model in settings.models
        },
    )


if __name__ == "__main__":
    try:
        deploy(load())
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
