"""SidecarInjector: who gets a sidecar, and the CA behind the injector's webhook and every workload certificate.

A pod gets a sidecar when its namespace is labelled and it asks for one. The CA is a root and an intermediate, made once
and kept in the stack's encrypted state; istiod mounts the intermediate as the Secret `cacerts`, signs workload
certificates with it, and puts the root into its webhook's caBundle. The Secret has to be there before istiod first
starts: istiod would make a root of its own, and pods of two roots cannot talk to each other.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import certificates, naming
from infra.component import Component
from infra.config_certificates import CaSettings
from infra.objects import KubernetesObject


@dataclass(frozen=True)
class SidecarInjectorArgs:
    """The injector's CA.

    Attributes:
        namespace: istiod's.
        settings: from the stack's config. Raising the generation makes a new intermediate key under the same root:
            istiod takes it up without a restart, and certificates of the old one stay valid until they expire.
    """

    namespace: pulumi.Input[str]
    settings: CaSettings


class SidecarInjector(Component):
    """The opt-in policy, the CA, and the Secret that istiod mounts.

    Deliberately not here: replacing the root. Pods of the old and the new root refuse each other, so it needs both
    in one trust bundle for a while.
    """

    root_certificate: pulumi.Output[str]
    intermediate_certificate: pulumi.Output[str]
    istiod_values: Mapping[str, Any]

    def __init__(self, name: str, args: SidecarInjectorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("SidecarInjector", name, opts)
        # A new pair is offered on every run; the stash keeps its first one.
        root = pulumi.Stash(
            f"{name}-root",
            input=pulumi.Output.secret(_stored(certificates.make_root(lifetime=args.settings.root_lifetime))),
            opts=self.child(pulumi.ResourceOptions(ignore_changes=["input"])),
        )
        intermediate = pulumi.Stash(
            f"{name}-intermediate",
            input=root.output.apply(lambda stored: _issue(stored, args.settings)),
            opts=self.child(
                pulumi.ResourceOptions(ignore_changes=["input"], replacement_trigger=args.settings.generation)
            ),
        )
        KubernetesObject(
            f"{name}-cacerts",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": naming.CACERTS_SECRET,
                    "namespace": args.namespace,
                    "labels": naming.part_of(),
                },
                "type": "Opaque",
                "data": pulumi.Output.all(root=root.output, intermediate=intermediate.output).apply(_cacerts),
            },
            # istiod mounts it by this name, so it cannot have another.
            opts=self.child(pulumi.ResourceOptions(delete_before_replace=True)),
        )
        self.root_certificate = pulumi.Output.unsecret(root.output.apply(_certificate))
        self.intermediate_certificate = pulumi.Output.unsecret(intermediate.output.apply(_certificate))
        # istiod signs for as long as a proxy asks; each asks for what it was told when its pod was made.
        asked = {"SECRET_TTL": f"{args.settings.workload_hours}h"}
        self.istiod_values = {
            "global": {"proxy": {"autoInject": "disabled"}},
            "meshConfig": {"defaultConfig": {"proxyMetadata": asked}},
        }
        self.register_outputs({})


def _stored(pair: certificates.KeyPair) -> dict[str, str]:
    return {"certificate": pair.certificate_pem, "key": pair.key_pem}


def _loaded(stored: Mapping[str, str]) -> certificates.KeyPair:
    return certificates.KeyPair(certificate_pem=stored["certificate"], key_pem=stored["key"])


def _issue(root: Mapping[str, str], settings: CaSettings) -> dict[str, str]:
    return _stored(certificates.make_intermediate(_loaded(root), lifetime=settings.intermediate_lifetime))


def _cacerts(pairs: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    files = certificates.cacerts(_loaded(pairs["root"]), _loaded(pairs["intermediate"]))
    return {name: base64.b64encode(content.encode()).decode() for name, content in files.items()}


def _certificate(stored: Mapping[str, str]) -> str:
    return stored["certificate"]
