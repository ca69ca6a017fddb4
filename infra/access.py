"""AccessPolicy: who may call a model. A model that everybody in the cluster may call has none."""

from dataclasses import dataclass

import pulumi

from infra import naming
from infra.component import Component
from infra.objects import KubernetesObject


@dataclass(frozen=True)
class AccessPolicyArgs:
    """Who may call one model.

    Attributes:
        model: its name.
        namespace: the models' namespace.
    """

    model: str
    namespace: str


class AccessPolicy(Component):
    """Callers without a sidecar are refused.

    Strict mutual TLS holds for the model's pods alone, not for the namespace or the mesh. The kubelet's probes, which
    Istio rewrites, and scrapes of metrics come in by the agent's port 15020, which its proxies do not capture.
    """

    def __init__(self, name: str, args: AccessPolicyArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("AccessPolicy", name, opts)
        KubernetesObject(
            f"{name}-strict-callers",
            {
                "apiVersion": naming.ISTIO_SECURITY,
                "kind": "PeerAuthentication",
                "metadata": {
                    "name": args.model,
                    "namespace": args.namespace,
                    "labels": naming.labels(args.model),
                },
                "spec": {
                    "selector": {"matchLabels": naming.selector(args.model)},
                    "mtls": {"mode": "STRICT"},
                },
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )
        self.register_outputs({})
