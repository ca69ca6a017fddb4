"""Splits as bars, and in one line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rollout.review_markdown import block, code, plain
from rollout.review_routes import Split, Weights, cells

_WIDTH: Final = 20  # cells of a bar: 5 % each
_WHOLE: Final = 100


def summary(split: Split) -> str:
    """What changes, in one line: `inception`: v2 5 % → 25 %. The first version of those that change has the rest."""
    versions = [version for version in split.versions if _moves(split, version)]
    if len(versions) > 1 and all(version in (split.before or {}) for version in versions):
        versions = versions[1:]
    return f"{_title(split)}: " + ", ".join(_step(split, version) for version in versions)


def _title(split: Split) -> str:
    return code(split.model) + (f" ({code(split.where)})" if split.where else "")


def _moves(split: Split, version: str) -> bool:
    before, after = split.before or {}, split.after or {}
    known = after.get(version, 0) is not None
    return not known or version not in before or version not in after or before[version] != after[version]


def _step(split: Split, version: str) -> str:
    name = code(version, 40)
    before, after = split.before or {}, split.after or {}
    if version not in after:
        return f"{name} {_percent(before[version])} → removed"
    if version not in before:
        return f"{name} new at {_percent(after[version])}"
    return f"{name} {_percent(before[version])} → {_percent(after[version])}"


def _percent(weight: int | None) -> str:
    return "known after apply" if weight is None else f"{weight} %"


def unchanged(split: Split) -> str:
    """A split that stays, in one line."""
    shares = (f"{code(version, 40)} {_percent(weight)}" for version, weight in (split.after or {}).items())
    return f"{_title(split)}: " + ", ".join(shares)


def bars(split: Split) -> str:
    """A split before and after, a line for each version; the bars of one side add up to its whole width."""
    versions = split.versions
    names = [plain(version, 40) for version in versions]
    width = max(len(name) for name in names) if names else 0
    before, after = _side(split.before, versions), _side(split.after, versions)
    gap, column = "   ", max(len(line) for line in [*before, "before"])
    lines = [f"{'':{width}}{gap}{'before':{column}}{gap}after"]
    for index, version in enumerate(versions):
        line = f"{names[index]:{width}}{gap}{before[index]:{column}}{gap}{after[index]}"
        lines.append(f"{line}   {_remark(split, version)}".rstrip())
    remarks = [note for note in (_off(split.before, "Before"), _off(split.after, "After")) if note]
    return "\n".join([f"**{_title(split)}**", "", *block("\n".join(lines), 20_000), *remarks, ""])


def _side(weights: Weights | None, versions: Sequence[str]) -> list[str]:
    """One side's column: percent, and the version's own part of the whole bar."""
    if weights is None:
        return ["-" for _ in versions]
    known = [weights.get(version) or 0 for version in versions]
    parts = cells([max(0, weight) for weight in known], _WIDTH)
    whole = sum(parts) or _WIDTH
    lines, start = [], 0
    for version, part in zip(versions, parts, strict=True):
        bar = "░" * start + "█" * part + "░" * (whole - start - part)
        start += part
        if version not in weights:
            lines.append(f"{'-':>5}")
        elif weights[version] is None:
            lines.append("known after apply")
        else:
            lines.append(f"{weights[version]:>3} %  {bar}")
    return lines


def _remark(split: Split, version: str) -> str:
    before, after = split.before or {}, split.after or {}
    if version not in after:
        return "removed"
    if version not in before:
        return "new"
    old, new = before[version], after[version]
    return f"{new - old:+d}" if old is not None and new is not None and new != old else ""


def _off(weights: Weights | None, side: str) -> str:
    """Istio takes weights of any sum as proportions, without a word."""
    if weights is None or None in weights.values():
        return ""
    total = sum(weight for weight in weights.values() if weight is not None)
    return "" if total == _WHOLE else f"{side}, the weights sum to {total}, not 100: Istio takes them as proportions."
