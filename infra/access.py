"""AccessPolicy: who may call a model, and what they may ask of it.

The pods' proxies enforce it. A model without the mesh has none, so anybody in the cluster may call it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import naming
from infra.component import Component, after
from infra.config_access import ANY
from infra.objects import KubernetesObject
from infra.settings import ModelSettings, Settings

VERBS = ("classify", "predict", "regress")
GRPC_METHODS = (
    "PredictionService/Classify",
    "PredictionService/GetModelMetadata",
    "PredictionService/MultiInference",
    "PredictionService/Predict",
    "PredictionService/Regress",
    # ModelService has HandleReloadConfigRequest as well, by which a caller would have the pod serve other models.
    "ModelService/GetModelStatus",
)
# What somebody changed by hand is shown as a diff and put back, instead of ending in a field conflict.
_PUT_BACK = {"annotations": {"pulumi.com/patchForce": "true"}}


@dataclass(frozen=True)
class AccessPolicyArgs:
    """Who may call one model.

    Attributes:
        model: the model, in the mesh.
        namespace: the models' namespace.
        has_outside: whether requests come in through the gateway.
    """

    model: ModelSettings
    namespace: str
    has_outside: bool = False


def principal(account: str) -> str:
    """Return the mesh identity of a service account, NAMESPACE/NAME, as its certificate has it."""
    namespace, _, name = account.partition("/")
    return f"{naming.CLUSTER_DOMAIN}/ns/{namespace}/sa/{name}"


def authorization(args: AccessPolicyArgs) -> dict[str, Any]:
    """Return the AuthorizationPolicy's spec; what no rule allows is refused.

    Requests from outside have the gateway's identity. So where they need a token, the gateway's is left out of what is
    allowed without one, and allowed with one.
    """
    selector = {"selector": {"matchLabels": naming.selector(args.model.name)}, "action": "ALLOW"}
    sources = list(_sources(args))
    if not sources:
        return selector  # nobody
    callers = {} if sources == [{}] else {"from": [{"source": source} for source in sources]}
    return {**selector, "rules": [{**callers, "to": _operations(args.model.name)}]}


def _sources(args: AccessPolicyArgs) -> Iterator[dict[str, Any]]:
    """Generate the sources of requests that are allowed; an empty one is everybody."""
    gateway, token = principal(naming.GATEWAY_ACCOUNT), args.model.jwt
    listed = args.model.callers
    if listed == ANY:
        yield {"notPrincipals": [gateway]} if token else {}
    elif listed or (args.has_outside and not token):
        outside = [gateway] if args.has_outside and not token else []
        yield {"principals": [*map(principal, listed), *outside]}
    if token:
        yield {"principals": [gateway], "requestPrincipals": [f"{token.issuer}/*"]}


def _operations(name: str) -> list[dict[str, Any]]:
    """Return what may be asked of a model: no label, for the server has none.

    It is the same whatever versions there are. A change of it has the pods' proxies take up new listeners and close
    connections, and a request that is not tried again may be lost with one: no step of a rollout may do that.
    """
    whole = f"/v1/models/{name}"
    version = f"{whole}/versions/{{*}}"  # with its verb, for no template has a part of a segment
    calls = [*(f"{whole}:{verb}" for verb in VERBS), version]
    looks = [f"{part}{end}" for part in (whole, version) for end in ("", "/metadata")]
    methods = [f"{naming.GRPC_PATHS}{method}" for method in GRPC_METHODS]
    return [
        {"operation": {"methods": ["POST"], "paths": [*calls, *methods]}},
        {"operation": {"methods": ["GET"], "paths": looks}},
    ]


class AccessPolicy(Component):
    """What is allowed, how tokens are checked where they are asked for, and whether callers need a proxy.

    It is to be there before the model's pods, which would answer everybody until it is. What the pods need of the
    kubelet and of Prometheus comes in by the agent's port 15020, which proxies do not capture.
    """

    def __init__(self, name: str, args: AccessPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("AccessPolicy", name, opts)
        self._args = args
        chosen = {"selector": {"matchLabels": naming.selector(args.model.name)}}
        if not args.model.strict_callers:
            former = pulumi.ResourceOptions(aliases=[pulumi.Alias(name=f"{name}-strict-callers")])
            self._object("plain-callers", "PeerAuthentication", {**chosen, "mtls": {"mode": "PERMISSIVE"}}, former)
        checks = None
        if args.model.jwt is not None:
            rule = {
                "issuer": args.model.jwt.issuer,
                "audiences": list(args.model.jwt.audiences),
                **({"jwksUri": args.model.jwt.jwks_uri} if args.model.jwt.jwks_uri else {"jwks": args.model.jwt.jwks}),
                # By default a token in the query is taken too, where logs would keep it.
                "fromHeaders": [{"name": "Authorization", "prefix": "Bearer "}],
            }
            tokens = self._object("tokens", "RequestAuthentication", {**chosen, "jwtRules": [rule]})
            # A policy that asks for tokens before they are read would refuse the good ones too.
            checks = pulumi.ResourceOptions(depends_on=[tokens])
        self._object("callers", "AuthorizationPolicy", authorization(args), checks)
        self.register_outputs({})

    def _object(
        self, suffix: str, kind: str, spec: dict[str, Any], opts: pulumi.ResourceOptions | None = None
    ) -> KubernetesObject:
        model = self._args.model.name
        metadata = {"name": model, "namespace": self._args.namespace, "labels": naming.labels(model), **_PUT_BACK}
        return KubernetesObject(
            f"{self._name}-{suffix}",
            {"apiVersion": naming.ISTIO_SECURITY, "kind": kind, "metadata": metadata, "spec": spec},
            # one of a kind for each model, with its name
            opts=pulumi.ResourceOptions.merge(self.child(pulumi.ResourceOptions(delete_before_replace=True)), opts),
        )


class MutualTls(Component):
    """Pods of a namespace take requests by mutual TLS alone, but for those that a policy of their own excepts.

    It holds for the namespace and not for the mesh: pods elsewhere may have callers without a sidecar.
    """

    def __init__(self, name: str, namespace: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("MutualTls", name, opts)
        KubernetesObject(
            f"{name}-mutual-tls",
            {
                "apiVersion": naming.ISTIO_SECURITY,
                "kind": "PeerAuthentication",
                # No model has this name.
                "metadata": {"name": "default", "namespace": namespace, "labels": naming.part_of(), **_PUT_BACK},
                "spec": {"mtls": {"mode": "STRICT"}},
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # one for a namespace
        )
        self.register_outputs({})


def access_policies(settings: Settings, opts: pulumi.ResourceOptions) -> dict[str, tuple[pulumi.Resource, ...]]:
    """Make the policies of all models in the mesh.

    Returns:
        What each model's pods have to wait for. Mutual TLS is among it, and comes after every exception: a stack whose
        callers have no sidecar would lose them in between.
    """
    has_outside = settings.host is not None
    own = {
        model.name: AccessPolicy(model.name, AccessPolicyArgs(model, settings.namespace, has_outside), opts)
        for model in settings.models
        if model.mesh
    }
    exceptions = [own[model.name] for model in settings.models if model.mesh and not model.strict_callers]
    strict = MutualTls("models", settings.namespace, after(opts, *exceptions))
    return {model.name: (*([own[model.name]] if model.mesh else []), strict) for model in settings.models}
