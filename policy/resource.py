"""A resource as a policy sees it, and how to look into it. No Pulumi import."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

_KUBERNETES: Final = re.compile(r"kubernetes:(?P<group>[^:/]+)/[^:/]+:(?P<kind>[^:]+)")
_VALUE_LIMIT: Final = 80  # characters of a value in a message


class Unknown(Enum):
    """A value that only an `up` will bring to light."""

    UNKNOWN = "known after the update"


@dataclass(frozen=True)
class Sealed:
    """A value that the engine keeps encrypted."""

    value: Any


@dataclass(frozen=True)
class Resource:
    """One resource of the stack, as its provider's check left it.

    Attributes:
        token: its type in Pulumi: "kubernetes:core/v1:Secret".
        name: its name in Pulumi.
        props: its inputs; any of them may be `Unknown` during a preview.
        protected: whether Pulumi refuses to delete it.
        stack: the stack's name.
    """

    token: str
    name: str
    props: Mapping[str, Any]
    protected: bool
    stack: str

    def is_kind(self, group: str, kind: str) -> bool:
        """Whether this is a Kubernetes object of that kind, in whichever version, or a patch of one."""
        match = _KUBERNETES.fullmatch(self.token)
        return match is not None and match["group"] == group and match["kind"].removesuffix("Patch") == kind

    def at(self, *path: str) -> Any:  # noqa: ANN401 - whatever the input holds
        """The input at a path; None when there is nothing, `Unknown` when it is inside of something unknown."""
        return at(self.props, *path)

    def wrong(self, path: str, value: object, right: str, mend: str) -> str:
        """A violation's message: the input, its value, what would be right and what mends it."""
        return f"{self.name}: {path} is {_shown(value)}; {right}. {mend}"


def at(tree: object, *path: str) -> Any:  # noqa: ANN401 - whatever the input holds
    """What a tree of mappings holds at a path; None when nothing."""
    for step in path:
        if isinstance(tree, Unknown):
            return tree
        tree = tree.get(step) if isinstance(tree, Mapping) else None
    return tree


def entries(value: object) -> list[Any]:
    """The items of a list, whatever they are; none when it is no list."""
    return value if isinstance(value, list) else []


def walk(tree: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value inside of a tree with its path, the tree's own first; what is sealed is not looked into."""
    yield path, tree
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            yield from walk(value, f"{path}.{key}" if path else str(key))
    for index, value in enumerate(entries(tree)):
        yield from walk(value, f"{path}[{index}]")


def _shown(value: object) -> str:
    if value is None or value == "":
        return "missing" if value is None else "empty"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _VALUE_LIMIT else f"{text[: _VALUE_LIMIT - 3]}..."
