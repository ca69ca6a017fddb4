"""Reviews a preview: the Markdown that a pull request shows, and whether the change is to weights alone."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from rollout.review_plan import Message, Plan
from rollout.review_reading import UnreadableError, parse
from rollout.review_report import report
from rollout.review_weights import breaches


class ExitCode(IntEnum):
    """What `python -m rollout review` ends with."""

    FINE = 0
    MORE_THAN_WEIGHTS = 1
    UNREADABLE = 2


@dataclass(frozen=True)
class Review:
    """The comment, and the exit code."""

    markdown: str
    code: ExitCode


def review(text: str, stack: str | None = None, *, weights_only: bool = False) -> Review:
    """Review what `pulumi preview --json` printed.

    Args:
        text: all of its standard output.
        stack: the stack's name for the heading; the preview's own if not given.
        weights_only: whether anything but weights, a failed preview too, is to end in MORE_THAN_WEIGHTS.
    """
    try:
        plan = parse(text)
    except (UnreadableError, RecursionError) as error:
        broken = Plan(errors=(Message(f"it cannot be read: {error}"),), failed=True)
        return Review(report(broken, stack or "", weights_only=weights_only), ExitCode.UNREADABLE)
    markdown = report(plan, stack or plan.stack, weights_only=weights_only)
    beyond = weights_only and (plan.failed or bool(breaches(plan)))
    return Review(markdown, ExitCode.MORE_THAN_WEIGHTS if beyond else ExitCode.FINE)
