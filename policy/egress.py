"""No wildcard among the hosts that the mesh lets out, unless the stack's config lists it with a reason.

    pulumi config set --path 'policy:allowedWildcards["*.example.com"]' 'the CDN names its hosts by the hour'

An outbound policy of ALLOW_ANY is the wildcard of all hosts, "*"; so is none in istiod's mesh, as that is its default.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from policy.helm import is_istiod
from policy.resource import Resource, Unknown, entries

KEY: Final = "allowedWildcards"
_MODE: Final = ("outboundTrafficPolicy", "mode")
_OPEN: Final = "ALLOW_ANY"
_MESH: Final = ("values", "meshConfig", *_MODE)
_NAME: Final = "Name the hosts (pulumi config set --path 'egress.hosts[0].host' api.example.com)"
_UNSET: Final = (
    "Take the stack's own value away (pulumi config rm --path istio.values.istiod.meshConfig.outboundTrafficPolicy)"
)


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
            f"{_NAME if shown in (host, _OPEN) else _UNSET}, or run: "
            f"pulumi config set --path 'policy:{KEY}[\"{host}\"]' 'the reason'",
        )


def _wildcards(resource: Resource) -> Iterator[tuple[str, str, str]]:
    if resource.is_kind("networking.istio.io", "ServiceEntry"):
        for index, host in enumerate(entries(resource.at("spec", "hosts"))):
            if isinstance(host, str) and "*" in host:
                yield f"spec.hosts[{index}]", host, host
    sidecar = ("spec", *_MODE)
    if resource.is_kind("networking.istio.io", "Sidecar") and resource.at(*sidecar) == _OPEN:
        yield ".".join(sidecar), _OPEN, "*"  # without one it has the mesh's
    mode = resource.at(*_MESH) if is_istiod(resource) else "REGISTRY_ONLY"
    if mode != "REGISTRY_ONLY" and not isinstance(mode, Unknown):
        yield ".".join(_MESH), f"missing, which is {_OPEN}" if mode is None else str(mode), "*"
