"""A verdict of the gate in words."""

from __future__ import annotations

from typing import Final

from rollout.gate import Answer, Comparison, Criteria, Verdict

_WORDS: Final = {Answer.PASS: "pass", Answer.FAIL: "fail", Answer.MORE: "not enough data"}
_BAD: Final = {"errors": "failed", "slow": "slow"}


def headline(verdict: Verdict) -> str:
    """Return the answer in a few words, with what is missing."""
    if verdict.answer is not Answer.MORE:
        return _WORDS[verdict.answer]
    if verdict.slow_ms is None:
        return "not enough data: the stable version has no requests to measure slow ones by"
    if verdict.more is None:
        return "not enough data: the two are so close to the margin that no number of requests tells"
    return f"not enough data: about {verdict.more:,} more requests of the canary are needed"


def reasons(verdict: Verdict, criteria: Criteria, canary: str, stable: str) -> list[str]:
    """Return a line for each comparison."""
    lines = [_line(each, canary, stable, verdict.slow_ms) for each in verdict.comparisons]
    look = f", look {verdict.look}" if verdict.look > 1 else ""
    return [*lines, f"exact binomial intervals, {100 * criteria.confidence:g} % confidence{look}"]


def _line(each: Comparison, canary: str, stable: str, slow_ms: float | None) -> str:
    name = each.name if each.name == "errors" else f"slow (over {slow_ms:g} ms)"
    return (
        f"{name}: {_of(canary, each, canary_side=True)}, {_of(stable, each, canary_side=False)}; "
        f"{100 * each.low:+.2f} to {100 * each.high:+.2f} points, at most {100 * each.margin:+g}: {_WORDS[each.answer]}"
    )


def _of(version: str, each: Comparison, *, canary_side: bool) -> str:
    counted = each.canary if canary_side else each.stable
    return f"{version} {100 * counted.ratio:.2f} % of {counted.requests:,} {_BAD[each.name]}"
