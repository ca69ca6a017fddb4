"""Property values of a preview: what may be shown of them, and where two of them differ."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

# How Pulumi writes values that JSON has no form for (sdk/go/common/resource/sig and plugin/rpc.go).
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a marker, no secret
UNKNOWN_TEXTS: Final = frozenset(
    {
        "04da6b54-80e4-46f7-96ec-b56ff0331ba9",  # a text, and whatever a state holds
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # a boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # a number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # a list
        "030794c1-ac77-496b-92df-f27374a8bd58",  # an asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # an archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # a map
    }
)
# Properties whose plain values are nobody's business either, by the last word of their path.
_CONFIDENTIAL = re.compile(
    r"passw|secret|token|credential|kubeconfig|private_?key|api_?key|last-applied-configuration|\.(key|pem)$|^key$",
    re.IGNORECASE,
)


class Special(Enum):
    """What stands in place of a value that is not shown, or is not there."""

    SECRET = "secret, not shown"  # noqa: S105 - a word for readers
    UNKNOWN = "known after apply"
    MISSING = "none"


@dataclass(frozen=True)
class Opaque:
    """An asset, an archive, a reference: it can be compared, and is not shown."""

    content: str


@dataclass(frozen=True)
class Difference:
    """One property that changes; a side without it is `Special.MISSING`."""

    path: Path
    old: Any
    new: Any


def cleaned(value: object) -> Any:  # noqa: ANN401 - a JSON value
    """Return a value as JSON has it, with secrets, unknowns, and assets replaced by what they are."""
    if isinstance(value, Mapping):
        if SIGNATURE in value:
            secret = value[SIGNATURE] == SECRET_SIGNATURE or value.get("secret") is True
            return Special.SECRET if secret else Opaque(repr(sorted(value.items(), key=repr)))
        return {str(key): cleaned(element) for key, element in value.items()}
    if isinstance(value, list):
        return [cleaned(element) for element in value]
    if isinstance(value, str):
        if value in UNKNOWN_TEXTS:
            return Special.UNKNOWN
        return Special.SECRET if value == "[secret]" else value
    return value


def differences(old: object, new: object, path: Path = ()) -> Iterator[Difference]:
    """Yield the properties in which two cleaned values differ; keys that begin with "__" are a plugin's own.

    Two secrets, and two unknowns, count as equal: whether they differ only the plugin can say.
    """
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in sorted({*old, *new}):
            if not key.startswith("__"):
                yield from differences(old.get(key, Special.MISSING), new.get(key, Special.MISSING), (*path, key))
    elif isinstance(old, list) and isinstance(new, list):
        for index, (before, after) in enumerate(zip_longest(old, new, fillvalue=Special.MISSING)):
            yield from differences(before, after, (*path, index))
    elif old != new or isinstance(old, bool) != isinstance(new, bool):
        yield Difference(path, old, new)


_STEP = re.compile(r'\["((?:[^"\\]|\\.)*)"\]|\[(\d+)\]|\.?([^.\[\]]+)')


def parsed_path(text: str) -> Path:
    """Read a path as Pulumi writes it in a detailed diff: `spec.http[0]["a.b"]`."""
    return tuple(
        int(match[2]) if match[2] is not None else match[3] if match[3] is not None else match[1].replace('\\"', '"')
        for match in _STEP.finditer(text)
    )


def path_text(path: Sequence[str | int]) -> str:
    """Write a path in the same way."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif re.fullmatch(r"[^.\[\]\"]+", step):
            text += f".{step}" if text else step
        else:
            text += '["' + step.replace('"', '\\"') + '"]'
    return text


def confidential(path: Path) -> bool:
    """Whether a property's name says that its value is not for everybody's eyes."""
    words = [step for step in path if isinstance(step, str)]
    return bool(words) and _CONFIDENTIAL.search(words[-1]) is not None


def is_whole(value: object) -> bool:
    """Whether a value is an integer, as a weight has to be; JSON writers may spell 5 as 5.0."""
    return not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
