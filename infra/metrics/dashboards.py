"""The dashboards Rollout, Mesh and Serving: they read recorded series only. No Pulumi import, but Grafana's library."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from grafana_foundation_sdk.builders.common import VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import AnnotationQuery, Dashboard, QueryVariable
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import DataSourceRef, VariableRefresh

from infra import naming
from infra.metrics import series

SOURCE_UID: Final = "prometheus"  # of the data source; see `workloads.grafana_provisioning`
_SOURCE: Final = DataSourceRef(type_val="prometheus", uid=SOURCE_UID)
_MODEL: Final = 'model=~"$model"'
_WIDTH, _HEIGHT = 12, 8  # of a panel; a row is 24 wide


@dataclass(frozen=True)
class Graph:
    """One panel: queries by what the legend calls each of their lines."""

    title: str
    unit: str
    queries: dict[str, str]
    says: str = ""
    most: float | None = None


def _of(metric: str, side: str | None = None) -> str:
    return f'{metric}{{{_MODEL}, side="{side}"}}' if side else f"{metric}{{{_MODEL}}}"


def _rollout() -> Sequence[Graph]:
    version = "{{version}}"
    caller, own = series.SOURCE, series.DESTINATION
    return (
        Graph(
            "Share of requests, configured and measured",
            "percentunit",
            {
                f"{version} configured": f"{_of(series.WEIGHT)} / 100",
                f"{version} measured": _of(series.SHARE, caller),
            },
            "What the route in the cluster says, and what callers' proxies did in the last minute.",
            most=1,
        ),
        Graph("Error ratio", "percentunit", {version: _of(series.ERROR_RATIO, caller)}, "As callers see it."),
        Graph(
            "Latency at the callers",
            "ms",
            {
                f"{version} p50": _of(series.LATENCY_P50, caller),
                f"{version} p90": _of(series.LATENCY_P90, caller),
                f"{version} p99": _of(series.LATENCY_P99, caller),
            },
        ),
        Graph(
            "Latency at the version's own pods",
            "ms",
            {
                f"{version} p50": _of(series.LATENCY_P50, own),
                f"{version} p90": _of(series.LATENCY_P90, own),
                f"{version} p99": _of(series.LATENCY_P99, own),
            },
            "Less than at the callers by the way there and by what waited for a connection.",
        ),
        Graph("Requests", "reqps", {version: _of(series.REQUESTS, caller)}),
        Graph("Requests refused by a quota", "reqps", {version: _of(series.LIMITED)}, "Answered 429; no errors."),
        Graph("Requests in flight", "short", {version: _of(series.IN_FLIGHT)}),
        Graph("Errors above the other versions", "percentunit", {version: _of(series.ERROR_EXCESS)}),
        Graph("Pods whose model is AVAILABLE", "percentunit", {version: _of(series.LOADED)}, most=1),
    )


def _mesh() -> Sequence[Graph]:
    model, caller = "{{model}}", series.SOURCE
    requests, errors = (f"sum by (model) ({_of(metric, caller)})" for metric in (series.REQUESTS, series.ERRORS))
    buckets = f"sum by (model, le) ({_of(series.LATENCY_BUCKETS, caller)})"
    quantiles = {f"{model} p{int(q * 100)}": f"histogram_quantile({q}, {buckets})" for q in (0.5, 0.9, 0.99)}
    return (
        Graph("Requests", "reqps", {model: requests}),
        Graph("Success rate", "percentunit", {model: f"1 - {errors} / ({requests} > 0)"}, most=1),
        Graph("Latency", "ms", quantiles),
        Graph("Proxies", "short", {"scraped": series.PROXIES, "connected to istiod": series.CONNECTED}),
        Graph("Time from a change to its proxies", "s", {"p99": series.CONVERGENCE_P99}),
        Graph("Configurations that proxies refused", "cps", {"per second": series.REJECTS}),
    )


def _serving() -> Sequence[Graph]:
    version = "{{model}} {{version}}"
    return (
        Graph("Requests by status", "reqps", {f"{version} {{{{status}}}}": _of(series.SERVER_REQUESTS)}),
        Graph(
            "Latency of answered requests",
            "ms",
            {f"{version} p50": _of(series.SERVER_LATENCY_P50), f"{version} p99": _of(series.SERVER_LATENCY_P99)},
            "From the request's arrival in the server to its answer.",
        ),
        Graph("Time in the model's graph", "ms", {f"{version} p99": _of(series.SERVER_RUNTIME_P99)}),
        Graph("Attempts to load", "short", {f"{version} {{{{status}}}}": _of(series.SERVER_LOADS)}),
    )


def dashboards() -> dict[str, str]:
    """Return each dashboard's JSON by its file name."""
    made = {"rollout": _rollout(), "mesh": _mesh(), "serving": _serving()}
    return {f"{name}.json": _json(name, graphs) for name, graphs in made.items()}


def _json(name: str, graphs: Sequence[Graph]) -> str:
    board = (
        Dashboard(name.capitalize())
        .uid(f"{naming.PROJECT}-{name}")
        .tags([naming.PROJECT])
        .readonly()
        .time("now-1h", "now")
        .refresh("10s")
        .with_variable(
            QueryVariable("model")
            .datasource(_SOURCE)
            .query(f"label_values({series.WEIGHT}, model)")
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)  # noqa: FBT003 # the builder's
            .include_all(True)  # noqa: FBT003
            .all_value(".+")
        )
        .annotation(
            AnnotationQuery()
            .name("Weight changes")
            .datasource(_SOURCE)
            .enable(True)  # noqa: FBT003
            .icon_color("blue")
            .expr(f"changes({_of(series.WEIGHT)}[1m]) > 0")
        )
    )
    for graph in graphs:
        board.with_panel(_panel(graph))
    return json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(board.build())), indent=1)


def _panel(graph: Graph) -> Panel:
    legend = VizLegendOptions().display_mode(LegendDisplayMode.TABLE).placement(LegendPlacement.BOTTOM)
    panel = (
        Panel()
        .title(graph.title)
        .description(graph.says)
        .datasource(_SOURCE)
        .unit(graph.unit)
        .min(0)
        .span(_WIDTH)
        .height(_HEIGHT)
        .legend(legend.show_legend(True).calcs(["lastNotNull"]))  # noqa: FBT003
    )
    if graph.most is not None:
        panel.max(graph.most)
    for letter, (line, query) in zip("ABCDEF", graph.queries.items(), strict=False):
        panel.with_target(Dataquery().ref_id(letter).expr(query).legend_format(line))
    return panel
