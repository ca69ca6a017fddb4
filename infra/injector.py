"""SidecarInjector: who gets a sidecar, and the CA behind the injector's webhook and every workload certificate.

A pod gets a sidecar when its namespace is labelled and it asks for one. The CA is a root and an intermediate, made once
and kept in the stack's encrypted state; istiod mounts the intermediate as the Secret `cacerts`, signs workload
certificates with it, and puts the root into its webhook's caBundle. The Secret has to be there before istiod first
starts: istiod would make a root of its own, and pods of two roots cannot talk to each other.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import certificates, naming
from infra.component import Component
from infra.config_certificates import CaSettings
from infra.objects import KubernetesObject
from infra.roots import FIRST, Roots, refusal, roots_of


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


@dataclass(frozen=True)
class Signer:
    """The intermediate, for who else has something to sign with it.

    Attributes:
        pair: its certificate and key, PEM, by these names; secret.
        generation: another one for every intermediate that is made.
    """

    pair: pulumi.Output[Mapping[str, str]]
    generation: str


class SidecarInjector(Component):
    """The opt-in policy, the CA, and the Secret that istiod mounts.

    While a root is replaced there are two, and both are what proxies and the webhook have to trust.
    """

    root_certificate: pulumi.Output[str]
    intermediate_certificate: pulumi.Output[str]
    istiod_values: Mapping[str, Any]
    signer: Signer

    def __init__(self, name: str, args: SidecarInjectorArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("SidecarInjector", name, opts)
        check = pulumi.ResourceHook(
            f"{name}-keeps-the-order-of-roots", refuse_skipped, pulumi.ResourceHookOptions(on_dry_run=True)
        )
        in_order = pulumi.ResourceOptions(hooks=pulumi.ResourceHookBinding(before_update=[check]))
        step = pulumi.Stash(f"{name}-roots", input=str(args.settings.roots), opts=self.child(in_order))
        roots = [self._root(number, args.settings, step) for number in args.settings.roots.numbers]
        signing = roots[0]
        intermediate = pulumi.Stash(
            _numbered(f"{name}-intermediate", args.settings.roots.signing),
            input=signing.output.apply(lambda stored: _issue(stored, args.settings)),
            opts=self.child(
                pulumi.ResourceOptions(
                    ignore_changes=["input"], replacement_trigger=args.settings.generation, depends_on=[step]
                )
            ),
        )
        trusted = pulumi.Output.all(*(root.output for root in roots))
        KubernetesObject(
            f"{name}-cacerts",
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {
                    "name": naming.CACERTS_SECRET,
                    "namespace": args.namespace,
                    "labels": naming.part_of(),
                    "annotations": {naming.CA_ROOTS: str(args.settings.roots)},
                },
                "type": "Opaque",
                "data": pulumi.Output.all(trusted, intermediate.output).apply(_cacerts),
            },
            # istiod mounts it by this name, so it cannot have another.
            opts=pulumi.ResourceOptions.merge(self.child(in_order), pulumi.ResourceOptions(delete_before_replace=True)),
        )
        self.root_certificate = pulumi.Output.unsecret(trusted.apply(_certificates))
        self.intermediate_certificate = pulumi.Output.unsecret(intermediate.output.apply(_certificate))
        generation = f"{args.settings.roots.signing}.{args.settings.generation}"
        self.signer = Signer(pulumi.Output.secret(intermediate.output), generation)
        self.istiod_values = _istiod_values(args.settings)
        self.register_outputs({})

    def _root(self, number: int, settings: CaSettings, step: pulumi.Stash) -> pulumi.Stash:
        # A new pair is offered on every run; the stash keeps its first one.
        return pulumi.Stash(
            _numbered(f"{self._name}-root", number),
            input=pulumi.Output.secret(_stored(certificates.make_root(lifetime=settings.root_lifetime))),
            opts=self.child(pulumi.ResourceOptions(ignore_changes=["input"], depends_on=[step])),
        )


def refuse_skipped(args: pulumi.ResourceHookArgs) -> None:
    """Refuse a step of a root's replacement that leaves another out; the step before is known to the state alone.

    Holds for both that record a step: the stash, before anything of the CA is made, and the Secret, which may be behind
    it when an update was interrupted.

    Raises:
        ValueError: with the step to take; Pulumi shows it, and ends the preview or the update.
    """
    before, after = _recorded(args.old_inputs), _recorded(args.new_inputs)
    problem = refusal(before, after) if before and after else None
    if problem:
        raise ValueError(str(problem))


def _recorded(inputs: Mapping[str, Any] | None) -> Roots | None:
    if not inputs:
        return None
    if "metadata" not in inputs:
        return roots_of(inputs["input"])
    # a Secret without a record is from before there were steps
    return roots_of((inputs["metadata"].get("annotations") or {}).get(naming.CA_ROOTS, str(FIRST)))


def _istiod_values(settings: CaSettings) -> dict[str, Any]:
    proxies = {
        # istiod signs for as long as a proxy asks; each asks for what it was told when its pod was made.
        "SECRET_TTL": f"{settings.workload_hours}h",
        "PROXY_CONFIG_XDS_AGENT": "true",  # takes other roots from istiod as it runs
    }
    return {
        "global": {"proxy": {"autoInject": "disabled"}},
        "meshConfig": {"defaultConfig": {"proxyMetadata": proxies}},
        "env": {"ISTIO_MULTIROOT_MESH": "true"},  # takes other roots from `cacerts` as it runs, and tells the proxies
    }


def _numbered(name: str, root: int) -> str:
    return name if root == FIRST.signing else f"{name}-{root}"


def _stored(pair: certificates.KeyPair) -> dict[str, str]:
    return {"certificate": pair.certificate_pem, "key": pair.key_pem}


def _loaded(stored: Mapping[str, str]) -> certificates.KeyPair:
    return certificates.KeyPair(certificate_pem=stored["certificate"], key_pem=stored["key"])


def _issue(root: Mapping[str, str], settings: CaSettings) -> dict[str, str]:
    return _stored(certificates.make_intermediate(_loaded(root), lifetime=settings.intermediate_lifetime))


def _cacerts(pairs: Sequence[Any]) -> dict[str, str]:
    roots, intermediate = pairs
    root, *others = map(_loaded, roots)
    files = certificates.cacerts(root, _loaded(intermediate), *others)
    return {name: base64.b64encode(content.encode()).decode() for name, content in files.items()}


def _certificate(stored: Mapping[str, str]) -> str:
    return stored["certificate"]


def _certificates(roots: Sequence[Mapping[str, str]]) -> str:
    return "".join(map(_certificate, roots))
