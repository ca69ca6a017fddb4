"""The stack's config as frozen models, and the only reader of it.

Config is read and checked as a whole before any resource is registered: `load` for the running program, `parse` for
tests. What is wrong is raised together, as one `SettingsError` whose problems name the key, the value and the command
that mends it.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from infra import config_fields as fields
from infra.config_errors import Problem, SettingsError
from infra.weights import shares

__all__ = ["Problem", "Settings", "SettingsError", "load", "parse"]

DEFAULT_IMAGE = "tensorflow/serving:2.20.0"
DEFAULT_CPU = "500m"
DEFAULT_MEMORY = "2Gi"


class Section(BaseModel):
    """A part of the config: unknown keys are errors, and nothing changes after reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExistingCluster(Section):
    """A cluster that is there already.

    Attributes:
        kubeconfig: path of the file; None is what kubectl would take (KUBECONFIG, then ~/.kube/config).
        context: a context in it; None is its current one.
    """

    kind: Annotated[Literal["existing"], fields.one_of("existing")] = "existing"
    kubeconfig: fields.FilePath | None = None
    context: fields.ContextName | None = None


# One kind so far. A further one joins as `Annotated[ExistingCluster | Other, Field(discriminator="kind")]`.
ClusterSettings: TypeAlias = ExistingCluster


class ChartValues(Section):
    """Helm values to merge over the program's own, chart by chart."""

    base: dict[str, Any] = Field(default_factory=dict)
    istiod: dict[str, Any] = Field(default_factory=dict)
    gateway: dict[str, Any] = Field(default_factory=dict)


class IstioSettings(Section):
    """Where Istio comes from, and what is told to its charts.

    Attributes:
        charts: oci://..., https://... or a folder that holds base, istiod and gateway.
        version: the charts' release; of no meaning for a folder.
        hub: registry and path of the images.
        tag: the images' tag; the charts' version when not given.
        gateway: whether to install the ingress gateway.
    """

    charts: fields.Charts = "oci://ghcr.io/istio/release/charts"
    version: fields.Release = "1.30.4"
    hub: fields.Hub = "docker.io/istio"
    tag: fields.Tag = Field(default_factory=lambda given: given["version"])
    gateway: fields.Switch = True
    values: ChartValues = Field(default_factory=ChartValues)


class S3Bucket(Section):
    """A bucket that downloaders may read."""

    region: fields.S3Region = Field(default=None, validate_default=True)
    bucket: fields.S3BucketName = Field(default=None, validate_default=True)


class AzureAccount(Section):
    """An Azure storage account that downloaders may read."""

    account: fields.AzureAccountName = Field(default=None, validate_default=True)


class EgressSettings(Section):
    """What the mesh lets out.

    Attributes:
        policy: Istio's outboundTrafficPolicy for hosts that nothing names.
        gcs: Google Cloud Storage and the metadata server.
        hosts: further hosts, reached by HTTPS on 443.
    """

    policy: Annotated[Literal["REGISTRY_ONLY", "ALLOW_ANY"], fields.one_of("REGISTRY_ONLY", "ALLOW_ANY")] = (
        "REGISTRY_ONLY"
    )
    gcs: fields.Switch = True
    hosts: tuple[fields.Host, ...] = ()
    s3: tuple[S3Bucket, ...] = ()
    azure: tuple[AzureAccount, ...] = ()


class Quantities(Section):
    """Kubernetes quantities; None is no quantity at all."""

    cpu: fields.Cpu | None = None
    memory: fields.Memory | None = None

    def by_name(self) -> dict[str, str]:
        """The quantities that are set, by resource name, as Kubernetes takes them."""
        return self.model_dump(exclude_none=True)


class Resources(Section):
    """What a pod's server asks for and may not exceed.

    What is not requested is requested as limited; memory that is not limited is limited as requested.
    """

    requests: Quantities = Field(default_factory=Quantities)
    limits: Quantities = Field(default_factory=Quantities)

    def filled(self) -> "Resources":
        """The same with what was left out."""
        asked, most = self.requests, self.limits
        requests = Quantities(
            cpu=asked.cpu or most.cpu or DEFAULT_CPU, memory=asked.memory or most.memory or DEFAULT_MEMORY
        )
        return Resources(requests=requests, limits=Quantities(cpu=most.cpu, memory=most.memory or requests.memory))


