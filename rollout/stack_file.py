"""Changes single values of a stack's config file and leaves every other character as it is: comments, order, quotes.

`pulumi config set` does the same to one key, in the time that a rollback may take as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml

from rollout.errors import RolloutError

# libyaml's where it is there: ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load(text: str) -> Any:  # noqa: ANN401 - YAML
    """Read a YAML text."""
    return yaml.load(text, Loader=_LOADER)  # noqa: S506 - both loaders are safe ones


def put(text: str, path: tuple[str, ...], value: str | int) -> str:
    """Return the YAML text with a value at a path of keys, whose parent is there already.

    Raises:
        RolloutError: the text has no such place, or one that cannot be changed without changing more.
    """

    def change(whole: dict[str, Any]) -> None:
        _at(whole, path[:-1])[path[-1]] = value

    parent = _node(text, path[:-1])
    found = _entry(parent, path[-1])
    scalar = yaml.safe_dump(value).splitlines()[0]
    if found is not None:
        _, old = found
        blank = " " if text[old.start_mark.index - 1] == ":" else ""
        result = text[: old.start_mark.index] + blank + scalar + text[old.end_mark.index :]
    elif parent.flow_style:
        end = parent.end_mark.index - 1
        result = text[:end] + (", " if parent.value else "") + f"{path[-1]}: {scalar}" + text[end:]
    elif parent.value:
        end = _line_end(text, _end(parent))
        indent = " " * parent.value[0][0].start_mark.column
        start = text[:end] if text[:end].endswith("\n") else text[:end] + "\n"
        result = f"{start}{indent}{path[-1]}: {scalar}\n{text[end:]}"
    else:
        raise _cannot("set", path)
    return _checked(text, result, change, "set", path)


def drop(text: str, path: tuple[str, ...]) -> str:
    """Return the YAML text without the line of one key; the same text when there is none.

    Raises:
        RolloutError: see `put`.
    """

    def change(whole: dict[str, Any]) -> None:
        del _at(whole, path[:-1])[path[-1]]

    parent = _node(text, path[:-1])
    found = _entry(parent, path[-1])
    if found is None:
        return text
    if parent.flow_style:
        raise _cannot("rm", path)
    key, value = found
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    result = text[:start] + text[_line_end(text, _end(value)) :]
    return _checked(text, result, change, "rm", path)


def _checked(
    before: str, after: str, change: Callable[[dict[str, Any]], None], verb: str, path: tuple[str, ...]
) -> str:
    """The text after a change, if it says what it said before but for the change."""
    # Through JSON, or what an anchor stands for would be one thing in two places.
    expected = json.loads(json.dumps(load(before), default=str))
    change(expected)
    try:
        if json.loads(json.dumps(load(after), default=str)) == expected:
            return after
    except yaml.YAMLError:
        pass
    raise _cannot(verb, path)


def _cannot(verb: str, path: tuple[str, ...]) -> RolloutError:
    key = ".".join(path[1:])
    command = f"pulumi config {verb} --path '{key}'"
    return RolloutError(f"{key} cannot be changed in the stack's file as it is written. Run: {command}")


def _node(text: str, path: tuple[str, ...]) -> yaml.MappingNode:
    node: Any = yaml.compose(text, Loader=_LOADER)
    for step in path:
        found = _entry(node, step) if isinstance(node, yaml.MappingNode) else None
        node = found[1] if found else None
    if not isinstance(node, yaml.MappingNode):
        raise RolloutError(f"the stack's file has no {'.'.join(path)}")
    return node


def _entry(node: yaml.MappingNode, key: str) -> tuple[yaml.Node, yaml.Node] | None:
    return next((pair for pair in node.value if pair[0].value == key), None)


def _at(whole: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - YAML
    for step in path:
        whole = whole[step]
    return whole


def _end(node: yaml.Node) -> int:
    """Where a value ends; of a block the mark is where the next thing begins, so its last scalar tells."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _line_end(text: str, index: int) -> int:
    """Where the next line begins; a block scalar's end is there already."""
    if index and text[index - 1] == "\n":
        return index
    end = text.find("\n", index)
    return len(text) if end < 0 else end + 1
