"""Whether the API server, when it calls the sidecar injector, trusts the stack's own root."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kubernetes.client import AdmissionregistrationV1Api

LABEL = "app=sidecar-injector"  # each revision of Istio has an injector with webhooks of its own


def untrusting(api: AdmissionregistrationV1Api, root_pem: str) -> list[str]:
    """Return the names of the injector's webhooks whose caBundle is not this root; istiod writes it once it is ready.

    Args:
        api: the cluster's.
        root_pem: the certificate in PEM, as the stack exports it.
    """
    return [
        webhook.name
        for each in api.list_mutating_webhook_configuration(label_selector=LABEL).items
        for webhook in each.webhooks or []
        if base64.b64decode(webhook.client_config.ca_bundle or "").decode().split() != root_pem.split()
    ]
