"""The stack's config as frozen models, and the only reader of it.

Config is read and checked as a whole before any resource is registered: `load` for the running program, `parse` for
tests. What is wrong is raised together, as one `SettingsError` whose problems name the key, the value and the command
that mends it.
"""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field

from infra import config_fields as fields
from infra.config_access import ANY, Jwt
from infra.config_certificates import INTERMEDIATE_DAYS, ROOT_DAYS, WORKLOAD_HOURS, CaSettings, check_lifetimes
from infra.config_egress import EgressSettings, check_egress
from infra.config_errors import Problem, Remove, Report, Set, SettingsError, closest, shown
from infra.config_gke import PROJECT_KEY, REGION_KEY, GkeCluster, GkeSettings, check_place, check_versions
from infra.config_ingress import MAX_REQUEST_BYTES, IngressSettings, MaxRequestBytes, TlsSettings, check_ingress
from infra.config_istio import DEFAULT_ISTIO, IstioSettings, check_revisions
from infra.config_models import Autoscaling, Batching, Match, Mirror, ModelInput, OutlierEjection, Resources, Warmup
from infra.config_monitoring import MonitoringSettings, check_monitoring
from infra.config_names import declare
from infra.config_quota import Quota
from infra.config_rollout import RolloutSettings
from infra.config_serving import check_models
from infra.config_shape import Section, decoded, is_from_yaml, keys_of, shaped
from infra.config_weights import Declared, WeightReader
from infra.roots import FIRST, roots_of
from infra.weights import shares

__all__ = ["Problem", "Settings", "SettingsError", "load", "parse"]

DEFAULT_IMAGE: Final = "tensorflow/serving:2.20.0"
_SCALARS: Final = (int, str, bool)


class ExistingCluster(Section):
    """A cluster that is there already.

    Attributes:
        kubeconfig: path of the file; None is what kubectl would take (KUBECONFIG, then ~/.kube/config).
        context: a context in it; None is its current one.
    """

    kind: Annotated[Literal["existing"], fields.one_of("existing", "gke")] = "existing"
    kubeconfig: fields.FilePath | None = None
    context: fields.ContextName | None = None


ClusterSettings: TypeAlias = ExistingCluster | GkeSettings


class StackInput(Section):
    """The keys of the project's namespace, weights aside."""

    cluster: ExistingCluster | GkeCluster = Field(default_factory=ExistingCluster)
    istio: IstioSettings = Field(default_factory=IstioSettings)
    ca_generation: fields.Generation = Field(default=1, alias="caGeneration")
    ca_root: fields.RootNumbers = Field(default=str(FIRST), alias="caRoot")
    ca_root_days: fields.RootDays = Field(default=ROOT_DAYS, alias="caRootDays")
    ca_intermediate_days: fields.IntermediateDays = Field(default=INTERMEDIATE_DAYS, alias="caIntermediateDays")
    workload_cert_hours: fields.WorkloadHours = Field(default=WORKLOAD_HOURS, alias="workloadCertHours")
    namespace: fields.NamespaceName = "models"
    image: fields.Image = DEFAULT_IMAGE
    host: fields.OuterHost = ""
    plain_http: fields.Switch = Field(default=False, alias="plainHttp")
    tls: TlsSettings = Field(default_factory=TlsSettings)
    max_request_bytes: MaxRequestBytes = Field(default=MAX_REQUEST_BYTES, alias="maxRequestBytes")
    egress: EgressSettings = Field(default_factory=EgressSettings)
    rollout: RolloutSettings = Field(default_factory=RolloutSettings)
    monitoring: MonitoringSettings = Field(default_factory=MonitoringSettings)
    models: dict[str, ModelInput] = Field(default_factory=dict)


class ExistingStackInput(StackInput):
    """The keys of a stack on a cluster that is there already."""

    cluster: ExistingCluster = Field(default_factory=ExistingCluster)


class GkeStackInput(StackInput):
    """The keys of a stack that makes its cluster on GKE."""

    cluster: GkeCluster


