"""What the stack exports of a model. No Pulumi import."""

from typing import Any

from infra import naming
from infra.settings import ModelSettings, Settings


def model_summary(model: ModelSettings, settings: Settings) -> dict[str, Any]:
    """Return what an operator asks for first: the versions' numbers, their weights, and the URLs."""
    origin = settings.origin if model.mesh else None
    outside = {"externalUrl": naming.external_url(model.name, origin)} if origin else {}
    return {
        "versions": {version.name: version.model for version in model.versions},
        "weights": model.weights,
        "url": naming.model_url(model.name, settings.namespace),
        **outside,
    }
