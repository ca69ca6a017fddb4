"""Where every rollout stands: each version as the config, the cluster, the proxies and the figures have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from infra import naming
from infra.config_models import body_of
from rollout.cluster_api import ApiError
from rollout.convergence import Convergence, Watch, proxies_of
from rollout.errors import RolloutError
from rollout.figures import Figures, Now
from rollout.mesh import Callers, callers
from rollout.route import read

if TYPE_CHECKING:
    from rich.table import Table

    from infra.settings import ModelSettings, Settings
    from rollout.cluster_api import ClusterApi


@dataclass(frozen=True)
class VersionStatus:
    """One version from all sides.

    Attributes:
        pods: "ready/wanted", or "none" where it is not deployed.
        configured: percent.
        in_route: percent in the cluster's route; None where it does not list the version.
        in_proxies: each percent that some proxy has, with the number of proxies.
        now: the last minute; None where there are no figures.
    """

    model: str
    version: str
    stable: bool
    pods: str
    configured: int
    in_route: int | None
    in_proxies: Mapping[int, int] = field(default_factory=dict)
    now: Now | None = None


def status(
    api: ClusterApi, settings: Settings, models: list[ModelSettings], figures: Figures
) -> tuple[list[VersionStatus], list[str]]:
    """Look at models.

    Returns:
        A row for each version, and what could not be told, a line each.
    """
    found = callers(api)
    rows: list[VersionStatus] = []
    notes = dict.fromkeys(behind(found, settings.istio.revision))
    for model in models:
        watch = Watch(proxies_of(api, found, settings.host), model.name, settings.namespace)
        try:
            proxies = watch.wait(model.weights, 0)
        finally:
            watch.close()
        route = _route(api, settings, model, notes)
        now = _now(figures, model.name, notes)
        for pod, answer in proxies.stragglers.items():
            if answer.error:
                notes[f"{pod} does not answer: {answer.error}"] = None
        rows += [
            VersionStatus(
                model=model.name,
                version=version.name,
                stable=version.name == model.stable,
                pods=_pods(api, settings.namespace, naming.version_name(model.name, version.name)),
                configured=version.weight,
                in_route=route.get(version.name),
                in_proxies=_in_proxies(proxies, version.name),
                now=None if now is None else now.get(version.name, Now()),
            )
            for version in model.versions
        ]
    return rows, list(notes)


def behind(found: Callers, revision: str) -> list[str]:
    """Name the workloads whose proxies are not of Istio's revision in use: that one's istiod is still needed."""
    return [
        f"{workload}: {'1 proxy is' if count == 1 else f'{count} proxies are'} of Istio's revision {other}, "
        f"not of {revision}. Its pods have to be made anew"
        for other, workloads in sorted(found.revisions.items())
        if other != revision
        for workload, count in sorted(workloads.items())
    ]


def table(rows: list[VersionStatus]) -> Table:
    """Lay the rows out."""
    from rich.table import Table

    shown = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))  # fits into 80
    for heading in ("Model", "Version", "Pods"):
        shown.add_column(heading)
    for heading in ("Config", "Route", "Proxies", "Share", "Errors", "p50", "p99"):
        shown.add_column(heading, justify="right")
    last = ""
    for row in rows:
        now = row.now or Now()
        shown.add_row(
            "" if row.model == last else row.model,
            f"{row.version} stable" if row.stable else row.version,
            row.pods,
            f"{row.configured} %",
            "none" if row.in_route is None else f"{row.in_route} %",
            proxies_text(row.in_proxies),
            _percent(now.share),
            _percent(now.errors),
            _milliseconds(now.p50),
            _milliseconds(now.p99),
        )
        last = row.model
    return shown


def proxies_text(in_proxies: Mapping[int, int]) -> str:
    """Write what proxies have: 25 %, or, while they differ, 25 % (23), 5 % (1), the most first."""
    if len(in_proxies) == 1:
        return f"{next(iter(in_proxies))} %"
    ordered = sorted(in_proxies.items(), key=lambda entry: (-entry[1], entry[0]))
    return ", ".join(f"{weight} % ({count})" for weight, count in ordered) or "no proxy"


def _in_proxies(proxies: Convergence, version: str) -> dict[int, int]:
    counts: dict[int, int] = {}
    for answer in proxies.answers.values():
        if answer.weights is not None:
            weight = answer.weights.get(version, 0)
            counts[weight] = counts.get(weight, 0) + 1
    return counts


def _route(api: ClusterApi, settings: Settings, model: ModelSettings, notes: dict[str, None]) -> Mapping[str, int]:
    try:
        return read(api, model.name, settings.namespace).weights
    except ApiError as error:
        notes[f"{model.name} has no route: {error}"] = None
        return {}


def _now(figures: Figures, model: str, notes: dict[str, None]) -> Mapping[str, Now] | None:
    try:
        return figures.now(model)
    except RolloutError as error:
        notes[f"no figures: {error}"] = None
        return None


def _pods(api: ClusterApi, namespace: str, name: str) -> str:
    try:
        found: Any = api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
    except ApiError:
        return "none"
    return f"{body_of(found.get('status')).get('readyReplicas', 0)}/{found['spec'].get('replicas', 1)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
