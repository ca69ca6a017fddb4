"""Property paths, as tables and messages have them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

from sandbox.plugins.gcp.rules import Rules

_INDEX = re.compile(r"\[(\d+)\]")
_INDEX_OR_KEY = re.compile(r"\[[^]]*\]")


def general(path: str) -> str:
    """Return a path as the tables have it: without indices and keys."""
    return _INDEX_OR_KEY.sub("", path)


def terraform(rules: Rules, path: str) -> str:
    """Return a path as the provider's messages have it: `allows[1].protocol` is `allow.1.protocol`.

    A block that occurs once at most is a list there: `releaseChannel.channel` is `release_channel.0.channel`.
    """
    return ".".join(_terraform_parts(rules, path))


def shown(rules: Rules, path: str) -> str:
    """Return a path as the bridge tells the user where to look: no further than the first list without an order."""
    for whole in _wholes(path):
        if general(whole) in rules.sets:
            return re.sub(r"\[\d+\]$", "", whole)
    return path


def _terraform_parts(rules: Rules, path: str) -> Iterator[str]:
    for whole in _wholes(path):
        part = whole.rpartition(".")[2]
        yield rules.names.get(general(whole)) or _snake(general(part))
        if index := _INDEX.search(part):
            yield index[1]
        elif whole != path:
            yield "0"


def _wholes(path: str) -> Iterator[str]:
    """Yield a path's beginnings, the path itself last."""
    return accumulate(path.split("."), lambda before, part: f"{before}.{part}")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: f"_{match[0].lower()}", name)
