"""What a stack allows a step to be: `rollout` in its config. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from infra.weights import WHOLE
from rollout.durations import spoken
from rollout.errors import RolloutError

if TYPE_CHECKING:
    from infra.config_rollout import RolloutSettings
    from rollout.promote import Promotion


def step_problems(before: int, after: int, limits: RolloutSettings) -> list[str]:
    """Return what is wrong with a version's share going from one percentage to another; less is always allowed."""
    if before == 0 and after == WHOLE and not limits.zero_to_all:
        return [f"0 to {WHOLE} in one step, which rollout.zeroToAll does not allow"]
    if after - before > limits.largest_step:
        return [f"{before} to {after} in one step; rollout.largestStep is {limits.largest_step}"]
    return []


def plan_problems(before: int, steps: Sequence[int], soak: float, limits: RolloutSettings) -> list[str]:
    """Return what is wrong with a series of steps, each soaked for so many seconds."""
    found = [
        problem
        for low, high in zip([before, *steps], steps, strict=False)
        for problem in step_problems(low, high, limits)
    ]
    if soak < limits.shortest_soak_seconds:
        least = spoken(limits.shortest_soak_seconds)
        found.append(
            f"a soak of {spoken(soak)}; rollout.shortestSoakSeconds is {limits.shortest_soak_seconds} ({least})"
        )
    return found


def check(plan: Promotion, weight: int, limits: RolloutSettings, override: str) -> Promotion:
    """Return a promotion that is within a stack's limits, or has the reason why it is not.

    Args:
        plan: what is asked for.
        weight: what the canary has now, in percent.
        limits: the stack's.
        override: the reason that the operator gives; the config's is taken without one.

    Raises:
        RolloutError: it is beyond the limits, and nobody says why.
    """
    found = plan_problems(weight, [step for step in plan.steps if step > weight], plan.soak, limits)
    reason = override or limits.override
    if found and not reason:
        raise RolloutError(
            f"beyond this stack's limits: {'; '.join(found)}. Take smaller steps or longer soaks, or give a reason, "
            'which is recorded: --override "why"'
        )
    return replace(plan, override=reason if found else "")
