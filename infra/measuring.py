"""Whether anything is measured; what measures is imported only where a stack asks for it."""

from typing import Any

import pulumi

from infra.settings import Settings


def kept(settings: Settings) -> list[str]:
    """Return which of Envoy's statistics the mesh's proxies have to keep, as regular expressions."""
    if not settings.monitoring.is_on:
        return []
    from infra.metrics.sources import needed_statistics

    return needed_statistics(settings.namespace, settings.monitoring.telemetry)


def monitor(
    settings: Settings, opts: pulumi.ResourceOptions, new_only: pulumi.ResourceOptions
) -> dict[str, pulumi.Input[Any]]:
    """Make what the config asks for.

    Args:
        settings: the stack's.
        opts: for objects in namespaces of the program's own.
        new_only: for the namespaces themselves.

    Returns:
        What the stack exports of it; nothing where nothing is measured.
    """
    if not settings.monitoring.is_on:
        return {}
    from infra.monitoring import Monitoring, MonitoringArgs  # with dashboards, whose library takes long to import

    encrypted = settings.ingress.host if settings.ingress and settings.ingress.is_encrypted else None
    args = MonitoringArgs(settings.monitoring, settings.namespace, encrypted)
    return {"monitoring": Monitoring("monitoring", args, opts, new_only).access}
