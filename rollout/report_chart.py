"""A line chart as SVG, to stand inside a page: a line for each version, a mark for each step."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from rollout.figures import Samples

_WIDTH: Final = 860
_HEIGHT: Final = 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 10, 18, 24
_COLOURS: Final = ("#1b6ca8", "#d1495b", "#3a7d44", "#8d5a97", "#b5720a")  # told apart by the colour-blind as well
_LINES: Final = 4


def chart(
    lines: Mapping[str, Samples],
    marks: Sequence[tuple[float, str]],
    start: float,
    end: float,
    unit: str,
    top: float = 0.0,
) -> str:
    """Draw lines over time.

    Args:
        lines: samples by what the line is called.
        marks: moments with a word for each.
        start: seconds since the epoch, the left end.
        end: the right one.
        unit: of the values.
        top: up to which value the chart goes at least.

    Returns:
        An `svg` element, or a sentence where there is nothing to draw.
    """
    values = [value for samples in lines.values() for _, value in samples if math.isfinite(value)]
    if not values:
        return "<p>No figures of this time.</p>"
    highest = _round_up(max(*values, top, 1e-9))
    span = max(end - start, 1e-9)

    def x(moment: float) -> float:
        return _LEFT + (moment - start) / span * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - value / highest * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">']
    for step in range(_LINES + 1):
        value = highest * step / _LINES
        parts.append(f'<path class="grid" d="M{_LEFT} {y(value):.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g} {escape(unit)}</text>')
    for moment, word in marks:
        if start <= moment <= end:
            parts.append(f'<path class="mark" d="M{x(moment):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
            parts.append(f'<text x="{x(moment) + 3:.1f}" y="{_TOP - 5}">{escape(word)}</text>')
    for (name, samples), colour in zip(lines.items(), _COLOURS * len(lines), strict=False):
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in samples if math.isfinite(value))
        parts.append(f'<polyline stroke="{colour}" points="{points}"><title>{escape(name)}</title></polyline>')
    for at in (start, end):
        clock = time.strftime("%H:%M:%S", time.gmtime(at))
        anchor = "start" if at == start else "end"
        parts.append(f'<text x="{x(at):.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{clock} UTC</text>')
    legend = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)}</span>'
        for name, colour in zip(lines, _COLOURS * len(lines), strict=False)
    )
    return f'{"".join(parts)}</svg><p class="legend">{legend}</p>'


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 8 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 5, 8, 10) if value <= factor * power * (1 + 1e-9))
