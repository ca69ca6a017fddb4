"""A preview as data: what happens to each resource, and what Pulumi had to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rollout.review_values import Difference, Path, Special, differences

STACK_TYPE: Final = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class State:
    """A resource on one side of the preview; values are cleaned."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    protect: bool = False


@dataclass(frozen=True)
class Change:
    """What happens to one resource.

    Attributes:
        urn: Pulumi's name of it.
        op: create, update, replace, delete, same, or another of Pulumi's words, such as import.
        old: before; None for a create.
        new: after; None for a delete.
        paths: properties that the plugin says differ.
        causes: properties that cause a replacement, as far as the plugin says.
    """

    urn: str
    op: str
    old: State | None = None
    new: State | None = None
    paths: tuple[Path, ...] = ()
    causes: tuple[Path, ...] = ()

    @property
    def type(self) -> str:
        """Pulumi's type, `kubernetes:core/v1:Service`."""
        return self.urn.split("::", 3)[2].rsplit("$", 1)[-1]

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.split("::", 3)[3]

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What it is after the change, or was if it goes."""
        state = self.new or self.old
        return state.inputs if state else {}

    @property
    def unprotects(self) -> bool:
        """Whether the resource loses Pulumi's protection; only a preview that lists unchanged resources shows all."""
        return self.old is not None and self.new is not None and self.old.protect and not self.new.protect

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Properties that change; one that only the plugin sees a change in has the same value on both sides."""
        if self.old is None or self.new is None:
            return ()
        found = list(differences(self.old.inputs, self.new.inputs))
        for path in self.paths:
            if path and str(path[0]).startswith("__"):
                continue  # a plugin's own
            if not any(_within(entry.path, path) or _within(path, entry.path) for entry in found):
                before = _at(self.old.inputs, path)
                if before is Special.MISSING:
                    before = _at(self.old.outputs, path)
                found.append(Difference(path, before, _at(self.new.inputs, path)))
        return tuple(found)


@dataclass(frozen=True)
class Message:
    """What Pulumi or a policy had to say; a policy's has the policy's name, and is binding or advice."""

    text: str
    urn: str = ""
    policy: str = ""


@dataclass(frozen=True)
class Plan:
    """A preview.

    Attributes:
        changes: one for each resource, in the engine's order, those that stay as they are where the preview lists them.
        errors: why it failed; a violated policy that is mandatory is one of them.
        warnings: what Pulumi warns of, and advisory policies.
        unchanged: number of resources that stay as they are.
        failed: it did not come to its end, for a reason that `errors` gives if anything does.
        config: the stack's, as Pulumi hands it to the program; empty where the preview does not tell it.
    """

    changes: tuple[Change, ...] = ()
    errors: tuple[Message, ...] = ()
    warnings: tuple[Message, ...] = ()
    unchanged: int = 0
    failed: bool = False
    config: Mapping[str, str] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """The stack's name, "" when nothing tells it."""
        return self.changes[0].urn.split("::", 1)[0].removeprefix("urn:pulumi:") if self.changes else ""


def _at(value: object, path: Path) -> Any:  # noqa: ANN401 - a JSON value
    for step in path:
        try:
            value = value[step]  # type: ignore[index] # whatever takes no index is caught
        except (KeyError, IndexError, TypeError):
            return Special.MISSING
    return value


def _within(path: Path, outer: Path) -> bool:
    return path[: len(outer)] == outer
