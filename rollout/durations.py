"""Lengths of time as one types and reads them."""

from __future__ import annotations

import re
from typing import Final

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")


def seconds(text: str) -> float:
    """Read 90s, 10m, 1h30m, 30d.

    Raises:
        ValueError: it is none.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text} is no length of time, such as 90s, 10m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def spoken(length: float) -> str:
    """Write seconds with their unit: 0.7 s, 45 s, 10 min, 1 h 30 min."""
    if length < 10:
        return f"{length:.1f} s"
    if length < 120:
        return f"{length:.0f} s"
    hours, minutes = divmod(round(length / 60), 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{minutes} min"] if minutes else [])])