class VersionInput(Section):
    """One version as it stands in the config."""

    model: fields.ModelNumber = Field(default=None, validate_default=True)
    replicas: fields.Replicas = 2
    image: fields.Image | None = None
    load_timeout_seconds: fields.LoadTimeout = Field(default=600, alias="loadTimeoutSeconds")
    resources: Resources = Field(default_factory=Resources)


class ModelInput(Section):
    """One model as it stands in the config."""

    path: fields.ModelPath = Field(default=None, validate_default=True)
    image: fields.Image | None = None
    stable: str | None = None
    versions: dict[str, VersionInput]


class StackInput(Section):
    """The keys of the project's namespace, weights aside."""

    cluster: ClusterSettings = Field(default_factory=ExistingCluster)
    istio: IstioSettings = Field(default_factory=IstioSettings)
    ca_generation: fields.Generation = Field(default=1, alias="caGeneration")
    namespace: fields.NamespaceName = "models"
    image: fields.Image = DEFAULT_IMAGE
    egress: EgressSettings = Field(default_factory=EgressSettings)
    models: dict[str, ModelInput]


class VersionSettings(Section):
    """One version of a model.

    Attributes:
        model: TF Serving's version number, the folder under the model's path.
        load_timeout_seconds: how long a pod may take until its model is AVAILABLE.
        weight: percent of the model's traffic; the weights of a model sum to 100.
    """

    name: str
    model: int
    replicas: int
    image: str
    load_timeout_seconds: int
    resources: Resources
    weight: int


class ModelSettings(Section):
    """One model and its versions, in the natural order of their names.

    Attributes:
        path: TF Serving's base path.
        image: the model server's, for versions that name none.
        stable: the version that gets what the others leave.
    """

    name: str
    path: str
    image: str
    stable: str
    versions: tuple[VersionSettings, ...]


class Settings(Section):
    """All of a stack's config, checked and complete.

    Attributes:
        ca_generation: raising it makes a new CA.
        namespace: where the models live.
        image: the model server's, for models that name none.
    """

    project: str
    stack: str
    cluster: ClusterSettings
    istio: IstioSettings
    ca_generation: int
    namespace: str
    image: str
    egress: EgressSettings
    models: tuple[ModelSettings, ...]


def load() -> Settings:
    """Read the running stack's config.

    Raises:
        SettingsError: with all that is wrong in it.
    """
    import pulumi  # noqa: PLC0415
    from pulumi.runtime import config as runtime

    values = {**runtime.get_config_env(), **runtime.CONFIG.get()}
    secrets = frozenset(key for key in values if runtime.is_config_secret(key))
    return parse(values, project=pulumi.get_project(), stack=pulumi.get_stack(), secrets=secrets)


def parse(config: Mapping[str, str], *, project: str, stack: str, secrets: frozenset[str] = frozenset()) -> Settings:
    """Check a stack's config and complete it.

    Args:
        config: values as Pulumi hands them on, by full key ("tfserving-mesh:v2Weight"); objects are JSON text.
        secrets: the full keys whose values no message may show.

    Raises:
        SettingsError: with all that is wrong in it.
    """
    own = {key.partition(":")[2]: value for key, value in config.items() if key.startswith(f"{project}:")}
    raw = {
        key: json.loads(value) if key in {"cluster", "istio", "egress", "models"} else value
        for key, value in own.items()
        if not key.endswith("Weight")
    }
    given = StackInput.model_validate(raw)
    models = []
    for name, model in given.models.items():
        names = list(model.versions)
        stable = model.stable or names[0]
        weights = {
            v: int(w) for v in names for w in (config.get(f"{name}:{v}Weight", own.get(f"{v}Weight")),) if w is not None
        }
        share = shares(names, stable, weights)
        models.append(
            ModelSettings(
                name=name,
                path=model.path,
                image=model.image or given.image,
                stable=stable,
                versions=tuple(
                    VersionSettings(
                        name=v,
                        model=x.model,
                        replicas=x.replicas,
                        image=x.image or model.image or given.image,
                        load_timeout_seconds=x.load_timeout_seconds,
                        resources=x.resources.filled(),
                        weight=share[v],
                    )
                    for v, x in model.versions.items()
                ),
            )
        )
    return Settings(
        project=project,
        stack=stack,
        cluster=given.cluster,
        istio=given.istio,
        ca_generation=given.ca_generation,
        namespace=given.namespace,
        image=given.image,
        egress=given.egress,
        models=tuple(models),
    )
