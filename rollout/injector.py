"""Whether the API server, when it calls the sidecar injector, trusts the stack's own root."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.client import AdmissionregistrationV1Api

WEBHOOKS = "istio-sidecar-injector"


def untrusting(api: AdmissionregistrationV1Api, root_pem: str) -> list[str]:
    """Return the names of the injector's webhooks whose caBundle is not this root; istiod writes it once it is ready.

    Args:
        api: the cluster's.
        root_pem: the certificate in PEM, as the stack exports it.
    """
    webhooks = api.read_mutating_webhook_configuration(WEBHOOKS).webhooks or []
    bundles = {webhook.name: base64.b64decode(webhook.client_config.ca_bundle or "").decode() for webhook in webhooks}
    return [name for name, bundle in bundles.items() if bundle.split() != root_pem.split()]
