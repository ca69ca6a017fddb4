"""What a Google Cloud project has to allow before a cluster can be made in it."""

import pulumi
from pulumi_gcp import projects

from infra.component import Component

# The GKE API brings those of what it is made of; these are the ones that this program calls or its pods need.
APIS = (
    "cloudresourcemanager.googleapis.com",  # roles of the project
    "compute.googleapis.com",
    "container.googleapis.com",
    "dns.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",  # tokens of Workload Identity
    "storage.googleapis.com",
)


class ProjectApis(Component):
    """The APIs that a cluster and its models use, switched on; they stay on when the stack goes."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("ProjectApis", name, opts)
        for api in APIS:
            projects.Service(
                f"{name}-{api.partition('.')[0]}",
                service=api,
                # Others in the project may use it, and switching an API off takes its resources with it.
                disable_on_destroy=False,
                opts=self.child(),
            )
        self.register_outputs({})
