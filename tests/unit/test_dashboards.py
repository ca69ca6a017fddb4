"""What the dashboards show, and that they read recorded series only."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.metrics import alerts, dashboards, rules, series

BOARDS: dict[str, Any] = {name: json.loads(text) for name, text in dashboards.dashboards().items()}
RECORDED = {rule["record"] for group in rules.groups("models", "istio", 15) for rule in group["rules"]}
NAMES = {value for name, value in vars(series).items() if name.isupper() and isinstance(value, str) and ":" in value}


def expressions(board: Any) -> Iterator[str]:
    for panel in board["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    yield from (each["expr"] for each in board["annotations"]["list"])


def metrics(expression: str) -> set[str]:
    """Every name in an expression that stands where a metric stands."""
    bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]', "", expression)
    bare = re.sub(r"\b(by|on|ignoring|without|group_left|group_right) \([^)]*\)", "", bare)
    words = set(re.findall(r"[A-Za-z_:][\w:]*", bare))
    functions = set(re.findall(r"([a-z_]+)\s*\(", bare)) | {"and", "or", "unless", "sum", "by"}
    return words - functions


def test_there_is_a_dashboard_for_each_question() -> None:
    assert list(BOARDS) == ["rollout.json", "mesh.json", "serving.json"]


def test_every_name_is_recorded_by_both_kinds_of_rules() -> None:
    assert NAMES == RECORDED
    assert {rule["record"] for group in rules.groups("models", "envoy", 15) for rule in group["rules"]} == RECORDED


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_reads_recorded_series_only(name: str) -> None:
    found = [metrics(each) for each in expressions(BOARDS[name])]
    assert all(found)
    assert set().union(*found) <= RECORDED


def test_alerts_read_recorded_series_only() -> None:
    for group in alerts.groups(15):
        for rule in group["rules"]:
            assert metrics(rule["expr"])
            assert metrics(rule["expr"]) <= RECORDED


def test_a_raw_metric_would_be_found() -> None:
    assert metrics('sum by (model) (rate(istio_requests_total{a="b"}[1m])) > 0') == {"istio_requests_total"}


def test_rollout_shows_share_errors_and_latency_of_each_version_and_marks_steps() -> None:
    board = BOARDS["rollout.json"]
    shown = set().union(*(metrics(each) for each in expressions(board)))
    assert {series.WEIGHT, series.SHARE, series.ERROR_RATIO, series.LATENCY_P50, series.LATENCY_P99} <= shown
    assert any(series.WEIGHT in each["expr"] for each in board["annotations"]["list"])
    share = board["panels"][0]
    assert [target["legendFormat"] for target in share["targets"]] == ["{{version}} configured", "{{version}} measured"]


def test_panels_do_not_overlap_and_read_the_data_source_that_is_provisioned() -> None:
    for board in BOARDS.values():
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        assert len(set(places)) == len(places)
        assert {panel["datasource"]["uid"] for panel in board["panels"]} == {"prometheus"}
