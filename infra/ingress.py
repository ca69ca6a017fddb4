"""Ingress: the door in the mesh's gateway that callers from outside come through.

It says where to listen, for which host and with which certificate, and what holds for every request; which model and
version answers is the models' own routes.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pulumi

from infra import certificates, naming
from infra.component import Component
from infra.config_ingress import IngressSettings
from infra.gateway_filter import gateway_filter
from infra.injector import Signer
from infra.objects import KubernetesObject
from infra.settings import Settings


@dataclass(frozen=True)
class IngressArgs:
    """What is let in.

    Attributes:
        settings: from the stack's config.
        namespace: the models' namespace; routes of others cannot claim the host.
        signer: what signs the host's certificate, where the program makes it.
    """

    settings: IngressSettings
    namespace: str
    signer: Signer


class Ingress(Component):
    """One Gateway, what its proxies do with every request, and the host's certificate unless somebody else keeps it.

    With a certificate the gateway answers by https on port 443, and on port 80 sends callers there; without, it answers
    on port 80.
    """

    def __init__(self, name: str, args: IngressArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Ingress", name, opts)
        held = self._filter(args.settings)
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
                    "servers": _servers(args.settings.host, self._certificate(args)),
                },
            },
            # The routes name it; and nobody is let in before all that holds for requests is in place.
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True, depends_on=[held])),
        )
        self.register_outputs({})

    def _filter(self, settings: IngressSettings) -> KubernetesObject:
        return KubernetesObject(
            f"{self._name}-filter",
            {
                "apiVersion": naming.ISTIO_FILTERS,
                "kind": "EnvoyFilter",
                "metadata": {
                    "name": naming.INGRESS,
                    "namespace": naming.ISTIO_NAMESPACE,
                    "labels": naming.part_of(),
                },
                "spec": gateway_filter(settings.max_request_bytes, is_encrypted=settings.is_encrypted),
            },
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )

    def _certificate(self, args: IngressArgs) -> pulumi.Input[str] | None:
        """The name of the Secret with the host's certificate, once it is there; None without encryption."""
        tls = args.settings.tls
        if tls.kind == "ca":
            return self._secret(self._made(args))
        if tls.kind == "given":
            return self._secret(pulumi.Output.secret({"certificate": tls.certificate, "key": tls.key}))
        return tls.secret

    def _made(self, args: IngressArgs) -> pulumi.Output[Any]:
        host, signer = args.settings.host, args.signer
        # A new certificate is offered on every run; the stash keeps its first one, until one of these changes.
        reasons = f"{host} {signer.generation} {certificates.renewal_number(datetime.now(UTC))}"
        kept = pulumi.Stash(
            f"{self._name}-certificate",
            input=signer.pair.apply(lambda stored: _issue(stored, host)),
            opts=self.child(pulumi.ResourceOptions(ignore_changes=["input"], replacement_trigger=reasons)),
        )
        return pulumi.Output.secret(kept.output)

    def _secret(self, pair: pulumi.Output[Any]) -> pulumi.Output[str]:
        secret = KubernetesObject(
            f"{self._name}-tls",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": naming.INGRESS_SECRET,
                    "namespace": naming.ISTIO_NAMESPACE,  # the gateway looks in its own
                    "labels": naming.part_of(),
                },
                "type": "kubernetes.io/tls",
                "data": pair.apply(_data),
            },
            # It keeps its name when it is renewed: for another the gateway would end every connection.
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )
        return secret.object_name


def doors_of(settings: Settings, signer: Signer, opts: pulumi.ResourceOptions) -> list[pulumi.Resource]:
    """Make what the config lets callers from outside come in by: nothing without a host."""
    if settings.ingress is None:
        return []
    return [Ingress("ingress", IngressArgs(settings.ingress, settings.namespace, signer), opts)]


def _servers(host: str, certificate: pulumi.Input[str] | None) -> list[dict[str, Any]]:
    hosts = [f"./{host}"]
    plain: dict[str, Any] = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": hosts}
    if certificate is None:
        return [plain]
    tls = {"mode": "SIMPLE", "credentialName": certificate, "minProtocolVersion": "TLSV1_2"}
    encrypted = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": hosts, "tls": tls}
    return [encrypted, plain | {"tls": {"httpsRedirect": True}}]


def _issue(signer: Mapping[str, str], host: str) -> dict[str, str]:
    pair = certificates.make_server(certificates.KeyPair(signer["certificate"], signer["key"]), host)
    return {"certificate": pair.certificate_pem, "key": pair.key_pem}


def _data(pair: Mapping[str, str]) -> dict[str, str]:
    files = {"tls.crt": pair["certificate"], "tls.key": pair["key"]}
    return {name: base64.b64encode(content.encode()).decode() for name, content in files.items()}
