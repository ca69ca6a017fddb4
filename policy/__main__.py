"""The policy pack: `pulumi preview --policy-pack policy`, or `make preview STACK=dev`. Every policy is mandatory."""

import functools
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
)

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))  # the engine starts the pack with its own folder alone

from policy import egress, images, injection, networks, protection, readable, routes, sealing  # noqa: E402
from policy.resource import Resource  # noqa: E402
from policy.wire import resource_of  # noqa: E402


def mandatory(name: str, description: str, check: Callable[[Resource], Iterable[str]]) -> ResourceValidationPolicy:
    """A policy that stops the run with every message that its check yields."""

    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        for message in check(resource_of(args)):
            report(message, None)

    return ResourceValidationPolicy(name, description, validate, EnforcementLevel.MANDATORY)


def no_wildcard_egress(resource: Resource) -> Iterable[str]:
    """Check against the list in the stack's config, in a namespace that is the policies' own."""
    return egress.violations(resource, egress.allowed_wildcards(pulumi.Config("policy").get(egress.KEY)))


@functools.cache
def project_files() -> dict[Path, str]:
    """The texts of the project that the engine was called in, which is the one that the pack lies in as a rule."""
    called_in = Path(os.environ.get("PWD", ""))
    return readable.project_files(called_in if (called_in / "Pulumi.yaml").is_file() else PROJECT)


def no_plain_secrets() -> ResourceValidationPolicy:
    """A policy in two steps, since the SDK tells what is secret only to one that may change the resource.

    The first step notes what is not marked, and changes nothing; the second, which the engine takes right after it,
    reports it. A violation of such a policy counts as one of a mandatory policy.
    """
    noted: dict[str, list[str]] = {}

    def note(args: ResourceValidationArgs) -> None:
        noted[args.urn] = list(sealing.violations(resource_of(args)))

    def report_noted(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = resource_of(args)
        in_files = readable.violations(resource, project_files()) if resource.is_kind("core", "Secret") else ()
        for message in (*noted.pop(args.urn, ()), *in_files):
            report(message, None)

    return ResourceValidationPolicy(
        "no-plain-secrets",
        "No value of a Secret, and no private key, can be read in state, previews or the project's files.",
        report_noted,
        EnforcementLevel.REMEDIATE,
        remediate=note,
    )


PolicyPack(
    "tfserving-mesh",
    [
        mandatory("no-open-control-plane", "No control plane can be reached from all the world.", networks.violations),
        mandatory("production-is-protected", "A production cluster is protected from deletion.", protection.violations),
        mandatory("no-wildcard-egress", "Every host that the mesh lets out is named.", no_wildcard_egress),
        mandatory("pinned-images", "Every image is pinned.", images.violations),
        mandatory("shares-of-a-hundred", "The shares of every route sum to 100.", routes.violations),
        mandatory("injection-on-request", "A pod gets a sidecar only when it asks for one.", injection.violations),
        no_plain_secrets(),
    ],
)