class VersionSettings(Section):
    """One version of a model.

    Attributes:
        model: TF Serving's version number, the folder under the model's path.
        replicas: its pods; of no meaning with autoscaling.
        gpu: GPUs of each pod.
        load_timeout_seconds: how long a pod may take until its model is AVAILABLE.
        weight: percent of the model's traffic; the weights of a model sum to 100.
    """

    name: str
    model: int
    replicas: int
    autoscaling: Autoscaling | None
    image: str
    gpu: int
    batching: Batching | None
    warmup: Warmup | None
    load_timeout_seconds: int
    resources: Resources
    weight: int


class ModelSettings(Section):
    """One model and its versions, in the natural order of their names.

    Attributes:
        path: TF Serving's base path.
        image: the model server's, for versions that name none.
        stable: the version that gets what the others leave.
        mesh: whether its pods have proxies, and so a route; without, its Service reaches the stable version alone.
        callers: the service accounts that may call, each NAMESPACE/NAME, or "any".
        jwt: which token requests from outside need; None lets them in without one.
        strict_callers: whether callers without a proxy are refused.
        timeout_seconds: how long a request may take, its retries included.
        retries: how often a request is tried again that did not reach a server.
        revision: of Istio, whose proxies its pods get.
        matches: requests that go to one version whatever the weights, the first that fits.
        mirror: which version gets copies of requests.
        outlier_ejection: when a failing pod is left out.
        quota: how many predictions each of its pods takes; None is as many as come.
    """

    name: str
    path: str
    image: str
    stable: str
    mesh: bool
    callers: Literal["any"] | tuple[str, ...]
    jwt: Jwt | None
    strict_callers: bool
    timeout_seconds: int
    retries: int
    revision: str
    matches: tuple[Match, ...]
    mirror: Mirror | None
    outlier_ejection: OutlierEjection
    quota: Quota | None
    versions: tuple[VersionSettings, ...]

    @property
    def weights(self) -> dict[str, int]:
        """Percent by version, in the order of `versions`."""
        return {version.name: version.weight for version in self.versions}


class Settings(Section):
    """All of a stack's config, checked and complete.

    Attributes:
        namespace: where the models live.
        image: the model server's, for models that name none.
        ingress: how callers outside the mesh come in; None lets nobody in.
        rollout: what a canary's step may be.
    """

    project: str
    stack: str
    cluster: ClusterSettings
    istio: IstioSettings
    ca: CaSettings
    namespace: str
    image: str
    ingress: IngressSettings | None
    egress: EgressSettings
    rollout: RolloutSettings
    monitoring: MonitoringSettings
    models: tuple[ModelSettings, ...]

    @property
    def host(self) -> str | None:
        """The name that callers outside the mesh use."""
        return self.ingress.host if self.ingress else None

    @property
    def origin(self) -> str | None:
        """The beginning of their URLs: https://models.example.com."""
        return self.ingress.origin if self.ingress else None


def load() -> Settings:
    """Read the running stack's config.

    Raises:
        SettingsError: with all that is wrong in it.
    """
    import pulumi  # who only parses, to roll back for instance, need not wait for it
    from pulumi.runtime import config as runtime

    values = {**runtime.get_config_env(), **runtime.CONFIG.get()}
    secrets = {*runtime.get_config_secret_keys_env(), *filter(runtime.is_config_secret, values)}
    return parse(values, project=pulumi.get_project(), stack=pulumi.get_stack(), secrets=secrets)


def parse(config: Mapping[str, str], *, project: str, stack: str, secrets: Collection[str] = ()) -> Settings:
    """Check a stack's config and complete it.

    Args:
        config: values as Pulumi hands them on, by full key ("tfserving-mesh:v2Weight"); objects are JSON text.
        project: the project's name, which is the namespace of its keys.
        stack: the stack's name.
        secrets: the full keys whose values no message may show.

    Raises:
        SettingsError: with all that is wrong in it.
    """
    typed = {key.removeprefix(f"{project}:"): value for key, value in config.items()}
    hidden = {key.removeprefix(f"{project}:") for key in secrets}
    shapes = keys_of(StackInput)
    report, unread = _decoded({key: shapes[key] in _SCALARS for key in shapes}, typed, hidden)
    readable = {key: report.values[key] for key in shapes if key in typed and key not in unread}
    given = shaped(_shape_of(report), readable, report)
    declared = declare(project, report)
    weights = WeightReader(declared, list(shapes), report).read(key for key in typed if key not in shapes)
    check_models(declared, report)
    check_ingress(report)
    check_lifetimes(report)
    check_revisions(report)
    check_monitoring(report)
    check_egress(report)
    if report.at(("cluster", "kind")) == "gke":
        check_place(report)
        check_versions(DEFAULT_ISTIO, report)
    problems = report.problems()
    if given is None or problems:
        raise SettingsError(problems)
    models = tuple(
        _model(name, given.models[name], versions, weights[name], given) for name, versions in declared.items()
    )
    return Settings(
        project=project,
        stack=stack,
        cluster=_cluster(given.cluster, report),
        istio=given.istio,
        ca=CaSettings(
            generation=given.ca_generation,
            roots=roots_of(given.ca_root) or FIRST,
            root_lifetime=timedelta(days=given.ca_root_days),
            intermediate_lifetime=timedelta(days=given.ca_intermediate_days),
            workload_hours=given.workload_cert_hours,
        ),
        namespace=given.namespace,
        image=given.image,
        ingress=_ingress(given),
        egress=given.egress,
        rollout=given.rollout,
        monitoring=given.monitoring,
        models=models,
    )


