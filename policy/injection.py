"""A pod gets a sidecar when it asks for one, and only then.

The policy is istiod's; a namespace labelled istio-injection=enabled is right, since it injects nothing by itself under
that policy.
"""

from collections.abc import Iterator

from policy.helm import is_istiod
from policy.resource import Resource, Unknown

_MEND = (
    "It is set in infra/injector.py; a stack's own value goes by: pulumi config rm --path istio.values.istiod.{path}"
)


def violations(resource: Resource) -> Iterator[str]:
    """Yield the values of istiod's chart that inject pods which have not asked."""
    if not is_istiod(resource):
        return
    policy = resource.at("values", "global", "proxy", "autoInject")
    if policy != "disabled" and not isinstance(policy, Unknown):
        yield resource.wrong(
            "values.global.proxy.autoInject",
            policy,
            "it is disabled, so that a pod gets a sidecar only when it asks for one (the chart's default is enabled)",
            _MEND.format(path="global.proxy.autoInject"),
        )
    webhook = "sidecarInjectorWebhook"
    if resource.at("values", webhook, "enableNamespacesByDefault") is True:
        yield resource.wrong(
            f"values.{webhook}.enableNamespacesByDefault",
            True,  # noqa: FBT003 - the value that is shown
            "it is false, so that only labelled namespaces are looked at",
            _MEND.format(path=f"{webhook}.enableNamespacesByDefault"),
        )
    always = resource.at("values", webhook, "alwaysInjectSelector")
    if isinstance(always, list) and always:
        yield resource.wrong(
            f"values.{webhook}.alwaysInjectSelector",
            always,
            "it is empty, since it injects pods whatever the policy says",
            _MEND.format(path=f"{webhook}.alwaysInjectSelector"),
        )
