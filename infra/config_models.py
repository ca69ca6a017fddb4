"""A model and its versions as the config describes them: what each value may be. No Pulumi import.

What has to fit together across a model's versions is checked in `config_serving`.
"""

import json
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from infra import config_fields as fields
from infra.config_access import Callers, Jwt
from infra.config_fields import WrongValueError, whole_between
from infra.config_quota import Quota
from infra.config_shape import Bounds, Section

DEFAULT_CPU: Final = "500m"
DEFAULT_MEMORY: Final = "2Gi"


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

    limits: Quantities = Field(default_factory=Quantities)
    requests: Quantities = Field(default_factory=Quantities)

    @field_validator("requests")
    @classmethod
    def _fits(cls, requests: Quantities, info: ValidationInfo) -> Quantities:
        limits = info.data.get("limits", Quantities())
        for name, read in (("cpu", fields.cores), ("memory", fields.octets)):
            asked, most = getattr(requests, name), getattr(limits, name)
            if asked and most and read(asked) > read(most):
                raise WrongValueError("a request is at most its limit", most, (name,))
        return requests

    def filled(self) -> "Resources":
        """The same with what was left out."""
        asked, most = self.requests, self.limits
        requests = Quantities(
            cpu=asked.cpu or most.cpu or DEFAULT_CPU, memory=asked.memory or most.memory or DEFAULT_MEMORY
        )
        return Resources(requests=requests, limits=Quantities(cpu=most.cpu, memory=most.memory or requests.memory))


class Autoscaling(Bounds):
    """How many pods a version has, decided by their load.

    Attributes:
        min: pods that always run.
        max: pods that may run.
        cpu_percent: of the CPU that the server requests; more pods are started where the mean is above it.
    """

    min: Annotated[int, whole_between(1, 1000, "a version has 1-1000 pods", 2)] = 2
    max: Annotated[int, whole_between(1, 1000, "a version has 1-1000 pods", 10)] = Field(
        default=10, validate_default=True
    )
    cpu_percent: Annotated[
        int, whole_between(1, 1000, "it is 1-1000 percent of the CPU that a server requests", 70)
    ] = Field(default=70, alias="cpuPercent")


class Batching(Section):
    """How TF Serving gathers requests into batches; what is not given is TF Serving's own default.

    Attributes:
        max_batch_size: examples in a batch at most.
        batch_timeout_micros: microseconds that a request waits for others at most.
        max_enqueued_batches: batches that may wait; a request that finds no place is answered 503.
        num_batch_threads: batches that are computed at a time.
    """

    max_batch_size: Annotated[int, whole_between(1, 10**6, "a batch has 1-1000000 examples", 32)] | None = Field(
        default=None, alias="maxBatchSize"
    )
    batch_timeout_micros: (
        Annotated[int, whole_between(0, 10**7, "a request waits 0-10000000 microseconds for others", 1000)] | None
    ) = Field(default=None, alias="batchTimeoutMicros")
    max_enqueued_batches: Annotated[int, whole_between(1, 10**6, "1-1000000 batches may wait", 100)] | None = Field(
        default=None, alias="maxEnqueuedBatches"
    )
    num_batch_threads: Annotated[int, whole_between(1, 1024, "there are 1-1024 batch threads", 4)] | None = Field(
        default=None, alias="numBatchThreads"
    )


def _predict_body(value: object) -> dict[str, Any]:
    right = "it is the body of a :predict request, an object with instances or inputs, of 100000 characters at most"
    if value is None:
        raise WrongValueError(right, {"instances": [1]})
    # escaped as it will be sent
    fits = isinstance(value, dict) and ("instances" in value or "inputs" in value) and len(json.dumps(value)) <= 10**5
    if not isinstance(value, dict) or not fits:
        raise WrongValueError(right, None)
    return value


class Warmup(Section):
    """Requests that a pod sends to its own server before it is ready.

    Attributes:
        request: the body of a :predict request.
        count: how often it is sent.
    """

    request: Annotated[dict[str, Any], BeforeValidator(_predict_body)] = Field(default=None, validate_default=True)
    count: Annotated[int, whole_between(1, 1000, "1-1000 warm-up requests are sent", 10)] = 10


