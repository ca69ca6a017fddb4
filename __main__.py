"""The whole system, top to bottom: cluster, injector, Istio, namespace, egress, models with their versions, routes."""

import pulumi

from infra import naming
from infra.cluster import ExistingCluster, ExistingClusterArgs
from infra.egress import EgressRules, EgressRulesArgs
from infra.injector import SidecarInjector, SidecarInjectorArgs
from infra.istio import Istio, IstioArgs, IstioNamespace
from infra.model_server import ModelVersionArgs
from infra.routing import RouteRule, RouteRuleArgs
from infra.serving import ModelNamespace, ModelNamespaceArgs, ModelService, ModelServiceArgs, ModelVersion
from infra.settings import ModelSettings, Settings, SettingsError, load


def deploy_model(settings: Settings, model: ModelSettings, opts: pulumi.ResourceOptions) -> None:
    """Make one model: its Service, every version, and last the route, which moves only when all versions are ready."""
    service = ModelService(model.name, ModelServiceArgs(model=model.name, namespace=settings.namespace), opts)
    versions = [
        ModelVersion(
            naming.version_name(model.name, version.name),
            ModelVersionArgs(model=model, version=version, namespace=settings.namespace),
            pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[service])),
        )
        for version in model.versions
    ]
    RouteRule(
        model.name,
        RouteRuleArgs(model=model.name, namespace=settings.namespace, shares=model.weights),
        pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=[service, *versions])),
    )


def deploy(settings: Settings) -> None:
    """Compose the components in the guide's order and export what an operator asks for first."""
    cluster = ExistingCluster("cluster", ExistingClusterArgs(access=settings.cluster))
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
        pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=[injector])),
    )
    namespace = ModelNamespace("models", ModelNamespaceArgs(namespace=settings.namespace), new_only)
    in_mesh = pulumi.ResourceOptions.merge(on_cluster, pulumi.ResourceOptions(depends_on=[istio, namespace]))
    egress = EgressRules("egress", EgressRulesArgs(namespace=settings.namespace, allowed=settings.egress), in_mesh)
    can_load = pulumi.ResourceOptions.merge(in_mesh, pulumi.ResourceOptions(depends_on=[egress]))
    for model in settings.models:
        deploy_model(settings, model, can_load)

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
