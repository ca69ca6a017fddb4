"""The first line: what a plan does, in plain words."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from rollout.review_bars import summary
from rollout.review_effects import Effect, losses, workloads
from rollout.review_kinds import kind_of, object_name
from rollout.review_markdown import code, prose
from rollout.review_plan import STACK_TYPE, Change, Plan
from rollout.review_routes import splits
from rollout.review_weights import breaches

_MOST: Final = 3  # of anything in the first line
_PAST: Final = {"create": "created", "update": "updated", "replace": "replaced", "delete": "deleted"}
# The engine's words (pkg/resource/deploy/step_generator.go) for what protection forbids.
_PROTECTED = re.compile(
    r"(?:unable to (?P<op>replace) resource|resource) [\"']?(?P<urn>urn:pulumi:[^\s\"']+)[\"']?"
    r"(?=.*(?:marked for protection|cannot be deleted))",
    re.DOTALL,
)


def verdict(plan: Plan) -> str:
    """Return what a reviewer has to know first, on one line of Markdown."""
    if plan.failed:
        return f"The preview failed: {_failure(plan)}"
    lost = losses(plan)
    if lost:
        first = lost[0]
        rest = f" ({len(lost) - 1} more below)" if len(lost) > 1 else ""
        consequence = f"{first.consequence}{rest}"
        return f"The {kind_of(first.change).word} {code(object_name(first.change))} {first.verb}: {consequence}"
    changed = [change for change in plan.changes if change.op != "same"]
    moving = [summary(split) for split in splits(plan) if split.changes]
    new_stack = any(change.type == STACK_TYPE and change.op == "create" for change in changed)
    if new_stack:
        return f"A new stack: {len(changed)} resources are created"
    beyond = breaches(plan)
    if not changed and not beyond:
        return "Nothing changes"
    parts = [_some(moving, "; ")] if moving else []
    if not beyond:
        return f"{parts[0] if parts else 'Weights that this does not tell of'}, nothing else changes"
    return "; ".join([*parts, *_pods(plan), *_others(changed)]) or "The stack's outputs change, no resource"


def _failure(plan: Plan) -> str:
    for message in plan.errors:
        if found := _PROTECTED.search(message.text):
            change = Change(found["urn"], "replace") if found["urn"].count("::") >= 3 else None
            if change is not None:
                named = next((entry for entry in plan.changes if entry.urn == change.urn), change)
                verb = "REPLACED" if found["op"] else "DELETED"
                return (
                    f"the {kind_of(named).word} {code(object_name(named))} would have to be {verb}, "
                    "which its protection forbids"
                )
    policies = [message for message in plan.errors if message.policy]
    if policies and len(policies) == len(plan.errors):
        return "it breaks " + _some(list(dict.fromkeys(code(message.policy) for message in policies)), ", ")
    if plan.errors:
        more = f" (and {len(plan.errors) - 1} more errors)" if len(plan.errors) > 1 else ""
        return code(_telling_line(plan.errors[0].text), 200) + more
    if plan.changes:
        return "it gives no reason, so a policy may be broken; see the log of `pulumi preview`"
    return "it lists no resource and no error; see the log of `pulumi preview`"


def _telling_line(text: str) -> str:
    """The line of an error that says what is wrong: of a Python traceback the last, of anything else the first."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    traceback = any(line.startswith("Traceback (most recent") for line in lines)
    return (lines[-1] if traceback else lines[0]) if lines else "an error without words"


def _pods(plan: Plan) -> list[str]:
    restarting = {
        Effect.RESTART: "restart",
        Effect.ANEW: "are deleted and made anew",
        Effect.MAY_RESTART: "may restart",
    }
    parts = []
    for effect, words in restarting.items():
        names = [code(workload.name) for workload in workloads(plan) if workload.effect is effect]
        if names:
            parts.append(f"the pods of {_some(names, ', ')} {words}")
    return parts


def _others(changed: list[Change]) -> list[str]:
    counts = Counter(change.op for change in changed if change.type != STACK_TYPE)
    return [f"{count} {_PAST.get(op, prose(op, 30))}" for op, count in counts.items()]


def _some(parts: list[str], between: str) -> str:
    left = len(parts) - _MOST
    return between.join(parts[:_MOST]) + (f"{between}and {left} more" if left > 0 else "")
