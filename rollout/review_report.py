"""The comment of a pull request: the verdict first, then what matters most, the details last."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from rollout.review_bars import bars, unchanged
from rollout.review_effects import Loss, Workload, losses, workloads
from rollout.review_kinds import kind_of, object_name
from rollout.review_limits import limits
from rollout.review_markdown import Section, block, changed, code, comment, prose
from rollout.review_plan import STACK_TYPE, Change, Message, Plan
from rollout.review_routes import splits
from rollout.review_values import Difference, path_text
from rollout.review_verdict import verdict
from rollout.review_weights import breaches, output_differences

_OPERATIONS: Final = ("create", "update", "replace", "delete")
_MANY: Final = 12  # lines of details that are shown unfolded
_MOST_PROPERTIES: Final = 30  # of one resource


def report(plan: Plan, stack: str, *, weights_only: bool) -> str:
    """Return the Markdown for one stack's plan; `weights_only` adds what goes beyond weights."""
    name = re.sub(r"[^\w./-]", "", stack, flags=re.ASCII) or "unknown"
    heading = f"### {code(stack)}: {verdict(plan)}" if stack else f"### {verdict(plan)}"
    sections = [Section([f"<!-- tfserving-mesh review: {name} -->", heading, ""], tail=())]
    sections += _errors(plan)
    if weights_only:
        sections += _weights_only(plan)
    sections += [
        *_losses(plan),
        *_traffic(plan),
        *limits(plan),
        *_pods(plan),
        *_resources(plan),
        *_details(plan),
        *_warnings(plan),
    ]
    return comment(sections)


def _errors(plan: Plan) -> Iterator[Section]:
    if plan.failed:
        policies = [message for message in plan.errors if message.policy]
        if policies:
            yield Section(["**Policies that this breaks**", ""], [_policy(message) for message in policies])
        others = [message for message in plan.errors if not message.policy]
        yield Section([], ["\n".join([*block(message.text), ""]) for message in others], [], "… and {} more errors\n")


def _policy(message: Message) -> str:
    where = f" ({code(message.urn.rsplit('::', 1)[-1])})" if message.urn else ""
    return f"- {code(message.policy)}{where}: {code(message.text, 500)}"


def _weights_only(plan: Plan) -> Iterator[Section]:
    found = breaches(plan)
    if plan.failed:
        yield Section(["**Weights only: no.** The preview did not come to its end.", ""], tail=[])
    elif not found:
        yield Section(["**Weights only: yes.** Nothing but the weights of routes changes.", ""], tail=[])
    else:
        items = []
        for breach in found:
            paths = ", ".join(code(path_text(path)) for path in breach.paths[:5])
            left = f" and {len(breach.paths) - 5} more" if len(breach.paths) > 5 else ""
            word = "unprotect" if breach.change.op == "same" and not breach.paths else breach.change.op
            items.append(f"- {word} {_resource(breach.change)}" + (f": {paths}{left}" if paths else ""))
        yield Section(["**Weights only: no.** This goes beyond weights:", ""], items)


def _losses(plan: Plan) -> Iterator[Section]:
    items = [_loss(loss) for loss in losses(plan)]
    if items:
        yield Section(["> [!CAUTION]"], items, [""], "> - … and {} more")


def _loss(loss: Loss) -> str:
    reasons = [entry for entry in loss.change.differences if entry.path in loss.change.causes]
    if not reasons and loss.verb == "will be REPLACED":
        reasons = [Difference(path, *_values(loss.change, path)) for path in loss.change.causes]
    why = f" Because of {'; '.join(changed(entry) for entry in reasons[:3])}." if reasons else ""
    return f"> - The {_resource(loss.change)} **{loss.verb}**: {loss.consequence}.{why}"


def _values(change: Change, path: Sequence[str | int]) -> tuple[object, object]:
    """The whole property that holds what differs, or is held by it."""
    found = [entry for entry in change.differences if entry.path[: len(path)] == tuple(path)]
    return (found[0].old, found[0].new) if len(found) == 1 else (None, None)


def _resource(change: Change) -> str:
    return f"{prose(kind_of(change).word, 60)} {code(object_name(change))}"


