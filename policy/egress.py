"""No wildcard among the hosts that the mesh lets out, unless the stack's config lists it with a reason.

    pulumi config set --path 'policy:allowedWildcards["*.example.com"]' 'the CDN names its hosts by the hour'

An outbound policy of ALLOW_ANY is the wildcard of all hosts, "*".
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.helm import is_istiod
from policy.resource import Resource, entries

KEY: Final = "allowedWildcards"
_MODE: Final = ("outboundTrafficPolicy", "mode")


def allowed_wildcards(text: str | None) -> Mapping[str, Any]:
    """Read the list from its JSON text in the config: reasons by host. What is no object lists nothing."""
    try:
        listed = json.loads(text or "{}")
    except ValueError:
        return {}
    return listed if isinstance(listed, dict) else {}


def violations(resource: Resource, allowed: Mapping[str, Any]) -> Iterator[str]:
    """Yield the wildcards of a ServiceEntry, and an open outbound policy, that are not listed or have no reason."""
    for path, shown, host in _wildcards(resource):
        reason = allowed.get(host)
        if isinstance(reason, str) and reason.strip():
            continue
        listed = f"policy:{KEY} lists it without a reason" if host in allowed else f"policy:{KEY} does not list it"
        yield resource.wrong(
            path,
            shown,
            f"the mesh lets named hosts out, and {listed}",
            "Name the hosts (pulumi config set --path 'egress.hosts[0].host' api.example.com), or run: "
            f"pulumi config set --path 'policy:{KEY}[\"{host}\"]' 'the reason'",
        )


def _wildcards(resource: Resource) -> Iterator[tuple[str, str, str]]:
    if resource.is_kind("networking.istio.io", "ServiceEntry"):
        for index, host in enumerate(entries(resource.at("spec", "hosts"))):
            if isinstance(host, str) and "*" in host:
                yield f"spec.hosts[{index}]", host, host
    for path in (("values", "meshConfig"), ("spec",)):
        speaks = is_istiod(resource) if path[0] == "values" else resource.is_kind("networking.istio.io", "Sidecar")
        if speaks and resource.at(*path, *_MODE) == "ALLOW_ANY":
            yield ".".join((*path, *_MODE)), "ALLOW_ANY", "*"
