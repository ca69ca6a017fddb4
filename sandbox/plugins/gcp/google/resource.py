"""What all of Google's APIs have in common, as far as resources of this stand-in see it."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from sandbox.plugins.gcp.cloud import Cloud, CloudError
from sandbox.plugins.gcp.values import UNKNOWN, Tree, name_of

COMPUTE = "https://www.googleapis.com/compute/v1/"
CONTAINER = "https://container.googleapis.com/v1/"
BORN = "2026-01-31T03:00:00.000-07:00"
"""When everything was created: a time of day would be different in each test run."""


class PlanError(Exception):
    """Inputs that the provider refuses while it plans, once each of them is right by itself."""


@dataclass(frozen=True)
class Setting:
    """The provider's configuration, as far as resources fall back on it; empty where it is not set."""

    project: str
    region: str
    zone: str
    labels: Mapping[str, str]
    """What the provider adds to labels of its own accord."""


@dataclass(frozen=True)
class Request:
    """One resource that shall be made, changed or planned."""

    setting: Setting
    inputs: Tree
    """Checked. Without unknown values, unless it is only planned."""
    before: Tree
    """The properties of the one that is changed; empty for a new one."""
    environ: Mapping[str, str]
    cloud: Cloud = field(default_factory=lambda: Cloud({}))
    """What exists; empty while it is only planned."""

    @property
    def project(self) -> str:
        """Its own project, or else the provider's.

        Raises:
            PlanError: neither is set.
        """
        found = self.inputs.get("project") or self.before.get("project") or self.setting.project
        if not found:
            raise PlanError("Failed to retrieve project, pid: , err: project: required field is not set")
        return str(found)

    @property
    def region(self) -> str:
        """Its own region, or else the provider's.

        Raises:
            CloudError: neither is set.
        """
        if found := self.inputs.get("region") or self.before.get("region") or self.setting.region:
            return name_of(str(found))
        if self.setting.zone:
            return self.setting.zone.rpartition("-")[0]
        raise CloudError("Cannot determine region: set in this resource, or set provider-level 'region' or 'zone'.")

    def text(self, name: str) -> str:
        """Return a text among the inputs; empty when it is not set."""
        return str(self.inputs.get(name) or "")


class Api(ABC):
    """One resource type. The methods are in the order in which a resource meets them."""

    token: ClassVar[str]
    service: ClassVar[str] = ""
    """The API that has to be enabled in the project, and how Google calls it."""
    service_title: ClassVar[str] = ""
    shared: ClassVar[bool] = False
    """Creating what exists is no error: it is the same thing."""

    def plan(self, request: Request) -> Tree:
        """Return the outputs that are known before Google is asked.

        Raises:
            PlanError: the inputs do not go together.
        """
        project = UNKNOWN if request.inputs.get("project") is UNKNOWN else request.project
        return {"project": project, "deletionPolicy": "DELETE"}

    @abstractmethod
    def identity(self, request: Request) -> str:
        """Return the ID."""

    def admit(self, request: Request) -> None:  # noqa: B027 - most things are never refused
        """Refuse what Google would refuse to make.

        Raises:
            CloudError: why.
        """

    @abstractmethod
    def outputs(self, request: Request) -> Tree:
        """Return the properties that the inputs do not have."""

    def dismiss(self, identity: str, cloud: Cloud) -> None:  # noqa: B027 - likewise
        """Refuse what Google would refuse to delete, or take along what goes with it.

        Raises:
            CloudError: why.
        """

    def stays(self, properties: Tree) -> bool:  # noqa: ARG002 - for those that look
        """Whether it outlives the resource that it was made by."""
        return False

    def require_service(self, request: Request) -> None:
        """Refuse what needs an API that the project has not enabled.

        Raises:
            CloudError: as Google says it.
        """
        project = request.project
        if (
            not self.service
            or request.cloud.get("gcp:projects/service:Service", f"{project}/{self.service}") is not None
        ):
            return
        raise CloudError.of(
            403,
            f"{self.service_title} has not been used in project {project} before or it is disabled. Enable it by "
            f"visiting https://console.developers.google.com/apis/api/{self.service}/overview?project={project} then "
            "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems "
            "and retry.",
            "accessNotConfigured",
        )

    def conflict(self, identity: str) -> CloudError:
        """Return the refusal of a second one with the same ID."""
        return CloudError.of(409, f"The resource '{identity}' already exists", "alreadyExists")


def digits(seed: str, count: int) -> str:
    """Return a number of so many digits that follows from the seed, as an opaque number of Google's."""
    number = int(hashlib.sha256(seed.encode()).hexdigest(), 16) % 10 ** (count - 1)
    return f"{number + 10 ** (count - 1)}"


def fingerprint(content: object) -> str:
    """Return what Google would show as a fingerprint or an etag."""
    return hashlib.sha256(repr(content).encode()).hexdigest()[:12]


def not_found(kind: str) -> CloudError:
    """Return the refusal to refer to what is not there."""
    return CloudError.of(404, f"The resource '{kind}' was not found", "notFound")
