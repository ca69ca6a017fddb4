"""Checks inputs as the real plugin does, and completes them with names and defaults."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.plugins.gcp.forms import faults
from sandbox.plugins.gcp.paths import general, shown, terraform
from sandbox.plugins.gcp.rules import Rules, rules_of
from sandbox.plugins.gcp.schema import Kind, Shape, schema_of
from sandbox.plugins.gcp.values import UNKNOWN, Tree, Value, at

DEFAULTS = "__defaults"
"""In every object of checked inputs: which of its properties the program did not set."""
_BOOLEANS = dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True) | dict.fromkeys(
    ("", "0", "f", "F", "false", "FALSE", "False"), False
)


class WrongTypeError(Exception):
    """A text that is no number where one is needed: the bridge gives up at the first one, and says no more."""


@dataclass
class Check:
    """The inputs of one resource, while they are looked at."""

    token: str
    resource: str
    """Its name in the program."""
    inputs: Tree = field(default_factory=dict)
    """Completed and in their own types; meaningless after a failure."""
    _found: list[tuple[str, str]] = field(default_factory=list)
    """Where something is wrong, and what."""

    @property
    def failures(self) -> list[str]:
        """What is wrong, and where, as the user is told."""
        return [
            f"{reason}. Examine values at '{self.resource}.{shown(self._rules, path)}'." for path, reason in self._found
        ]

    @property
    def _rules(self) -> Rules:
        return rules_of(self.token)

    def run(self, news: Tree) -> Check:
        """Look at what the program says; `inputs` and `failures` say what came of it.

        Raises:
            WrongTypeError: see there.
        """
        kind = schema_of(self.token).inputs
        self.inputs = self._object(kind, news, "")
        self._combinations()
        return self

    def _fail(self, reason: str, path: str) -> None:
        self._found.append((path, reason))

    def _terraform(self, path: str) -> str:
        return terraform(self._rules, path)

    def _object(self, kind: Kind, given: Tree, path: str) -> Tree:
        prefix = f"{path}." if path else ""
        result: Tree = {}
        for name, value in given.items():
            if name.startswith("__") or value is None:
                continue
            if name not in kind.fields:
                self._fail("Invalid or unknown key", f"{prefix}{name}")
            elif general(f"{prefix}{name}") in self._rules.read_only:
                self._fail(
                    f"Value for unconfigurable attribute. Can't configure a value for "
                    f'"{self._terraform(prefix + name)}": its value will be decided automatically based on the result '
                    "of applying this configuration.",
                    f"{prefix}{name}",
                )
            else:
                result[name] = self._value(kind.fields[name], value, f"{prefix}{name}")
        for name in sorted(kind.required - given.keys()):
            argument = self._terraform(prefix + name)
            self._fail(
                f'Missing required argument. The argument "{argument}" is required, but no definition was found.',
                f"{prefix}{name}",
            )
        defaults = self._defaults(kind, result, general(prefix))
        return result | defaults | {DEFAULTS: sorted(defaults)}

    def _defaults(self, kind: Kind, given: Tree, prefix: str) -> Tree:
        """Return the defaults to fill in: none that says no more than its absence, none that would contradict."""
        return {
            name: self._rules.defaults[prefix + name]
            for name in kind.fields.keys() - given.keys()
            if self._rules.defaults.get(prefix + name) not in (None, False)
            and given.keys().isdisjoint(self._rules.excludes.get(prefix + name, ()))
        }

    def _value(self, kind: Kind, value: Value, path: str) -> Value:
        if value is UNKNOWN:
            return value
        if kind.shape is Shape.OBJECT:
            # A block that occurs once at most may be written as a list of one, too.
            single = value[0] if isinstance(value, list) and len(value) == 1 else value
            if isinstance(single, dict):
                return self._object(kind, single, path)
            self._fail(f"Expected Object Type. Expected object, got {_name_of_type(single)}", path)
        elif kind.shape is Shape.LIST and kind.element:
            return self._list(kind.element, value if isinstance(value, list) else [value], path)
        elif kind.shape is Shape.MAP and kind.element:
            if isinstance(value, dict):
                return {key: self._value(kind.element, each, f"{path}.{key}") for key, each in value.items()}
            self._fail("Attribute must be a map", path)
        else:
            return self._scalar(kind.shape, value, path)
        return value

    def _list(self, element: Kind, value: list[Value], path: str) -> Value:
        most, least = self._rules.most.get(general(path)), self._rules.least.get(general(path))
        name, count = self._terraform(path), len(value)
        if most is not None and count > most:
            self._fail(
                f"Too many list items. Attribute {name} supports {most} item maximum, but config has {count} declared.",
                path,
            )
        if least is not None and count < least:
            self._fail(
                f"Not enough list items. Attribute {name} requires {least} item minimum, but config has only {count} "
                "declared.",
                path,
            )
        return [self._value(element, each, f"{path}[{index}]") for index, each in enumerate(value)]

    def _scalar(self, shape: Shape, value: Value, path: str) -> Value:
        if isinstance(value, list | dict):
            self._fail(f"Attribute must be a single value, not a {'list' if isinstance(value, list) else 'map'}", path)
            return value
        name = self._terraform(path)
        try:
            typed = _typed(shape, value, name)
        except ValueError as error:
            self._fail(str(error), path)
            return value
        allowed = self._rules.values.get(general(path))
        if allowed is not None and typed not in allowed:
            listed = " ".join(f'"{each}"' for each in allowed)
            self._fail(f"expected {name} to be one of [{listed}], got {typed}", path)
        elif form := self._rules.checks.get(general(path)):
            for reason in faults(form, name, typed):
                self._fail(reason, path)
        return typed

    def _combinations(self) -> None:
        for path, others in self._rules.excludes.items():
            for other in others:
                if self._set(path) and self._set(other):
                    self._fail_only(
                        "Conflicting configuration arguments", [path], f"conflicts with {self._terraform(other)}"
                    )
                    break
        for group in self._rules.exactly_one:
            found = [path for path in group if self._set(path)]
            if len(found) > 1:
                allowed, given = self._quoted(group), self._quoted(found)
                reason = f"only one of {allowed} can be specified, but {given} were specified."
                self._fail_only("Invalid combination of arguments", group, reason)
            elif self._none_of(group):
                reason = f"one of {self._quoted(group)} must be specified"
                self._fail_only("Invalid combination of arguments", group, reason)
        for group in self._rules.at_least_one:
            if self._none_of(group):
                self._fail_only("Missing required argument", group, f"one of {self._quoted(group)} must be specified")

    def _fail_only(self, summary: str, paths: Iterable[str], reason: str) -> None:
        """Refuse properties for what is beside them, and say nothing of what else is wrong with them or in them."""
        for path in paths:
            self._found = [each for each in self._found if not re.match(rf"{re.escape(path)}($|[.\[])", each[0])]
        for path in paths:
            self._fail(f'{summary}. "{self._terraform(path)}": {reason}', path)

    def _quoted(self, paths: Iterable[str]) -> str:
        return f"`{','.join(sorted(self._terraform(path) for path in paths))}`"

    def _set(self, path: str) -> bool:
        """Whether the program sets it. What may turn out to be nothing counts as nothing."""
        parent, _, name = path.rpartition(".")
        within = at(self.inputs, parent) if parent else self.inputs
        if not isinstance(within, dict) or name in within.get(DEFAULTS, ()):
            return False
        value = within.get(name)
        return value is not UNKNOWN and value is not None

    def _none_of(self, group: tuple[str, ...]) -> bool:
        """Whether the object that they belong to is there, without any of them, known or not."""
        parent = group[0].rpartition(".")[0]
        there = not parent or isinstance(at(self.inputs, parent), dict)
        return there and not any(self._set(path) or at(self.inputs, path) is UNKNOWN for path in group)


def _typed(shape: Shape, value: Value, name: str) -> Value:
    """Return a value in its property's own type: the provider takes "3" for 3 and "true" for true, and the reverse.

    Raises:
        ValueError: it cannot be meant as one; the message says why.
        WrongTypeError: see there.
    """
    if shape is Shape.STRING:
        return str(value).lower() if isinstance(value, bool) else str(value)
    if shape is Shape.BOOLEAN:
        if str(value) not in _BOOLEANS:
            raise ValueError(f"cannot parse '' as bool: strconv.ParseBool: parsing \"{value}\": invalid syntax")
        return _BOOLEANS[str(value)]
    if isinstance(value, bool):
        raise ValueError(f"Attribute must be a whole number, got {str(value).lower()}")  # noqa: TRY004 - of the program
    if shape is Shape.NUMBER:
        try:
            return float(value)
        except ValueError:
            message = f"cannot parse '' as float: strconv.ParseFloat: parsing \"{value}\": invalid syntax"
            raise ValueError(message) from None
    try:
        return int(value)  # a fraction is cut off
    except ValueError:
        last = name.rpartition(".")[2]
        raise WrongTypeError(f'{last}: strconv.ParseInt: parsing "{value}": invalid syntax') from None


def _name_of_type(value: Any) -> str:  # noqa: ANN401 - whatever the program gave
    return {list: "list", bool: "bool", str: "string"}.get(type(value), "float64")
