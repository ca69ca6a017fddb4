"""What measures the models, as the config describes it. No Pulumi import."""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from infra import config_fields as fields
from infra.config_errors import MISSING, Remove, Report
from infra.config_fields import WrongValueError, whole_between
from infra.config_models import Resources, body_of
from infra.config_shape import Section

_LABEL: Final = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
# Which kind heeds which keys.
_ONLY: Final = {"prometheus": "bundled", "grafana": "bundled", "labels": "operator"}


def _labels(value: object) -> dict[str, str]:
    if isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(text, str) and _LABEL.fullmatch(key) and _LABEL_VALUE.fullmatch(text)
        for key, text in value.items()
    ):
        return dict(value)
    raise WrongValueError("it is an object of Kubernetes labels", {"release": "kube-prometheus-stack"})


class PrometheusSettings(Section):
    """The Prometheus of kind bundled.

    Attributes:
        persistent: whether its data outlives its pod, on a volume of the cluster's default class.
        storage: bytes of the volume, or of the node's disk without one; old data goes at four fifths of it.
        retention_days: days after which data goes in any case.
    """

    image: fields.Image = "prom/prometheus:v3.5.0"
    persistent: fields.Switch = True
    storage: fields.Memory = "20Gi"
    retention_days: Annotated[int, whole_between(1, 3650, "data is kept for 1-3650 days", 15)] = Field(
        default=15, alias="retentionDays"
    )
    resources: Resources = Field(default_factory=Resources)


class GrafanaSettings(Section):
    """The Grafana of kind bundled."""

    enabled: fields.Switch = True
    image: fields.Image = "grafana/grafana:12.1.1"


class MonitoringSettings(Section):
    """What measures the models.

    Attributes:
        kind: none; bundled, a Prometheus and a Grafana of the stack's own; operator, objects for a Prometheus Operator
            that is there already.
        namespace: where all of it lives; the program makes it.
        telemetry: what the mesh's proxies count requests by: Istio's standard metrics, or Envoy's own statistics.
        interval_seconds: between two scrapes, and two evaluations of the rules.
        exporter_image: a Python that runs the exporter of weights.
        labels: by which the operator chooses its objects.
    """

    kind: Annotated[Literal["none", "bundled", "operator"], fields.one_of("none", "bundled", "operator")] = "none"
    namespace: fields.NamespaceName = "tfserving-monitoring"
    telemetry: Annotated[Literal["istio", "envoy"], fields.one_of("istio", "envoy")] = "istio"
    interval_seconds: Annotated[
        int, whole_between(1, 30, "it is 1-30 seconds, as rates are taken over a minute", 15)
    ] = Field(default=15, alias="intervalSeconds")
    exporter_image: fields.Image = Field(default="python:3.13-slim", alias="exporterImage")
    prometheus: PrometheusSettings = Field(default_factory=PrometheusSettings)
    grafana: GrafanaSettings = Field(default_factory=GrafanaSettings)
    labels: Annotated[dict[str, str], BeforeValidator(_labels)] = Field(default_factory=dict)

    @property
    def is_on(self) -> bool:
        """Whether anything is measured."""
        return self.kind != "none"


def check_monitoring(report: Report) -> None:
    """Report keys that the kind of monitoring does not heed, and a namespace that is the models' own."""
    given = body_of(report.at(("monitoring",)))
    kind = given.get("kind", "none")
    for key, heeds in _ONLY.items():
        if given.get(key) not in (None, {}) and kind in {"none", "bundled", "operator"} - {heeds}:
            report.add(("monitoring", key), f"with kind: {kind} nothing heeds it", Remove(("monitoring", key)))
    models = report.at(("namespace",))
    if kind != "none" and given.get("namespace") == ("models" if models is MISSING else models):
        place = ("monitoring", "namespace")
        report.add(place, "it is the models' namespace, whose pods are the mesh's", Remove(place))
