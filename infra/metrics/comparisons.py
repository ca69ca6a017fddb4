"""The recording rules that compare: a share with its weight, a version's errors with the others'. No Pulumi import.

They read recorded series. Each difference has beside it how many standard deviations it is, for as many requests as the
last minute had, so that an alert need not take chance for a fault.
"""

from typing import Any, Final

from infra.metrics import series

_SECONDS: Final = 60  # that rates are taken over: a rate times this is the requests that it rests on
_VERSION: Final = ", ".join(series.VERSION_LABELS)
_MODEL: Final = "namespace, model"


def group(interval: int) -> dict[str, Any]:
    """Return the group, as a rule file has it; `interval` is the seconds between two evaluations."""
    rules = (
        (series.SHARE_OFFSET, _share_offset()),
        (series.SHARE_DEVIATIONS, _share_deviations()),
        (series.ERROR_EXCESS, _error_excess()),
        (series.ERROR_DEVIATIONS, _error_deviations()),
    )
    return {
        "name": "comparisons",
        "interval": f"{interval}s",
        "rules": [{"record": name, "expr": expr} for name, expr in rules],
    }


def _seen(metric: str) -> str:
    return f"sum by ({_VERSION}) ({series.selector(metric, side=series.SOURCE)})"


def _whole(metric: str) -> str:
    return f"sum by ({_MODEL}) ({series.selector(metric, side=series.SOURCE)})"


def _others(metric: str) -> str:
    return f"({_whole(metric)} - on ({_MODEL}) group_right () {_seen(metric)})"


def _share_offset() -> str:
    return f"{_seen(series.SHARE)} - {series.WEIGHT} / 100"


def _share_deviations() -> str:
    # A share of n requests spreads by sqrt(w (1 - w) / n). At a weight of 0 or 100 it has no spread, and any offset is
    # infinitely many.
    spread = f"sqrt({series.WEIGHT} / 100 * (1 - {series.WEIGHT} / 100))"
    requests = f"sqrt({_SECONDS} * {_whole(series.REQUESTS)})"
    return f"{series.SHARE_OFFSET} * on ({_MODEL}) group_left () {requests} / {spread}"


def _error_excess() -> str:
    return f"{_seen(series.ERROR_RATIO)} - {_others(series.ERRORS)} / ({_others(series.REQUESTS)} > 0)"


def _error_deviations() -> str:
    # Two ratios whose versions are alike differ by sqrt(p (1 - p) (1 / n + 1 / m)).
    ratio = f"{_whole(series.ERRORS)} / ({_whole(series.REQUESTS)} > 0)"
    alike = f"sqrt(({ratio}) * (1 - ({ratio})))"
    counts = f"1 / ({_SECONDS} * {_seen(series.REQUESTS)}) + 1 / ({_SECONDS} * {_others(series.REQUESTS)})"
    return f"{series.ERROR_EXCESS} / sqrt({counts}) / on ({_MODEL}) group_left () {alike}"
