"""Who nodes and models are to Google Cloud, and the little that each may do.

Nodes run as an account that may write logs and metrics and pull images, and nothing else. A model's pods are an account
of their own by Workload Identity, which may read one bucket: the one the model's path names.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import TypeAlias

import pulumi
from pulumi_gcp import projects, serviceaccount, storage

from infra.component import Component

NODE_ROLES = ("roles/container.defaultNodeServiceAccount", "roles/artifactregistry.reader")
READER_ROLE = "roles/storage.objectViewer"
Grant: TypeAlias = projects.IAMMember | serviceaccount.IAMMember | storage.BucketIAMMember
ACCOUNT_ID_LIMIT = 30  # characters, at least 6; a letter first


def account_id(*parts: str) -> str:
    """Return a service account's ID made of names; where these do not fit, a hash keeps two of them apart."""
    whole = "-".join(parts)
    plain = re.sub(r"[^a-z0-9]+", "-", whole.lower()).strip("-")
    if plain == whole and len(plain) <= ACCOUNT_ID_LIMIT:
        return plain
    digest = hashlib.sha256(whole.encode()).hexdigest()[:6]
    return f"{plain[: ACCOUNT_ID_LIMIT - 7].rstrip('-')}-{digest}"


def bucket_of(path: str) -> str | None:
    """Return the bucket of a model's base path; None when it is not on Google Cloud Storage."""
    scheme, _, rest = path.partition("://")
    return rest.partition("/")[0] if scheme == "gs" else None


class NodeIdentity(Component):
    """The service account of all nodes.

    Attributes:
        email: how Google Cloud knows it; who reads it waits for the roles.
    """

    email: pulumi.Output[str]

    def __init__(self, name: str, project: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("NodeIdentity", name, opts)
        account = serviceaccount.Account(
            f"{name}-account",
            account_id=account_id("gke-nodes", pulumi.get_stack()),
            display_name=f"Nodes of {pulumi.get_project()}/{pulumi.get_stack()}",
            opts=self.child(),
        )
        grants = [
            projects.IAMMember(
                f"{name}-{role.rpartition('.')[2]}",
                project=project,
                role=role,
                member=account.member,
                opts=self.child(),
            )
            for role in NODE_ROLES
        ]
        self.email = _granted(account, *grants)
        self.register_outputs({})


@dataclass(frozen=True)
class BucketReaderArgs:
    """A model's pods, and what they read.

    Attributes:
        model: the model's name, which is its Kubernetes service account's as well.
        namespace: the models' namespace.
        bucket: the bucket's name.
        project: the project whose workload identity pool the cluster uses.
    """

    model: str
    namespace: str
    bucket: str
    project: str


class BucketReader(Component):
    """An account that one model's pods are by Workload Identity, and that may read one bucket.

    Attributes:
        email: what the Kubernetes service account is annotated with; who reads it waits until the roles are granted,
            and IAM may take minutes more until they hold.
    """

    email: pulumi.Output[str]

    def __init__(self, name: str, args: BucketReaderArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("BucketReader", name, opts)
        account = serviceaccount.Account(
            f"{name}-account",
            account_id=account_id("tfs", pulumi.get_stack(), args.model),
            display_name=f"Model {args.model} of {pulumi.get_project()}/{pulumi.get_stack()}",
            opts=self.child(),
        )
        pods = serviceaccount.IAMMember(
            f"{name}-workload-identity",
            service_account_id=account.name,
            role="roles/iam.workloadIdentityUser",
            member=f"serviceAccount:{args.project}.svc.id.goog[{args.namespace}/{args.model}]",
            opts=self.child(),
        )
        bucket = storage.BucketIAMMember(
            f"{name}-bucket", bucket=args.bucket, role=READER_ROLE, member=account.member, opts=self.child()
        )
        self.email = _granted(account, pods, bucket)
        self.register_outputs({})


def _granted(account: serviceaccount.Account, *grants: Grant) -> pulumi.Output[str]:
    """The account's email, for whom it is of no use before its roles are granted: a node that may not register."""
    return pulumi.Output.all(account.email, *(grant.etag for grant in grants)).apply(lambda known: str(known[0]))
