"""The alerts: they read recorded series, and are quiet where too few requests came to tell. No Pulumi import."""

from collections.abc import Iterator
from typing import Any, Final

from infra.metrics import series

# A difference counts when it is larger than this, and larger than chance brings in years of looking every few seconds.
SHARE_TOLERANCE: Final = 0.02
ERROR_TOLERANCE: Final = 0.005
DEVIATIONS: Final = 5
# Below the least lifetimes that the config takes, so that neither is told from the first day on.
INTERMEDIATE_DAYS: Final = 14
ROOT_DAYS: Final = 60


def groups(interval: int) -> list[dict[str, Any]]:
    """Return the group of alerts, as a rule file has it.

    Args:
        interval: seconds between two evaluations.
    """
    return [{"name": "tfserving-alerts", "interval": f"{interval}s", "rules": list(_alerts())}]


def _alerts() -> Iterator[dict[str, Any]]:
    yield _alert(
        "ModelShareOffWeight",
        f"abs({series.SHARE_OFFSET}) > {SHARE_TOLERANCE} and abs({series.SHARE_DEVIATIONS}) > {DEVIATIONS} "
        f"unless on (namespace, model) {series.EXCEPTIONS} > 0",
        minutes=5,
        severity="warning",
        summary="{{ $labels.model }} {{ $labels.version }} gets another share of requests than its weight",
        description="It is {{ $value | humanizePercentage }} off. Look which weights the proxies have.",
    )
    yield _alert(
        "ModelVersionErrorsAboveOthers",
        f"{series.ERROR_EXCESS} > {ERROR_TOLERANCE} and {series.ERROR_DEVIATIONS} > {DEVIATIONS}",
        minutes=2,
        severity="critical",
        summary="{{ $labels.model }} {{ $labels.version }} fails more often than the model's other versions",
        description="By {{ $value | humanizePercentage }} of its requests. "
        f'{{{{ if eq $labels.version "{series.NO_VERSION}" }}}}They reached no version: look which has no pods.'
        "{{ else }}If it is the canary: python -m rollout rollback {{ $labels.model }}{{ end }}",
    )
    yield _alert(
        "ModelVersionNotAvailable",
        f"{series.LOADED} < 1",
        minutes=5,
        severity="warning",
        summary="{{ $labels.model }} {{ $labels.version }} is not AVAILABLE in all of its pods",
        description="{{ $value | humanizePercentage }} of its pods can answer.",
    )
    yield _alert(
        "MeshProxiesOutOfSync",
        f"{series.CONNECTED} < {series.PROXIES}",
        minutes=5,
        severity="warning",
        summary="Some proxies have no connection to istiod, and keep the weights of before",
        description="Only {{ $value }} are connected.",
    )
    yield _alert(
        "MeshConfigRejected",
        f"{series.REJECTS} > 0",
        minutes=1,
        severity="warning",
        summary="A proxy refuses the configuration that istiod sends it, and keeps the one of before",
        description="istiod's log says which proxy, and why.",
    )
    yield _alert(
        "MeshIntermediateEnds",
        f"{series.INTERMEDIATE_LEFT} < {INTERMEDIATE_DAYS} * 86400",
        minutes=5,
        severity="critical",
        summary="istiod's CA, and with it each proxy's certificate, ends in {{ $value | humanizeDuration }}",
        description="Raise caGeneration by one and run pulumi up; no pod restarts.",
    )
    yield _alert(
        "MeshRootEnds",
        f"{series.ROOT_LEFT} < {ROOT_DAYS} * 86400",
        minutes=5,
        severity="warning",
        summary="The mesh's root ends in {{ $value | humanizeDuration }}",
        description="Replace it step by step, as docs/certificates.md says; begin with pulumi config set caRoot.",
    )
    yield _alert(
        "ModelWeightsUnknown",
        f"absent({series.WEIGHT})",
        minutes=5,
        severity="warning",
        summary="Nothing says which weights the routes have, so the alerts about shares are blind",
        description="Look at the pod of the weights' exporter.",
    )


def _alert(name: str, expr: str, *, minutes: int, severity: str, summary: str, description: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expr,
        "for": f"{minutes}m",
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": description},
    }
