"""Whether a plan moves weights and does nothing else: the check that a team can require of a canary's pull request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.review_plan import STACK_TYPE, Change, Plan
from rollout.review_routes import is_route
from rollout.review_values import Difference, Opaque, Path, Special, differences, is_whole


@dataclass(frozen=True)
class Breach:
    """One thing that a plan does beyond moving weights.

    Attributes:
        change: to which resource.
        paths: by which properties; none where it is the operation itself.
    """

    change: Change
    paths: tuple[Path, ...] = ()


def breaches(plan: Plan) -> list[Breach]:
    """Return what a plan does beyond moving weights; what cannot be known counts as beyond.

    Weights are `spec.http[*].route[*].weight` of a VirtualService that is updated in place, as whole numbers that are
    known at preview, and the stack's outputs that repeat them.
    """
    return [breach for change in plan.changes if (breach := _breach(change)) is not None]


def _breach(change: Change) -> Breach | None:
    if change.unprotects:
        return Breach(change)
    if change.type == STACK_TYPE and change.op in {"same", "update"}:
        paths = [entry.path for entry in output_differences(change) if not _repeats_a_weight(entry)]
        return Breach(change, tuple(paths)) if paths else None
    if change.op == "same":
        return None
    if change.op != "update" or not change.differences:
        return Breach(change)
    paths = _beyond_weights(change) if is_route(change) else [entry.path for entry in change.differences]
    return Breach(change, tuple(paths)) if paths else None


def output_differences(change: Change) -> list[Difference]:
    """Return how the stack's outputs change; nothing where the preview does not tell the new ones."""
    if change.old is None or change.new is None or not change.new.outputs:
        return []
    return list(differences(change.old.outputs, change.new.outputs))


def _beyond_weights(change: Change) -> list[Path]:
    """Properties other than weights, of those that differ and of those that the plugin says do."""
    weights = [entry for entry in change.differences if _is_weight(entry)]
    beyond = [entry.path for entry in change.differences if entry not in weights]
    for path in change.paths:
        inside = [entry for entry in weights if entry.path[: len(path)] == path]
        # A plugin without a detailed diff names all of "spec": that is the weights, unless something in it is hidden.
        if not inside or (len(path) < len(inside[0].path) and _hides_something(change.inputs)):
            beyond.append(path)
    return list(dict.fromkeys(beyond))


def _is_weight(entry: Difference) -> bool:
    match entry.path:
        case ("spec", "http", int(), "route", int(), "weight"):
            return is_whole(entry.old) and is_whole(entry.new)
    return False


def _repeats_a_weight(entry: Difference) -> bool:
    match entry.path:
        case ("models", str(), "weights", str()):
            return is_whole(entry.old) and is_whole(entry.new)
    return False


def _hides_something(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_hides_something, value.values()))
    if isinstance(value, list):
        return any(map(_hides_something, value))
    return isinstance(value, Special | Opaque)
