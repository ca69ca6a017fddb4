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
        tries = [text[: old.start_mark.index] + blank + scalar + text[old.end_mark.index :]]
    elif parent.flow_style:
        end = parent.end_mark.index - 1
        tries = [text[:end] + (", " if parent.value else "") + f"{path[-1]}: {scalar}" + text[end:]]
    else:
        tries = _inserted(text, parent, f"{path[-1]}: {scalar}")
    return _checked(text, tries, change, f"set --path '{_typed(path)}' {scalar}")


def _inserted(text: str, parent: yaml.MappingNode, line: str) -> list[str]:
    """The text with a new entry of a block: behind its last one, or, where an alias hides the end, before its first."""
    if not parent.value:
        return []
    first, end = parent.value[0][0].start_mark, _line_end(text, _end(parent))
    indent = " " * first.column
    start = text[:end] if text[:end].endswith("\n") else text[:end] + "\n"
    return [
        f"{start}{indent}{line}\n{text[end:]}",
        f"{text[: first.index]}{line}\n{indent}{text[first.index :]}",
    ]


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
    key, value = found
    start = text.rfind("\n", 0, key.start_mark.index) + 1
    result = text[:start] + text[_line_end(text, _end(value)) :]
    return _checked(text, [] if parent.flow_style else [result], change, f"rm --path '{_typed(path)}'")


def _checked(before: str, tries: list[str], change: Callable[[dict[str, Any]], None], command: str) -> str:
    """The first of some texts that says what the one before did, but for the change."""
    expected = _plain(before)
    change(expected)
    for text in tries:
        try:
            if _plain(text) == expected:
                return text
        except yaml.YAMLError:
            continue
    raise RolloutError(f"the stack's file is written in a way that this cannot change. Run: pulumi config {command}")


def _plain(text: str) -> Any:  # noqa: ANN401 - YAML
    # Through JSON, or what an anchor stands for would be one thing in two places.
    return json.loads(json.dumps(load(text), default=str))


def _typed(path: tuple[str, ...]) -> str:
    return ".".join((path[1].removeprefix("tfserving-mesh:"), *path[2:])) if len(path) > 1 else path[0]


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
