"""What of a plan goes beyond the stack's own limits of a canary's step; `promote` enforces them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rollout.limits import step_problems
from rollout.review_markdown import Section, code, prose
from rollout.review_plan import Plan
from rollout.review_routes import splits

if TYPE_CHECKING:
    from infra.settings import Settings


def limits(plan: Plan) -> Iterator[Section]:
    """Say which versions grow by more than a step may, or that none does; nothing where no version grows."""
    settings = _settings(plan)
    if settings is None:
        return
    stable = {model.name: model.stable for model in settings.models}
    grows, items = False, []
    for split in splits(plan):
        if split.where or not split.changes or split.model not in stable:
            continue
        for version, after in (split.after or {}).items():
            before = (split.before or {}).get(version, 0)
            if version == stable[split.model] or after is None or before is None or after <= before:
                continue
            grows = True
            problems = step_problems(before, after, settings.rollout)
            items += [f"- {code(split.model)}: {code(version)} goes from {problem}" for problem in problems]
    if items:
        reason = settings.rollout.override
        why = f"**Beyond the limits of a step**, because: {prose(reason, 300)}" if reason else "> [!WARNING]"
        head = (
            [why, ""]
            if reason
            else [why, "> **Beyond the limits of a step**, and `rollout.override` gives no reason.", ""]
        )
        yield Section(head, items)
    elif grows:
        most = settings.rollout.largest_step
        zero = "" if settings.rollout.zero_to_all else ", and not from 0 to 100"
        yield Section([f"Within the limits of a step: {most} points at most{zero}."])


def _settings(plan: Plan) -> Settings | None:
    """The config that the plan is for; None where the preview does not tell it, or not all of it."""
    if not plan.config:
        return None
    from infra import naming
    from infra.settings import SettingsError, parse

    try:
        return parse(plan.config, project=naming.PROJECT, stack=plan.stack)
    except SettingsError:
        return None
