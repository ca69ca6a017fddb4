"""APIs that a project has enabled, and its service accounts."""

from __future__ import annotations

from sandbox.plugins.gcp.cloud import CloudError
from sandbox.plugins.gcp.google.resource import Api, Request, digits
from sandbox.plugins.gcp.values import UNKNOWN, Tree

ACCOUNT = "gcp:serviceaccount/account:Account"


class ServiceApi(Api):
    """APIs: enabling one twice is no error, and one that is kept enabled outlives its resource."""

    token = "gcp:projects/service:Service"  # noqa: S105 - a type
    shared = True

    def identity(self, request: Request) -> str:
        """`PROJECT/SERVICE`."""
        return f"{request.project}/{request.text('service')}"

    def outputs(self, request: Request) -> Tree:
        """Return nothing but the project."""
        return {"project": request.project}

    def stays(self, properties: Tree) -> bool:
        """Whether the API stays enabled, as it does unless the program says otherwise."""
        return not properties.get("disableOnDestroy")


class AccountApi(Api):
    """Service accounts."""

    token = ACCOUNT
    service = "iam.googleapis.com"
    service_title = "Identity and Access Management (IAM) API"

    def plan(self, request: Request) -> Tree:
        """Return what follows from the account's ID alone."""
        known = super().plan(request)
        if request.inputs.get("accountId") in (None, UNKNOWN) or known["project"] is UNKNOWN:
            return known
        email = self._email(request)
        return known | {"email": email, "member": f"serviceAccount:{email}"}

    def identity(self, request: Request) -> str:
        """`projects/PROJECT/serviceAccounts/EMAIL`."""
        return f"projects/{request.project}/serviceAccounts/{self._email(request)}"

    def outputs(self, request: Request) -> Tree:
        """Return the names that the account goes by."""
        identity = self.identity(request)
        return self.plan(request) | {"name": identity, "uniqueId": digits(identity, 21)}

    def conflict(self, identity: str) -> CloudError:
        """Return IAM's own words."""
        account, project = identity.rpartition("/")[2].partition("@")[0], identity.split("/")[1]
        return CloudError.of(
            409, f"Service account {account} already exists within project projects/{project}.", "alreadyExists"
        )

    def _email(self, request: Request) -> str:
        return f"{request.text('accountId')}@{request.project}.iam.gserviceaccount.com"