def _traffic(plan: Plan) -> Iterator[Section]:
    found = splits(plan)
    moving = [split for split in found if split.changes]
    resting = [split for split in found if not split.changes]
    if moving:
        yield Section(["#### Traffic", ""], [bars(split) for split in moving], [], "… and {} more splits\n")
    if resting:
        yield Section(["Traffic that stays as it is:", ""], [f"- {unchanged(split)}" for split in resting])


def _pods(plan: Plan) -> Iterator[Section]:
    items = [_workload(workload) for workload in workloads(plan)]
    if items:
        yield Section(["#### Pods", ""], items)
    elif not plan.failed and any(change.op != "same" for change in plan.changes):
        yield Section(["No pod restarts."])


def _workload(workload: Workload) -> str:
    kind = "Helm release" if workload.change.type.endswith(":Release") else workload.change.type.rsplit(":", 1)[-1]
    pods = f" ({workload.pods})" if workload.pods else ""
    reasons = list(workload.reasons[:4])
    more = [f"and {len(workload.reasons) - 4} more"] if len(workload.reasons) > 4 else []
    why = ": " + ", ".join([*(changed(entry) for entry in reasons), *more]) if reasons else ""
    istiod = workload.change.inputs.get("chart")
    note = ""
    if workload.effect.value == "may restart" and isinstance(istiod, str):
        note = ". Proxies take up injection settings when their own pods next restart" if "istiod" in istiod else ""
    return f"- {kind} {code(workload.name)}{pods} {workload.effect.value}{why}{note}"


def _resources(plan: Plan) -> Iterator[Section]:
    rows: dict[str, Counter[str]] = {}
    for change in _real(plan):
        word = "components (groups of the above)" if _is_component(change) else prose(kind_of(change).word, 60)
        rows.setdefault(word, Counter())[change.op] += 1
    operations = [op for op in _OPERATIONS if any(row[op] for row in rows.values())]
    others = sorted({op for row in rows.values() for op in row} - set(_OPERATIONS))
    columns = [*operations, *others]
    if rows:
        head = ["#### Resources", "", "| kind | " + " | ".join(prose(op, 30) for op in columns) + " |"]
        head.append("| --- |" + " ---: |" * len(columns))
        order = sorted(rows.items(), key=lambda row: (row[0].startswith("components"), row[0].lower()))
        items = [f"| {word} | " + " | ".join(str(row[op] or "") for op in columns) + " |" for word, row in order]
        rest = [f"{plan.unchanged} stay as they are.", ""] if plan.unchanged else []
        yield Section(head, items, ["", *rest], "| … {} more kinds |")


def _real(plan: Plan) -> list[Change]:
    return [change for change in plan.changes if change.op != "same" and change.type != STACK_TYPE]


def _is_component(change: Change) -> bool:
    return change.type.startswith("tfserving-mesh:")


def _details(plan: Plan) -> Iterator[Section]:
    items = [_properties(change) for change in _real(plan) if not _is_component(change)]
    for change in plan.changes:
        if change.type == STACK_TYPE and change.op != "create":
            items += [f"- stack output {changed(entry)}" for entry in output_differences(change)]
    if items:
        many = sum(item.count("\n") + 1 for item in items) > _MANY
        head = ["<details><summary>Each resource, and what changes of it</summary>", ""] if many else []
        yield Section(head, items, ["", "</details>", ""] if many else [""])


def _properties(change: Change) -> str:
    lines = [f"- {prose(change.op, 30)} {_resource(change)}"]
    if change.op in {"update", "replace"}:
        shown = change.differences[:_MOST_PROPERTIES]
        lines += [f"  - {changed(entry)}" for entry in shown]
        if left := len(change.differences) - len(shown):
            lines.append(f"  - … and {left} more")
    return "\n".join(lines)


def _warnings(plan: Plan) -> Iterator[Section]:
    items = [_policy(message) if message.policy else f"- {code(message.text, 300)}" for message in plan.warnings]
    if items:
        yield Section(["<details><summary>Warnings</summary>", ""], items, ["", "</details>", ""])
