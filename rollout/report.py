"""One HTML page of a rollout that needs nothing but itself: what was done when, and why."""

from __future__ import annotations

import time
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

from infra.metrics import series
from rollout import journal
from rollout.errors import RolloutError
from rollout.figures import Figures, Samples
from rollout.journal import Event
from rollout.report_chart import chart

if TYPE_CHECKING:
    from infra.settings import ModelSettings

_MARGIN: Final = 30.0  # seconds shown before the first event and after the last
_POINTS: Final = 400
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:900px;margin:2em auto;padding:0 1em;color:#222}
h1{font-size:1.5em}h2{font-size:1.1em;margin:2em 0 .3em}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3em .8em .3em 0;border-bottom:1px solid #ddd;vertical-align:top}
svg{width:100%;font:11px system-ui,sans-serif}svg text{fill:#555}polyline{fill:none;stroke-width:1.8}
.grid{stroke:#e4e4e4}.mark{stroke:#999;stroke-dasharray:3 3}.legend span{margin-right:1.5em}
.legend i{display:inline-block;width:1em;height:.25em;margin-right:.4em;vertical-align:middle}
.pass{color:#2b6a36}.fail{color:#b3122f;font-weight:600}.more{color:#8a5a00}ul{margin:.2em 0;padding-left:1.2em}
"""


def page(model: ModelSettings, stack: str, events: Sequence[Event], figures: Figures, now: float) -> str:
    """Return the page.

    Args:
        model: whose rollout it is.
        stack: the stack's name.
        events: of the journal, one rollout's.
        figures: what was measured in that time.
        now: seconds since the epoch, the end of a rollout that has not ended.

    Raises:
        RolloutError: there is no rollout in the journal, or the figures cannot be had.
    """
    if not events:
        raise RolloutError(f"no rollout of {model.name} on {stack} is written down. Run: python -m rollout promote")
    ended = events[-1]["event"] in {journal.ROLLED_BACK, journal.PROMOTED}
    start, end = events[0]["at"] - _MARGIN, min(now, events[-1]["at"] + _MARGIN) if ended else now
    marks = [(event["at"], word) for event in events if (word := _mark(event))]
    title = f"{model.name} on {stack}: {_outcome(events)}"
    step = max(1.0, (end - start) / _POINTS)

    def of(metric: str, factor: float = 1.0, suffix: str = "") -> dict[str, Samples]:
        found = figures.history(metric, model.name, start, end, step)
        return {
            f"{version}{suffix}": [(at, factor * value) for at, value in samples]
            for version, samples in sorted(found.items())
            if version in model.weights
        }

    charts = [
        ("Share of the requests", of(series.SHARE, 100), "%", 100.0),
        ("Configured weight", of(series.WEIGHT), "%", 100.0),
        ("Failed requests", of(series.ERROR_RATIO, 100), "%", 1.0),
        ("Latency", of(series.LATENCY_P50, 1, " median") | of(series.LATENCY_P99, 1, " 99th percentile"), "ms", 0.0),
        ("Requests per second", of(series.REQUESTS), "/s", 0.0),
    ]
    drawn = [
        f"<h2>{escape(heading)}</h2>{chart(lines, marks, start, end, unit, top)}"
        for heading, lines, unit, top in charts
    ]
    rows = "".join(_row(event) for event in events)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f"<p>{_clock(events[0]['at'], '%Y-%m-%d %H:%M:%S')} to {_clock(end)} UTC, as callers' proxies see it.</p>"
        f"{''.join(drawn)}<h2>What was done, and why</h2><table>{rows}</table></body></html>\n"
    )


def _outcome(events: Sequence[Event]) -> str:
    last = events[-1]
    if last["event"] == journal.PROMOTED:
        return f"{last['version']} is promoted"
    if last["event"] == journal.ROLLED_BACK:
        return f"{last['version']} is rolled back"
    weight = next((event["weight"] for event in reversed(events) if "weight" in event), 0)
    return f"{'held' if last['event'] == journal.HELD else 'under way'} at {weight} %"


def _mark(event: Event) -> str:
    if event["event"] == journal.STEP:
        return f"{event['weight']} %"
    return {journal.ROLLED_BACK: "back", journal.PROMOTED: "stable"}.get(event["event"], "")


def _row(event: Event) -> str:
    return f"<tr><td>{_clock(event['at'])}</td><td>{_told(event)}</td></tr>"


def _told(event: Event) -> str:
    match event["event"]:
        case journal.STEP:
            reason = f"; beyond the limits: {escape(event['override'])}" if event.get("override") else ""
            return f"{escape(event['version'])} gets {event['weight']} %{reason}"
        case journal.CONVERGED:
            return f"{event['proxies']} proxies have it, after {event['seconds']:.1f} s"
        case journal.GATE:
            reasons = "".join(f"<li>{escape(reason)}</li>" for reason in event["reasons"])
            kind = escape(event["answer"])
            return f'<span class="{kind}">{escape(event["headline"])}</span> at {event["weight"]} %<ul>{reasons}</ul>'
        case journal.ROLLED_BACK:
            recorded = "" if event.get("recorded") else "; not recorded by Pulumi at once"
            return f"{escape(event['version'])} is rolled back{recorded}"
        case journal.PROMOTED:
            return f"{escape(event['version'])} is the stable version"
        case journal.HELD:
            return f"held at {event['weight']} %: {escape(event['why'])}"
    return escape(str(event["event"]))


def _clock(at: float, form: str = "%H:%M:%S") -> str:
    return time.strftime(form, time.gmtime(at))
