"""The provider's own configuration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from sandbox.plugins.gcp.google.resource import Setting
from sandbox.plugins.gcp.schema import PROVIDER, schema_of
from sandbox.plugins.gcp.values import UNKNOWN, Secret, Tree

_SECRET = ("accessToken", "credentials")
# Pulumi's own additions to the provider's, and the engine's, for every provider.
_MORE = ("skipRegionValidation", "disableGlobalProjectWarning", "version", "pluginDownloadURL", "pluginChecksums")
_PACKAGES = ("gcp", "google-beta")
"""The plugin holds two providers that read the same keys, and both complain."""
_ENVIRONMENT = {
    "project": ("GOOGLE_PROJECT", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT", "CLOUDSDK_CORE_PROJECT"),
    "region": ("GOOGLE_REGION", "GCLOUD_REGION", "CLOUDSDK_COMPUTE_REGION"),
    "zone": ("GOOGLE_ZONE", "GCLOUD_ZONE", "CLOUDSDK_COMPUTE_ZONE"),
}
_OWN_LABELS = {"goog-pulumi-provisioned": "true"}


def check(provider: str, news: Tree) -> tuple[Tree, list[str]]:
    """Return the checked configuration, with tokens as secrets, and what is wrong with it.

    Args:
        provider: the provider's name; that of the engine's own begins with `default`.
        news: as configured.
    """
    known = schema_of(PROVIDER).inputs.fields
    failures = []
    for name in news:
        if name in known or name in _MORE:
            continue
        if not provider.startswith("default"):
            failures.append(
                "could not validate provider configuration: Invalid or unknown key. "
                f"Examine values at '{provider}.{name}'."
            )
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
        failures += [
            f"`{package}:{name}` is not a valid configuration key for the {package} provider."
            + (f" Did you mean `{package}:{near[0]}`?" if near else "")
            + f" If the referenced key is not intended for the provider, please choose a different namespace from "
            f"`{package}:`."
            for package in _PACKAGES
        ]
    return {name: Secret(value) if name in _SECRET else value for name, value in news.items()}, failures


def setting(arguments: Tree, environ: Mapping[str, str]) -> Setting:
    """Return what resources fall back on. No token is kept: nothing here would use it."""

    def value(name: str) -> str:
        configured = arguments.get(name)
        if configured not in (None, "", UNKNOWN):
            return str(configured)
        return next((environ[variable] for variable in _ENVIRONMENT[name] if environ.get(variable)), "")

    labelled = arguments.get("addPulumiAttributionLabel") not in (False, "false")
    return Setting(value("project"), value("region"), value("zone"), _OWN_LABELS if labelled else {})
