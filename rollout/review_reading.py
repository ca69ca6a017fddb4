"""Reads what `pulumi preview --json` prints, in either of its forms.

By default that is one JSON document, which leaves out resources that stay as they are (unless `--show-sames`) and
says nothing of policies. With PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true it is one JSON event on each line, with all of
it. Both are read into the same `Plan`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rollout.review_plan import STACK_TYPE, Change, Message, Plan, State
from rollout.review_values import cleaned, parsed_path

_REPLACING: Final = frozenset({"replace", "create-replacement", "delete-replaced", "import-replacement"})
_SAME: Final = frozenset({"same", "refresh", "read"})
_COLOUR = re.compile(r"<\{%.*?%\}>|\x1b\[[0-9;]*m")


class UnreadableError(Exception):
    """The text is no preview; the message says why in a few words."""


@dataclass
class _Reading:
    """What has been read so far."""

    steps: list[Change] = field(default_factory=list)
    errors: list[Message] = field(default_factory=list)
    warnings: list[Message] = field(default_factory=list)
    stack_outputs: Mapping[str, Any] | None = None
    summary: Mapping[str, Any] | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    failed: bool = False

    def diagnostic(self, entry: Mapping[str, Any]) -> None:
        severity = entry.get("severity")
        if severity not in {"error", "warning"} or entry.get("ephemeral"):
            return
        text = _COLOUR.sub("", str(entry.get("message", ""))).strip().removeprefix(f"{severity}:").strip()
        message = Message(text, urn=str(entry.get("urn") or ""))
        (self.errors if severity == "error" else self.warnings).append(message)

    def policy(self, entry: Mapping[str, Any]) -> None:
        name = f"{entry.get('policyPackName', '')}/{entry.get('policyName', '')}"
        text = _COLOUR.sub("", str(entry.get("message", ""))).strip()
        message = Message(text, urn=str(entry.get("resourceUrn") or ""), policy=name)
        advice = entry.get("enforcementLevel") in {"warning", "advisory", "remediate", "disabled", "none"}
        (self.warnings if advice else self.errors).append(message)

    def step(self, entry: Mapping[str, Any], old: str, new: str, kind: str, causes: str, diffs: str) -> None:
        op, urn = entry.get("op"), entry.get("urn")
        if not isinstance(op, str) or not isinstance(urn, str) or urn.count("::") < 3:
            raise UnreadableError("a step has no operation or no URN")
        detailed = _mapping(entry.get("detailedDiff"))
        replacing = [path for path, value in detailed.items() if str(_mapping(value).get(kind)).endswith("-replace")]
        self.steps.append(
            Change(
                urn,
                op,
                _state(entry.get(old)),
                _state(entry.get(new)),
                tuple(parsed_path(path) for path in detailed or _texts(entry.get(diffs))),
                tuple(parsed_path(path) for path in replacing or _texts(entry.get(causes))),
            )
        )

    def plan(self) -> Plan:
        changes = [_merged(steps) for steps in _by_urn(self.steps)]
        if self.stack_outputs is not None:
            changes = [_with_outputs(change, self.stack_outputs) for change in changes]
        same = _mapping(self.summary).get("same", 0)
        failed = self.failed or bool(self.errors) or not self.steps
        # The engine's own last word says nothing beside the reason, which is a policy's where only events tell it.
        errors = [error for error in self.errors if error.text != "preview failed"]
        unchanged = same if isinstance(same, int) else 0
        config = {key: value for key, value in self.config.items() if isinstance(value, str)}
        return Plan(tuple(changes), tuple(errors), tuple(self.warnings), unchanged, failed, config)


def parse(text: str) -> Plan:
    """Read a preview.

    Raises:
        UnreadableError: the text is empty, no JSON, cut short, or JSON of something else.
    """
    lines = text.split("\n")
    while lines and not lines[0].startswith("{"):  # what the CLI has to say before it begins
        lines = lines[1:]
    if not lines:
        raise UnreadableError("its output is empty" if not text.strip() else f"no JSON: {text.strip()[:200]}")
    try:
        try:
            document = json.loads("\n".join(lines))
        except ValueError:
            return _events([json.loads(line) for line in lines if line.strip()]).plan()
        document = _mapping(document)
        return (_events([document]) if "sequence" in document else _digest(document)).plan()
    except ValueError as error:
        raise UnreadableError("its JSON is cut short or broken") from error
    except RecursionError as error:
        raise UnreadableError("its JSON is nested too deeply") from error


def _digest(document: Mapping[str, Any]) -> _Reading:
    if document and not {"steps", "config", "diagnostics", "changeSummary", "duration"} & document.keys():
        raise UnreadableError("JSON, but not of `pulumi preview --json`")
    reading = _Reading(summary=_mapping(document.get("changeSummary")), config=_mapping(document.get("config")))
    for entry in _list(document.get("steps")):
        reading.step(_mapping(entry), "oldState", "newState", "kind", "replaceReasons", "diffReasons")
    for entry in _list(document.get("diagnostics")):
        reading.diagnostic(_mapping(entry))
    return reading


def _events(events: Iterable[object]) -> _Reading:
    reading = _Reading()
    for event in events:
        entry = _mapping(event)
        if "resourcePreEvent" in entry:
            metadata = _mapping(_mapping(entry["resourcePreEvent"]).get("metadata"))
            reading.step(metadata, "old", "new", "diffKind", "keys", "diffs")
        elif "resOutputsEvent" in entry:
            metadata = _mapping(_mapping(entry["resOutputsEvent"]).get("metadata"))
            if metadata.get("type") == STACK_TYPE and (new := _state(metadata.get("new"))) is not None:
                reading.stack_outputs = new.outputs
        elif "preludeEvent" in entry:
            reading.config = _mapping(_mapping(entry["preludeEvent"]).get("config"))
        elif "diagnosticEvent" in entry:
            reading.diagnostic(_mapping(entry["diagnosticEvent"]))
        elif "policyEvent" in entry:
            reading.policy(_mapping(entry["policyEvent"]))
        elif "errorEvent" in entry:
            reading.errors.append(Message(str(_mapping(entry["errorEvent"]).get("error", ""))))
        elif "summaryEvent" in entry:
            summary = _mapping(entry["summaryEvent"])
            reading.summary = _mapping(summary.get("resourceChanges"))
            reading.failed = summary.get("result", "succeeded") != "succeeded"
    if reading.summary is None and not reading.errors:
        raise UnreadableError("its events end before the summary, so it was cut short")
    return reading


def _by_urn(steps: Iterable[Change]) -> Iterable[list[Change]]:
    found: dict[str, list[Change]] = {}
    for step in steps:
        found.setdefault(step.urn, []).append(step)
    return found.values()


def _merged(steps: list[Change]) -> Change:
    """One change of a resource's steps: a replacement has up to three, and a refresh comes before its update."""
    real = [step for step in steps if step.op not in _SAME]
    ops = {step.op for step in real}
    if not real:
        op = "same"
    elif ops == {"delete-replaced"}:
        op = "delete"  # what an interrupted replacement left
    elif ops & _REPLACING or {"create", "delete"} <= ops:
        op = "replace"
    else:
        real = real[-1:]
        op = real[0].op
    steps = real or steps
    return Change(
        steps[0].urn,
        op,
        next((step.old for step in steps if step.old), None),
        next((step.new for step in reversed(steps) if step.new), None),
        tuple(dict.fromkeys(path for step in steps for path in step.paths)),
        tuple(dict.fromkeys(path for step in steps for path in step.causes)),
    )


def _with_outputs(change: Change, outputs: Mapping[str, Any]) -> Change:
    """The stack's outputs are known last; before that its state holds none."""
    if change.type != STACK_TYPE or change.new is None:
        return change
    return replace(change, new=replace(change.new, outputs=outputs))


def _state(value: object) -> State | None:
    if value is None:
        return None
    entry = _mapping(value)
    inputs, outputs = _mapping(entry.get("inputs")), _mapping(entry.get("outputs"))
    return State(_mapping(cleaned(inputs)), _mapping(cleaned(outputs)), entry.get("protect") is True)


def _mapping(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnreadableError("JSON, but not of `pulumi preview --json`")
    return value


def _list(value: object) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnreadableError("JSON, but not of `pulumi preview --json`")
    return value


def _texts(value: object) -> list[str]:
    return [str(entry) for entry in _list(value)]
