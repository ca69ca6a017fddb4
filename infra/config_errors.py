"""What is wrong with a stack's config, told so that it can be mended: key, value, what would be right, the command.

A place in the config is a tuple that begins with the key as one types it: ("v2Weight",), ("resnet:v2Weight",),
("models", "inception", "path"), ("egress", "hosts", 0). No Pulumi import.
"""

import difflib
import json
import re
import shlex
import sys
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Place: TypeAlias = tuple[str | int, ...]

MISSING: Final = object()
HIDDEN: Final = "[secret]"
_VALUE_LIMIT: Final = 60  # characters of a value in a message
_PLAIN_STEP: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        key: as one types it: "v2Weight", "models.inception.path".
        value: as it was found, or "missing", or "[secret]".
        message: what would be right.
        fix: the command that mends it.
    """

    key: str
    value: str
    message: str
    fix: str

    def __str__(self) -> str:
        stop = "" if self.message.endswith("?") else "."
        return f"{self.key} is {self.value}; {self.message}{stop} Run: {self.fix}"


class SettingsError(Exception):
    """A config that cannot be used; str() has one line for each problem.

    Attributes:
        problems: all that is wrong, never empty.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


@dataclass(frozen=True)
class Set:
    """Give a place a value; one that is no scalar is set leaf by leaf, as the command line does it."""

    place: Place
    value: object


@dataclass(frozen=True)
class Remove:
    """Take a place out."""

    place: Place


@dataclass(frozen=True)
class FromFile:
    """Give a place the text of a file, which a command line could not hold.

    Attributes:
        file: its name, as an example.
        secret: whether the text is kept encrypted.
    """

    place: Place
    file: str
    secret: bool


Edit: TypeAlias = Set | Remove | FromFile


@dataclass(frozen=True)
class _Finding:
    place: Place
    value: str
    message: str
    edits: tuple[Edit, ...]

    def order(self) -> int:
        """Findings that take an item out of a list come last, from its end, so that no index shifts before its use."""
        indexes = [edit.place[-1] for edit in self.edits if isinstance(edit, Remove)]
        return max((-index for index in indexes if isinstance(index, int)), default=-sys.maxsize)


@dataclass
class Report:
    """Gathers problems; the commands are written when all are known.

    Attributes:
        values: what the config holds, objects parsed, by key as one types it.
        secrets: keys whose values are shown nowhere.
        texts: keys of objects that were set as one JSON text. `pulumi config set --path` would replace such a text
            by the one thing it sets, so these are set again as a whole.
    """

    values: Mapping[str, Any]
    secrets: Collection[str] = ()
    texts: Collection[str] = ()
    _findings: list[_Finding] = field(default_factory=list)

    def add(self, place: Place, message: str, *edits: Edit, value: str | None = None) -> None:
        """Note a problem.

        Args:
            place: where; the value that the config holds there is shown.
            message: what would be right; a clause that repeats no value, for the value may be a secret.
            edits: what mends it.
            value: what to show instead of the config's own.
        """
        found = self.at(place)
        if value is None:
            value = shown(found)
        if place[0] in self.secrets and found is not MISSING:
            value = HIDDEN
        self._findings.append(_Finding(place, value, message, edits))

    def at(self, place: Place) -> Any:  # noqa: ANN401 # whatever JSON holds
        """What the config holds at a place; MISSING when nothing."""
        value: Any = self.values
        for step in place:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return MISSING
        return value

    def move(self, old: Place, new: Place) -> tuple[Edit, ...]:
        """The edits that give a value another key; where that one is set already, the old one just goes."""
        if self.at(new) is not MISSING:
            return (Remove(old),)
        return Set(new, self.at(old)), Remove(old)

    def problems(self) -> tuple[Problem, ...]:
        """All that was noted, in an order in which the commands can be run one after the other."""
        return tuple(
            Problem(
                key=typed(finding.place), value=finding.value, message=finding.message, fix=self._fix(finding.edits)
            )
            for finding in sorted(self._findings, key=_Finding.order)
        )

    def _fix(self, edits: Iterable[Edit]) -> str:
        commands: list[str] = []
        for edit in edits:
            root = str(edit.place[0])
            if isinstance(edit, FromFile):
                commands += self._from_file(edit)
            elif root in self.texts:
                commands.append(self._whole(root))
            elif isinstance(edit, Remove):
                commands.append(_command("rm", edit.place))
            else:
                commands += [self._set(place, value) for place, value in _leaves(edit.place, edit.value)]
        return " && ".join(dict.fromkeys(commands))

    def _set(self, place: Place, value: object) -> str:
        if place[0] not in self.secrets:
            return _command("set", place, _text(value))
        # without a value on the command line Pulumi asks for it, unseen
        return _command("set --secret", place)

    def _from_file(self, edit: FromFile) -> list[str]:
        root = str(edit.place[0])
        # a path into a text would replace all of it
        kept = _leaves((root,), self.values[root]) if root in self.texts else ()
        command = _command("set --secret" if edit.secret else "set", edit.place)
        return [*(self._set(place, value) for place, value in kept), f"{command} < {quoted(edit.file)}"]

    def _whole(self, root: str) -> str:
        tree = {root: deepcopy(self.values[root])}
        for finding in sorted(self._findings, key=_Finding.order):
            for edit in finding.edits:
                if edit.place[0] == root and not isinstance(edit, FromFile):
                    _apply(tree, edit)
        return self._set((root,), json.dumps(tree[root])) if root in tree else _command("rm", (root,))


