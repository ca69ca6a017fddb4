"""The whole system, top to bottom: cluster, injector, Istio, namespace, egress, access, models, versions, routes."""

import pulumi

from infra import naming, quota
from infra.access import access_policies
from infra.cluster import Cluster, cluster_of
from infra.component import after
from infra.egress import EgressRules, EgressRulesArgs
from infra.ingress import doors_of
from infra.injector import SidecarInjector, SidecarInjectorArgs
from infra.istio import Istio, IstioArgs, IstioNamespace
from infra.measuring import kept, monitor
from infra.model_server import ModelVersionArgs, grace_period
from infra.routing import RouteRule, RouteRuleArgs
from infra.serving import (
    ModelIdentity,
    ModelIdentityArgs,
    ModelNamespace,
    ModelNamespaceArgs,
    ModelService,
    ModelServiceArgs,
    ModelVersion,
)
from infra.settings import ModelSettings, Settings, SettingsError, load
from infra.summary import model_summary


def deploy_model(
    settings: Settings, model: ModelSettings, cluster: Cluster, opts: pulumi.ResourceOptions, *holds: pulumi.Resource
) -> list[pulumi.Resource]:
    """Make a model: who it is, its versions after what holds pods, and, returned, what sends requests to ready ones."""
    name, namespace, is_on = model.name, settings.namespace, settings.monitoring.is_on
    reader = cluster.bucket_reader(name, model.path, namespace)
    ready = after(opts, *holds, ModelIdentity(name, ModelIdentityArgs(name, namespace, reader), opts))
    service = ModelServiceArgs(model, namespace)
    if model.mesh:
        ready = quota.limited(model, namespace, after(ready, ModelService(name, service, opts)))
    versions = [
        ModelVersion(naming.version_name(name, v.name), ModelVersionArgs(model, v, namespace, is_on, reader), ready)
        for v in model.versions
    ]
    if not model.mesh:
        return [ModelService(name, service, after(ready, *versions))]
    return [RouteRule(name, RouteRuleArgs(model, namespace, settings.host), after(ready, *versions))]


def deploy(settings: Settings) -> None:
    """Compose the components in the guide's order and export what an operator asks for first."""
    cluster = cluster_of(settings.cluster, "cluster")
    on_cluster = pulumi.ResourceOptions(providers=[cluster.provider])
    new_only = pulumi.ResourceOptions(providers=[cluster.new_only])
    system = IstioNamespace("istio-system", new_only)
    injector = SidecarInjector("injector", SidecarInjectorArgs(system.namespace, settings.ca), on_cluster)
    policy, grace = settings.egress.policy, max(grace_period(model) for model in settings.models)
    mesh = IstioArgs(settings.istio, system.namespace, injector.istiod_values, policy, kept(settings), grace)
    istio = Istio("istio", mesh, after(on_cluster, injector))
    namespace = ModelNamespace("models", ModelNamespaceArgs(settings.namespace), new_only)
    in_mesh = after(on_cluster, istio, namespace)
    egress = EgressRules("egress", EgressRulesArgs(settings.namespace, settings.egress), in_mesh)
    doors = doors_of(settings, injector.signer, in_mesh)
    policies = access_policies(settings, in_mesh)
    models = (deploy_model(settings, m, cluster, in_mesh, egress, *doors, *policies[m.name]) for m in settings.models)
    cluster.guard([last for made in models for last in made])

    pulumi.export("connect", cluster.connect)
    pulumi.export("namespace", settings.namespace)
    pulumi.export("rootCertificate", injector.root_certificate)
    pulumi.export("intermediateCertificate", injector.intermediate_certificate)
    for name, value in monitor(settings, in_mesh, new_only).items():
        pulumi.export(name, value)
    pulumi.export("models", {model.name: model_summary(model, settings) for model in settings.models})


if __name__ == "__main__":
    try:
        deploy(load())
    except SettingsError as error:
        raise pulumi.RunError(str(error)) from None