class VersionInput(Section):
    """One version as it stands in the config."""

    model: fields.ModelNumber = Field(default=None, validate_default=True)
    replicas: fields.Replicas = 2
    autoscaling: Autoscaling | None = None
    gpu: Annotated[int, whole_between(0, 16, "a pod has 0-16 GPUs", 1)] = 0
    batching: Batching | None = None
    warmup: Warmup | None = None
    image: fields.Image | None = None
    load_timeout_seconds: fields.LoadTimeout = Field(default=600, alias="loadTimeoutSeconds")
    resources: Resources = Field(default_factory=Resources)


def _exact(value: object) -> str:
    # YAML and the command line read some texts as numbers and booleans
    text = str(value).lower() if isinstance(value, bool) else str(value) if isinstance(value, int | str) else ""
    if text and len(text) <= 256 and text.isascii() and text.isprintable() and text.strip() == text:
        return text
    raise WrongValueError("it is the text to compare with: ASCII, 1-256 characters, no space around it", "v2")


class Match(Section):
    """Requests that all go to one version, whatever the weights: those whose header or cookie has the value.

    Attributes:
        header: a request header's name.
        cookie: a cookie's name; either this or `header` is set.
        value: the whole value, compared exactly.
        version: where they go.
    """

    header: fields.HeaderName | None = None
    cookie: fields.CookieName | None = None
    value: Annotated[str, BeforeValidator(_exact)] = Field(default=None, validate_default=True)
    version: str = ""


class Mirror(Section):
    """A copy of requests that the weights have sent elsewhere; its answer goes nowhere.

    Attributes:
        version: where the copies go.
        percent: how many of the requests are copied.
    """

    version: str = ""
    percent: Annotated[int, whole_between(0, 100, "it is an integer from 0 to 100, percent of the requests", 100)] = 100


class OutlierEjection(Section):
    """When a pod that keeps failing is left out for a while, by each caller's proxy for itself.

    Attributes:
        consecutive_errors: 502, 503, 504 or no connection, in a row.
        ejection_seconds: how long the first time; the n-th time n times as long.
        max_percent: of a version's pods; below 100, so that a version never loses its last.
    """

    enabled: fields.Switch = True
    consecutive_errors: Annotated[int, whole_between(1, 1000, "1-1000 errors in a row eject a pod", 5)] = Field(
        default=5, alias="consecutiveErrors"
    )
    ejection_seconds: Annotated[int, whole_between(1, 3600, "a pod is ejected for 1-3600 seconds", 30)] = Field(
        default=30, alias="ejectionSeconds"
    )
    max_percent: Annotated[
        int, whole_between(1, 99, "1-99 percent of a version's pods may be ejected, so that one is always left", 50)
    ] = Field(default=50, alias="maxPercent")


class ModelInput(Section):
    """One model as it stands in the config."""

    path: fields.ModelPath = Field(default=None, validate_default=True)
    image: fields.Image | None = None
    stable: str | None = None
    versions: dict[str, VersionInput] = Field(default_factory=dict)
    mesh: fields.Switch = True
    callers: Callers = None
    jwt: Jwt | None = None
    strict_callers: fields.Switch = Field(default=True, alias="strictCallers")
    timeout_seconds: Annotated[
        int, whole_between(1, 3600, "a request may take 1-3600 seconds, its retries included", 30)
    ] = Field(default=30, alias="timeoutSeconds")
    retries: Annotated[int, whole_between(0, 10, "a request is tried again 0-10 times; 0 is never", 2)] = 2
    matches: tuple[Match, ...] = ()
    mirror: Mirror | None = None
    outlier_ejection: OutlierEjection = Field(default_factory=OutlierEjection, alias="outlierEjection")
    quota: Quota | None = None


def body_of(given: Any) -> dict[str, Any]:  # noqa: ANN401 # whatever JSON holds
    """What a place of the config holds when it is an object, and nothing when it is not; its shape tells that."""
    return given if isinstance(given, dict) else {}