def typed(place: Place) -> str:
    """A place as one types it for `pulumi config set --path`."""
    text = str(place[0])
    for step in place[1:]:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_STEP.fullmatch(step):
            text += f".{step}"
        else:
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
    return text if text.isprintable() else json.dumps(text)[1:-1]


def shown(value: object) -> str:
    """A value in a message: one line, not too long, and never nothing."""
    if value is MISSING:
        return "missing"
    plain = isinstance(value, str) and value.isprintable() and value.strip() == value != ""
    text = str(value) if plain else json.dumps(value)
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 3]}..."


def closest(word: str, options: Iterable[str]) -> str | None:
    """The option that a typo was meant to be; None when there is no telling. A digit is never a typo: v3 is not v2."""
    return similar(word, [option for option in options if _digits(option) == _digits(word)])


def similar(word: str, options: Iterable[str]) -> str | None:
    """The option that a word looks most like; None when it looks like none."""
    folded = {_folded(option): option for option in options}
    matches = difflib.get_close_matches(_folded(word), folded, n=1, cutoff=0.7)
    return folded[matches[0]] if matches else None


def _folded(word: str) -> str:
    return re.sub(r"[-_ .]", "", word).casefold()


def _digits(word: str) -> str:
    return re.sub(r"[^0-9]", "", word)


def _command(verb: str, place: Place, value: str | None = None) -> str:
    path = [] if len(place) == 1 else ["--path"]
    words = [*path, quoted(typed(place))]
    if value is not None:
        # a value such as -5 would be read as a flag
        words = [*path, *(["--"] if value.startswith("-") else []), quoted(typed(place)), quoted(value)]
    return " ".join(["pulumi config", verb, *words])


def quoted(word: str) -> str:
    """A word for a shell's command line, on one line."""
    if word.isprintable():
        return shlex.quote(word)
    escaped = re.sub(r"(['\\])", r"\\\1", word)
    return "".join(["$'", *(mark if mark.isprintable() else f"\\U{ord(mark):08x}" for mark in escaped), "'"])


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _leaves(place: Place, value: object) -> Iterable[tuple[Place, object]]:
    steps: Iterable[tuple[str | int, object]]
    if isinstance(value, Mapping):
        steps = value.items()
    elif isinstance(value, list):
        steps = enumerate(value)
    else:
        if value is not None:
            yield place, value
        return
    for step, inner in steps:
        yield from _leaves((*place, step), inner)


def _apply(tree: dict[Any, Any], edit: Set | Remove) -> None:
    inner: Any = tree
    for step in edit.place[:-1]:
        if isinstance(inner, dict) and not isinstance(inner.get(step), dict | list):
            inner[step] = {}
        inner = inner[step]
    last: Any = edit.place[-1]
    if isinstance(edit, Set) and isinstance(inner, list) and last == len(inner):
        inner.append(deepcopy(edit.value))
    elif isinstance(edit, Set):
        inner[last] = deepcopy(edit.value)
    elif isinstance(inner, list) or last in inner:
        del inner[last]
