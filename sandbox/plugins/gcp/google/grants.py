"""Grants of a role to a member, on a project, a service account or a bucket. A grant that exists is granted again."""

from __future__ import annotations

import re
from typing import ClassVar

from sandbox.plugins.gcp.cloud import Cloud, CloudError
from sandbox.plugins.gcp.google.projects import ACCOUNT
from sandbox.plugins.gcp.google.resource import Api, Request, fingerprint
from sandbox.plugins.gcp.values import Tree, at

_POOL_MEMBER = re.compile(r"serviceAccount:(?P<pool>[^\[\]/]+\.svc\.id\.goog)\[[^\[\]/]+/[^\[\]/]+\]")
CLUSTER = "gcp:container/cluster:Cluster"


class _GrantApi(Api):
    target: ClassVar[str]
    """The property that names what the role is on."""
    shared = True

    def plan(self, request: Request) -> Tree:  # noqa: ARG002 - grants have no project but the target's
        """Return nothing: the policy's etag is not known before."""
        return {}

    def identity(self, request: Request) -> str:
        """`TARGET/ROLE/MEMBER`, and the title of a condition."""
        condition = at(request.inputs, "condition.title")
        parts = [
            self._target(request),
            request.text("role"),
            request.text("member"),
            *([condition] if condition else []),
        ]
        return "/".join(parts)

    def admit(self, request: Request) -> None:
        """Refuse members that do not exist."""
        member = request.text("member")
        if pool := _POOL_MEMBER.fullmatch(member):
            pools = {
                at(cluster, "workloadIdentityConfig.workloadPool") for cluster in request.cloud.all(CLUSTER).values()
            }
            if pool["pool"] not in pools:
                raise CloudError.of(
                    400,
                    f"Identity Pool does not exist ({pool['pool']}). Please check that you specified a valid resource "
                    "name as returned in the `name` attribute in the configuration API.",
                    "badRequest",
                )
        email = member.removeprefix("serviceAccount:")
        if member != email and email.endswith(".iam.gserviceaccount.com"):
            require_account(email, request.cloud)

    def outputs(self, request: Request) -> Tree:
        """Return the policy's etag."""
        return {"etag": fingerprint(self.identity(request))}

    def _target(self, request: Request) -> str:
        return request.text(self.target)


def require_account(email: str, cloud: Cloud) -> None:
    """Refuse to use a service account that does not exist.

    Raises:
        CloudError: as IAM says it.
    """
    if not any(account.get("email") == email for account in cloud.all(ACCOUNT).values()):
        raise CloudError.of(400, f"Service account {email} does not exist.", "badRequest")


class ProjectGrantApi(_GrantApi):
    """On a project."""

    token = "gcp:projects/iAMMember:IAMMember"  # noqa: S105 - a type
    target = "project"
    service = "cloudresourcemanager.googleapis.com"
    service_title = "Cloud Resource Manager API"


class AccountGrantApi(_GrantApi):
    """On a service account: who may be it."""

    token = "gcp:serviceaccount/iAMMember:IAMMember"  # noqa: S105 - a type
    target = "serviceAccountId"

    def admit(self, request: Request) -> None:
        """Refuse accounts and members that do not exist."""
        require_account(self._target(request).rpartition("/")[2], request.cloud)
        super().admit(request)


class BucketGrantApi(_GrantApi):
    """On a bucket; every bucket exists."""

    token = "gcp:storage/bucketIAMMember:BucketIAMMember"  # noqa: S105 - a type
    target = "bucket"

    def _target(self, request: Request) -> str:
        return f"b/{request.text('bucket').removeprefix('b/')}"
