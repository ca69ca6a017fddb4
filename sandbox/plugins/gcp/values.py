"""Property values, and how the engine's protocol writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

# Both are fixed by the protocol.
_SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker, not a secret
_UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that will be known once something else is created."""

    def __repr__(self) -> str:
        return "UNKNOWN"


@dataclass(frozen=True)
class Secret:
    """A value that the engine encrypts in its state and never shows."""

    value: Value


UNKNOWN: Final = Unknown()
Value: TypeAlias = Any
"""None, a bool, number or string, a list or Tree of values, UNKNOWN, or a Secret on its way to the engine."""
Tree: TypeAlias = dict[str, Any]


def decode(struct: Struct) -> Tree:
    """Return what the engine sent: whole numbers as int, secrets as plain values, nulls left out."""
    return {key: _decoded(value) for key, value in MessageToDict(struct).items() if value is not None}


def _decoded(value: Value) -> Value:
    if isinstance(value, dict):
        if value.get(_SIGNATURE) == _SECRET:
            return _decoded(value.get("value"))
        return {key: _decoded(element) for key, element in value.items() if element is not None}
    if isinstance(value, list):
        return [_decoded(element) for element in value]
    if value == _UNKNOWN:
        return UNKNOWN
    return int(value) if isinstance(value, float) and value.is_integer() else value


def encode(tree: Tree) -> Struct:
    """Return a tree as the engine wants it."""
    struct = Struct()
    struct.update(_encoded(tree))
    return struct


def _encoded(value: Value) -> Value:
    if isinstance(value, Secret):
        return {_SIGNATURE: _SECRET, "value": _encoded(value.value)}
    if isinstance(value, dict):
        return {key: _encoded(element) for key, element in value.items()}
    if isinstance(value, list):
        return [_encoded(element) for element in value]
    return _UNKNOWN if value is UNKNOWN else value


def plain(tree: Tree) -> Tree:
    """Return a tree without the bridge's own entries, whose names begin with two underscores."""
    return {key: _plain(value) for key, value in tree.items() if not key.startswith("__")}


def _plain(value: Value) -> Value:
    if isinstance(value, dict):
        return plain(value)
    return [_plain(element) for element in value] if isinstance(value, list) else value


def at(tree: Value, path: str) -> Value:
    """Return the value at a path like `releaseChannel.channel`; None where there is none, UNKNOWN below an unknown."""
    for name in path.split("."):
        if not isinstance(tree, dict):
            return UNKNOWN if tree is UNKNOWN else None
        tree = tree.get(name)
    return tree


def name_of(reference: str) -> str:
    """Return the name in an ID, a self link, or a name alone: Google takes any of them."""
    return reference.rstrip("/").rpartition("/")[2]
