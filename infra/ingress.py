"""Ingress: the door in the mesh's gateway that callers from outside come through.

It says no more than where to listen and for which host; which model and version answers is the models' own routes.
"""

from dataclasses import dataclass

import pulumi

from infra import naming
from infra.component import Component
from infra.objects import KubernetesObject


@dataclass(frozen=True)
class IngressArgs:
    """What is let in.

    Attributes:
        host: the name that callers outside the mesh use.
        namespace: the models' namespace; routes of others cannot claim the host.
    """

    host: str
    namespace: str


class Ingress(Component):
    """One Gateway, plain HTTP on port 80."""

    def __init__(self, name: str, args: IngressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Ingress", name, opts)
        KubernetesObject(
            f"{name}-gateway",
            {
                "apiVersion": naming.ISTIO_NETWORKING,
                "kind": "Gateway",
                "metadata": {
                    "name": naming.INGRESS,
                    "namespace": args.namespace,
                    "labels": naming.part_of(),
                },
                "spec": {
                    "selector": naming.gateway_selector(),
                    "servers": [
                        {
                            "port": {"number": 80, "name": "http", "protocol": "HTTP"},
                            "hosts": [f"./{args.host}"],
                        }
                    ],
                },
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),  # the routes name it
        )
        self.register_outputs({})
