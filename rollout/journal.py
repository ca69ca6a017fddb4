"""What was done in a rollout and why: a line of JSON for each event, beside the stack's config, to be committed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

from rollout.errors import RolloutError
from rollout.stack import Stack

Event: TypeAlias = dict[str, Any]
STEP = "step"  # version, weight, and override where limits were passed
CONVERGED = "converged"  # weight, proxies, seconds
GATE = "gate"  # version, weight, answer, headline, reasons, start and end of the window
ROLLED_BACK = "rolled back"  # version
PROMOTED = "promoted"  # version
HELD = "held"  # weight, why
_ENDS: Final = frozenset({ROLLED_BACK, PROMOTED})


@dataclass(frozen=True)
class Journal:
    """The journal of one model's rollouts on one stack."""

    file: Path

    @classmethod
    def of(cls, stack: Stack, model: str) -> Journal:
        """Return a model's journal; the file comes with the first event."""
        return cls(stack.file.parent / "rollouts" / f"{stack.name}-{model}.jsonl")

    def add(self, event: str, at: float, **details: object) -> None:
        """Write an event down.

        Args:
            event: one of this module's.
            at: seconds since the epoch.
            details: what goes with it.
        """
        self.file.parent.mkdir(exist_ok=True)
        time = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
        with self.file.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"at": time, "event": event, **details}) + "\n")

    def events(self) -> list[Event]:
        """Return all events, oldest first, each with "at" in seconds since the epoch.

        Raises:
            RolloutError: a line is no event; one that was cut short at the end is passed over.
        """
        lines = self.file.read_text(encoding="utf-8").splitlines() if self.file.exists() else []
        found: list[Event] = []
        for number, line in enumerate(lines, 1):
            try:
                event = json.loads(line)
                event["at"] = datetime.fromisoformat(event["at"]).timestamp()
                found.append(event)
            except (ValueError, KeyError, TypeError) as error:
                if number < len(lines):
                    raise RolloutError(f"{self.file}, line {number}, is no event of a rollout: {line[:80]}") from error
        return found

    def last(self) -> list[Event]:
        """Return the events of the last rollout: those since the one before ended."""
        events = self.events()
        ends = [index for index, event in enumerate(events) if event["event"] in _ENDS]
        closed = [index for index in ends if index < len(events) - 1]
        return events[closed[-1] + 1 :] if closed else events

    def canary(self) -> str | None:
        """Return the version whose rollout has begun and not ended; None where there is none."""
        events = self.last()
        if not events or events[-1]["event"] in _ENDS:
            return None
        return next((str(event["version"]) for event in reversed(events) if event["event"] == STEP), None)
