"""Kubernetes objects and Helm releases as resources, written with the API's own keys.

pulumi_kubernetes has a class for every kind, and importing those of the core API takes longer than all the rest of a
weight-only `up` (bench/step shows it): they come with every type that any kind nests. That of a Release comes with what
renders YAML, an HTTP client among it. The resources here have the same type tokens and inputs, so plugin, state and
previews are the same; tests hold their keys against those classes.
"""

from collections.abc import Mapping
from typing import Any

import pulumi


def type_token(api_version: str, kind: str) -> str:
    """Return the Pulumi type of a kind, as pulumi_kubernetes names it: `kubernetes:core/v1:Service`."""
    group_version = api_version if "/" in api_version else f"core/{api_version}"
    return f"kubernetes:{group_version}:{kind}"


class KubernetesObject(pulumi.CustomResource):
    """One object of a cluster.

    Attributes:
        metadata: as the cluster has it, with the name that was generated where none was given.
    """

    metadata: pulumi.Output[Mapping[str, Any]]

    def __init__(self, name: str, manifest: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        """Register an object.

        Args:
            name: its name in Pulumi.
            manifest: apiVersion, kind, metadata and the rest; values may be Outputs.
            opts: as for any resource.
        """
        secret = ["data", "stringData"] if manifest["kind"] == "Secret" else []
        opts = pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=secret))
        super().__init__(type_token(manifest["apiVersion"], manifest["kind"]), name, dict(manifest), opts)

    @property
    def object_name(self) -> pulumi.Output[str]:
        """The object's name in the cluster; who reads it waits for the object."""
        return self.metadata.apply(_name)


def _name(metadata: Mapping[str, Any]) -> str:
    return str(metadata["name"])


class HelmRelease(pulumi.CustomResource):
    """A chart that Helm installs, as pulumi_kubernetes.helm.v3.Release has it."""

    def __init__(self, name: str, args: Mapping[str, Any], opts: pulumi.ResourceOptions | None = None) -> None:
        """Register a release.

        Args:
            name: its name in Pulumi.
            args: chart, namespace, values and the rest, by the plugin's own names; values may be Outputs.
            opts: as for any resource.
        """
        # compat: a constant that the plugin's own class sends.
        super().__init__("kubernetes:helm.sh/v3:Release", name, {**args, "compat": "true"}, opts)