def _shape_of(report: Report) -> type[StackInput]:
    kind = report.at(("cluster", "kind"))
    # a typo of a kind is told as one, and not as many keys that the other kind has not
    is_gke = isinstance(kind, str) and closest(kind, ("existing", "gke")) == "gke"
    return GkeStackInput if is_gke else ExistingStackInput


def _cluster(given: ExistingCluster | GkeCluster, report: Report) -> ClusterSettings:
    if isinstance(given, ExistingCluster):
        return given
    place = {"project": report.at((PROJECT_KEY,)), "region": report.at((REGION_KEY,))}
    return GkeSettings(**given.model_dump(by_alias=True), **place)


def _ingress(given: StackInput) -> IngressSettings | None:
    if not given.host:
        return None
    return IngressSettings(host=given.host, tls=given.tls, max_request_bytes=given.max_request_bytes)


def _decoded(scalar: Mapping[str, bool], typed: Mapping[str, str], hidden: Collection[str]) -> tuple[Report, set[str]]:
    values: dict[str, Any] = dict(typed)
    texts: set[str] = set()
    unread: set[str] = set()
    report = Report(values, hidden, texts)
    for key in (key for key, is_scalar in scalar.items() if key in typed and not is_scalar):
        try:
            values[key], repeated = decoded(typed[key])
        except ValueError:
            unread.add(key)
            report.add((key,), "it is an object of keys and values", Remove((key,)))
            continue
        if not is_from_yaml(typed[key], values[key]):
            texts.add(key)
        for name in repeated:
            message = f"it holds the key {name} twice, and one of the two values would be lost"
            report.add((key,), message, Set((key,), values[key]), value=shown(typed[key]))
    return report, unread


def _model(
    name: str, given: ModelInput, declared: Declared, weights: Mapping[str, int], stack: StackInput
) -> ModelSettings:
    stable = declared.stable or declared.versions[0]
    share = shares(declared.versions, stable, weights)
    image = given.image or stack.image
    # An image that somebody chose is taken as it is. Pulumi hands over the default of Pulumi.yaml like a choice.
    chosen = given.image is not None or stack.image != DEFAULT_IMAGE

    def version(label: str) -> VersionSettings:
        own = given.versions[label]
        return VersionSettings(
            name=label,
            model=own.model,
            replicas=own.replicas,
            autoscaling=own.autoscaling,
            image=own.image or (f"{image}-gpu" if own.gpu and not chosen else image),
            gpu=own.gpu,
            batching=own.batching,
            warmup=own.warmup,
            load_timeout_seconds=own.load_timeout_seconds,
            resources=own.resources.filled(),
            weight=share[label],
        )

    return ModelSettings(
        name=name,
        path=given.path,
        image=image,
        stable=stable,
        mesh=given.mesh,
        callers=ANY if given.callers is None else given.callers,
        jwt=given.jwt,
        strict_callers=given.mesh and given.strict_callers,
        timeout_seconds=given.timeout_seconds,
        retries=given.retries,
        revision=stack.istio.revision,
        matches=given.matches,
        mirror=given.mirror,
        outlier_ejection=given.outlier_ejection,
        quota=given.quota,
        versions=tuple(map(version, declared.versions)),
    )
