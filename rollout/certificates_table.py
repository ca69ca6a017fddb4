"""Lays out what ends when."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rollout.certificates import Ending


def table(rows: list[Ending], now: datetime) -> Table:
    """Lay the rows out; what has to be seen to is red."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Certificate", "Of", "Valid until (UTC)"):
        shown.add_column(heading, no_wrap=True)
    shown.add_column("Left", justify="right", no_wrap=True)
    shown.add_column("")
    last = ""
    for row in rows:
        style = "red" if row.wrong else ""
        cells = (
            "" if row.what == last else row.what,
            row.of,
            f"{row.until:%Y-%m-%d %H:%M}",
            left(row.until - now),
            ", ".join(row.notes),
        )
        shown.add_row(*(Text(cell, style) for cell in cells))
        last = row.what
    return shown


def left(length: timedelta) -> str:
    """Write a length of time in its largest unit, rounded down: 3649 days, 23 h, 5 min, or that it is over."""
    seconds = int(length.total_seconds())
    if seconds <= 0:
        return "expired"
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
