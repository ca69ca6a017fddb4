"""Checks inputs as the real plugin does, and completes them with names and defaults."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.plugins.gcp.forms import fault
from sandbox.plugins.gcp.rules import Rules, rules_of
from sandbox.plugins.gcp.schema import Kind, Shape, schema_of
from sandbox.plugins.gcp.values import UNKNOWN, Tree, Value, at

DEFAULTS = "__defaults"
"""In every object of checked inputs: which of its properties the program did not set."""


@dataclass
class Check:
    """The inputs of one resource, while they are looked at."""

    token: str
    resource: str
    """Its name in the program."""
    inputs: Tree = field(default_factory=dict)
    """Completed and in their own types; meaningless after a failure."""
    failures: list[str] = field(default_factory=list)

    @property
    def _rules(self) -> Rules:
        return rules_of(self.token)

    def run(self, news: Tree) -> Check:
        """Look at what the program says; `inputs` and `failures` say what came of it."""
        kind = schema_of(self.token).inputs
        self.inputs = self._object(kind, news, "")
        self._combinations()
        return self

    def _fail(self, reason: str, path: str) -> None:
        self.failures.append(f"{reason}. Examine values at '{self.resource}.{path}'.")

    def _object(self, kind: Kind, given: Tree, path: str) -> Tree:
        prefix = f"{path}." if path else ""
        result: Tree = {}
        for name, value in given.items():
            if name.startswith("__") or value is None:
                continue
            if name not in kind.fields:
                self._fail(f"Invalid or unknown key{_suggestion(name, kind)}", f"{prefix}{name}")
            elif _general(f"{prefix}{name}") in self._rules.read_only:
                self._fail(
                    f"Value for unconfigurable attribute. Can't configure a value for "
                    f'"{_terraform(prefix + name)}": its value will be decided automatically based on the result of '
                    f"applying this configuration",
                    f"{prefix}{name}",
                )
            else:
                result[name] = self._value(kind.fields[name], value, f"{prefix}{name}")
        for name in sorted(kind.required - given.keys()):
            self._fail(
                f'Missing required argument. The argument "{_snake(name)}" is required, but no definition was found.',
                f"{prefix}{name}",
            )
        defaults = {
            name: self._rules.defaults[_general(f"{prefix}{name}")]
            for name in kind.fields
            if name not in result and _general(f"{prefix}{name}") in self._rules.defaults
        }
        return result | defaults | {DEFAULTS: sorted(defaults)}

    def _value(self, kind: Kind, value: Value, path: str) -> Value:
        if value is UNKNOWN:
            return value
        if kind.shape is Shape.OBJECT:
            # A block that occurs once at most may be written as a list of one, too.
            single = value[0] if isinstance(value, list) and len(value) == 1 else value
            if isinstance(single, dict):
                return self._object(kind, single, path)
            self._fail(f"Expected Object type, got {_name_of_type(value)} type", path)
        elif kind.shape is Shape.LIST and kind.element:
            return self._list(kind.element, value, path)
        elif kind.shape is Shape.MAP and kind.element:
            if isinstance(value, dict):
                return {key: self._value(kind.element, each, f"{path}[{key!r}]") for key, each in value.items()}
            self._fail("Attribute must be a map", path)
        else:
            return self._scalar(kind.shape, value, path)
        return value

    def _list(self, element: Kind, value: Value, path: str) -> Value:
        if not isinstance(value, list):
            self._fail("Attribute must be a list", path)
            return value
        most, least = self._rules.most.get(_general(path)), self._rules.least.get(_general(path))
        if most is not None and len(value) > most:
            self._fail(
                f"Too many list items. Attribute supports {most} item maximum, but config has {len(value)}", path
            )
        if least is not None and len(value) < least:
            self._fail(f"Not enough list items. Attribute requires {least} item minimum", path)
        return [self._value(element, each, f"{path}[{index}]") for index, each in enumerate(value)]

    def _scalar(self, shape: Shape, value: Value, path: str) -> Value:
        general, name = _general(path), _terraform(path)
        try:
            typed = _typed(shape, value)
        except ValueError:
            self._fail(f"{name}: expected a {shape.value}, got {value!r}", path)
            return value
        allowed = self._rules.values.get(general)
        if allowed is not None and typed not in allowed:
            listed = " ".join(f'"{each}"' for each in allowed)
            self._fail(f"expected {name} to be one of [{listed}], got {typed}", path)
        elif (form := self._rules.checks.get(general)) and (reason := fault(form, name, typed)):
            self._fail(reason, path)
        return typed

    def _combinations(self) -> None:
        for path, others in self._rules.excludes.items():
            for other in others:
                if self._set(path) and self._set(other):
                    reason = f'"{_terraform(path)}": conflicts with {_terraform(other)}'
                    self._fail(f"Conflicting configuration arguments. {reason}", path)
        for group in self._rules.exactly_one:
            found = [path for path in group if self._set(path)]
            if len(found) > 1:
                reason = f"only one of {_quoted(group)} can be specified, but {_quoted(found)} were specified."
                self._fail(f'Invalid combination of arguments. "{_terraform(found[0])}": {reason}', found[0])
            elif self._none_of(group):
                reason = f'"{_terraform(group[0])}": one of {_quoted(group)} must be specified'
                self._fail(f"Invalid combination of arguments. {reason}", group[0])
        for group in self._rules.at_least_one:
            if self._none_of(group):
                reason = f'"{_terraform(group[0])}": one of {_quoted(group)} must be specified'
                self._fail(f"Missing required argument. {reason}", group[0])

    def _set(self, path: str) -> bool:
        """Whether the program sets it. An empty list counts as nothing, and so does what may turn out to be nothing."""
        parent, _, name = path.rpartition(".")
        within = at(self.inputs, parent) if parent else self.inputs
        if not isinstance(within, dict) or name in within.get(DEFAULTS, ()):
            return False
        value = within.get(name)
        return value is not UNKNOWN and value not in (None, [])

    def _none_of(self, group: tuple[str, ...]) -> bool:
        """Whether the object that they belong to is there, without any of them, known or not."""
        parent = group[0].rpartition(".")[0]
        there = not parent or isinstance(at(self.inputs, parent), dict)
        return there and not any(self._set(path) or at(self.inputs, path) is UNKNOWN for path in group)


def _typed(shape: Shape, value: Value) -> Value:
    """Return a value in its property's own type: the provider takes "3" for 3 and "true" for true, and the reverse.

    Raises:
        ValueError: it cannot be meant as one.
    """
    if isinstance(value, list | dict):
        raise ValueError(value)  # noqa: TRY004 - what the program says is wrong, not this program
    if shape is Shape.STRING:
        return str(value).lower() if isinstance(value, bool) else str(value)
    if shape is Shape.BOOLEAN:
        if value in ("true", "false", True, False):
            return value in ("true", True)
        raise ValueError(value)
    number = float(value)
    if isinstance(value, bool) or (shape is Shape.INTEGER and not number.is_integer()):
        raise ValueError(value)
    return int(number) if number.is_integer() else number


def _general(path: str) -> str:
    """Return a path as the tables have it: without indices and keys."""
    return re.sub(r"\[[^]]*\]", "", path)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[0].lower()}", name)


def _terraform(path: str) -> str:
    """Return a path as the provider's messages have it: `releaseChannel.channel` is `release_channel.0.channel`."""
    return ".".join(_snake(part) for part in _terraform_parts(path))


def _terraform_parts(path: str) -> Iterator[str]:
    *parents, last = path.split(".")
    for parent in parents:
        yield re.sub(r"\[(\d+)\]", r".\1", parent) if "[" in parent else f"{parent}.0"
    yield re.sub(r"\[(\d+)\]", r".\1", last)


def _quoted(paths: tuple[str, ...] | list[str]) -> str:
    return f"`{','.join(_terraform(path) for path in paths)}`"


def _suggestion(name: str, kind: Kind) -> str:
    near = difflib.get_close_matches(name, kind.fields, n=1, cutoff=0.8)
    return f" {name!r}; did you mean {near[0]!r}?" if near else f" {name!r}"


def _name_of_type(value: Any) -> str:  # noqa: ANN401 - whatever the program gave
    return {list: "List", dict: "Object", bool: "Boolean", str: "String"}.get(type(value), "Number")
