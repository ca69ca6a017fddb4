"""The page of a rollout shows its steps, figures and reasons, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from infra.metrics import series
from infra.settings import ModelSettings
from rollout import journal
from rollout.errors import RolloutError
from rollout.figures import Now, Samples
from rollout.gate import Measured
from rollout.journal import Journal
from rollout.report import page

START = 1_790_000_000.0


class Known:
    """Figures that rise and fall as somebody says."""

    def __init__(self, **found: dict[str, Samples]) -> None:
        self.found = found

    def history(self, metric: str, model: str, start: float, end: float, step: float) -> dict[str, Samples]:
        assert (model, start < end, step >= 1) == ("half-plus", True, True)
        return self.found.get(metric.replace(":", "_"), {})

    def measured(self, model: str, version: str, start: float, end: float) -> Measured:
        raise NotImplementedError

    def now(self, model: str) -> dict[str, Now]:
        raise NotImplementedError


@pytest.fixture
def model(stack: Any) -> ModelSettings:
    models = {"half-plus": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}, "v2": {"model": 2}}}}
    return stack(models=models).parse().models[0]  # type: ignore[no-any-return]


@pytest.fixture
def log(tmp_path: Path) -> Journal:
    log = Journal(tmp_path / "rollouts" / "j.jsonl")
    log.add(journal.STEP, START, version="v2", weight=5, override="a <b>hotfix</b>")
    log.add(journal.CONVERGED, START + 4, weight=5, proxies=24, seconds=0.62)
    reasons = ["errors: v2 5.00 % of 1,000 failed", "exact <binomial> intervals"]
    details: dict[str, Any] = {"answer": "fail", "headline": "fail", "start": START + 4}
    log.add(journal.GATE, START + 60, version="v2", weight=5, reasons=reasons, **details)
    log.add(journal.ROLLED_BACK, START + 62, version="v2", recorded=True)
    return log


def test_the_page_tells_steps_reasons_and_figures(model: ModelSettings, log: Journal) -> None:
    shares: dict[str, Samples] = {
        "v1": [(START, 1.0), (START + 30, 0.95)],
        "v2": [(START, 0.0), (START + 30, 0.05)],
        "unknown": [(START, 0.0)],
    }
    errors: dict[str, Samples] = {"v2": [(START + 30, 0.05), (START + 40, float("nan"))]}
    figures = Known(**{series.SHARE.replace(":", "_"): shares, series.ERROR_RATIO.replace(":", "_"): errors})
    text = page(model, "local", log.last(), figures, START + 1000)
    assert "<title>half-plus on local: v2 is rolled back</title>" in text
    assert "beyond the limits: a &lt;b&gt;hotfix&lt;/b&gt;" in text
    assert "24 proxies have it, after 0.6 s" in text
    assert "<li>errors: v2 5.00 % of 1,000 failed</li><li>exact &lt;binomial&gt; intervals</li>" in text
    drawn = [ET.fromstring(each) for each in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]  # noqa: S314 - our own
    assert len(drawn) == 2
    assert [line[0].text for line in drawn[0].iter("polyline")] == ["v1", "v2"]
    assert "nan" not in text
    assert text.count("No figures of this time.") == 3
    assert [each.text for each in drawn[0].iter("text") if each.text in {"5 %", "back"}] == ["5 %", "back"]


def test_the_page_needs_nothing_from_elsewhere(model: ModelSettings, log: Journal) -> None:
    text = page(model, "local", log.last(), Known(), START + 1000)
    assert not re.search(r"https?:|<script|<link|url\(|@import", text)


def test_a_rollout_under_way_goes_on_to_now(model: ModelSettings, tmp_path: Path) -> None:
    log = Journal(tmp_path / "j.jsonl")
    log.add(journal.STEP, START, version="v2", weight=25)
    text = page(model, "local", log.last(), Known(), START + 3600)
    assert "under way at 25 %" in text
    assert time_range(text) == ("2026-09-21 14:13:20", "15:13:20")


def time_range(text: str) -> tuple[str, str]:
    found = re.search(r"<p>(.*?) to (.*?) UTC", text)
    assert found
    return found[1], found[2]


def test_without_a_rollout_there_is_no_page(model: ModelSettings) -> None:
    with pytest.raises(RolloutError, match="no rollout of half-plus on local is written down"):
        page(model, "local", [], Known(), START)
