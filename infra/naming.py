"""Names that objects find one another by: labels, fixed object names, ports, hosts, type tokens. No Pulumi import."""

from typing import Final

PROJECT: Final = "tfserving-mesh"

ISTIO_NAMESPACE: Final = "istio-system"
ISTIO_BASE_RELEASE: Final = "istio-base"
ISTIOD_RELEASE: Final = "istiod"
ISTIO_REVISION: Final = "istio.io/rev"  # Istio's label of what is a revision's, and its annotation of a proxy's pod
GATEWAY_RELEASE: Final = "istio-ingress"
ISTIO_NETWORKING: Final = "networking.istio.io/v1"
ISTIO_FILTERS: Final = "networking.istio.io/v1alpha3"
ISTIO_SECURITY: Final = "security.istio.io/v1"
INGRESS: Final = "ingress"
GATEWAY_ACCOUNT: Final = f"{ISTIO_NAMESPACE}/{GATEWAY_RELEASE}"  # the chart gives it the release's name
INGRESS_SECRET: Final = "ingress-tls"  # noqa: S105 # a name
CACERTS_SECRET: Final = "cacerts"  # noqa: S105 # the name istiod looks for, no secret itself
CA_ROOTS: Final = f"{PROJECT}/ca-roots"  # the annotation that says which roots a Secret holds
CLUSTER_DOMAIN: Final = "cluster.local"

# Istio reads a port's protocol from the prefix of its name.
GRPC_PORT: Final = 8500
GRPC_PORT_NAME: Final = "grpc-serving"
HTTP_PORT: Final = 8501
HTTP_PORT_NAME: Final = "http-serving"
# GKE's metadata server gives a pod the token of the service account that this annotation of its own names.
GOOGLE_IDENTITY: Final = "iam.gke.io/gcp-service-account"
# Says on a Deployment that its number of pods is not the config's.
SCALED_BY: Final = f"{PROJECT}/scaled-by"
METRICS_PATH: Final = "/monitoring/prometheus/metrics"
GRPC_PATHS: Final = "/tensorflow.serving."  # what the methods' paths begin with; none of them says which model is meant
MODEL_HEADER: Final = "model-name"  # so callers from outside say it in this header, which gRPC calls metadata


def type_token(component: str) -> str:
    """The Pulumi type of a component; it is part of every URN, so changing it replaces all that the component holds."""
    return f"{PROJECT}:index:{component}"


def version_name(model: str, version: str) -> str:
    """The name of what exists because of one version, its Deployment and its DestinationRule: `inception-v2`."""
    return f"{model}-{version}"


def service_host(service: str, namespace: str) -> str:
    """Full DNS name of a Service; Istio would read a short one relative to the namespace of the rule it stands in."""
    return f"{service}.{namespace}.svc.{CLUSTER_DOMAIN}"


def model_url(model: str, namespace: str) -> str:
    """Where a pod in the mesh reaches a model by REST; `:predict` and `/metadata` go behind it."""
    return f"http://{service_host(model, namespace)}:{HTTP_PORT}/v1/models/{model}"


def external_url(model: str, origin: str) -> str:
    """Where a caller outside the mesh reaches a model by REST, through the ingress gateway at `https://HOST`."""
    return f"{origin}/v1/models/{model}"


def gateway_selector() -> dict[str, str]:
    """The labels that Istio's chart gives the gateway's pods: the release's name without its `istio-`."""
    return {"istio": GATEWAY_RELEASE.removeprefix("istio-")}


def part_of() -> dict[str, str]:
    """Labels of everything that this program makes in a cluster."""
    return {"app.kubernetes.io/part-of": PROJECT, "app.kubernetes.io/managed-by": "pulumi"}


def labels(model: str) -> dict[str, str]:
    """Labels of what all versions of a model share."""
    return {
        **selector(model),
        "app.kubernetes.io/name": model,
        "app.kubernetes.io/component": "model-server",
        **part_of(),
    }


def version_labels(model: str, version: str) -> dict[str, str]:
    """Labels of one version's objects and pods.

    Istio's telemetry takes a workload's canonical name and revision from the app.kubernetes.io pair first and from
    `app` and `version` after it, and destination_version from `version`; with both set they agree.
    """
    return {**labels(model), "version": version, "app.kubernetes.io/version": version}


def selector(model: str) -> dict[str, str]:
    """The labels a model's Service finds the pods of all versions by."""
    return {"app": model}


def version_selector(model: str, version: str) -> dict[str, str]:
    """The labels a Deployment and a subset find one version's pods by; no more than these, as they are immutable."""
    return {**selector(model), "version": version}
