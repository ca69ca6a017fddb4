"""What the provider asks of a resource type's inputs and does on their change: the files of `tables/`.

They hold what the Terraform provider's schema says (google-beta 7.45), under Pulumi's names. A path has no indices:
`masterAuthorizedNetworksConfig.cidrBlocks.cidrBlock` is that of every block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_TABLES = Path(__file__).with_name("tables")


@dataclass(frozen=True)
class NameRule:
    """The property that gets the resource's name and seven random digits when the program does not set it."""

    property: str
    longest: int
    lower: bool = False


@dataclass(frozen=True)
class Rules:
    """One resource type's table."""

    name: NameRule | None = None
    include: Mapping[str, str] = field(default_factory=dict)
    """Properties whose own properties follow the rules of the same property of another type."""
    delete_first: bool = False
    """A replacement deletes the old one before it creates the new one."""
    replace: frozenset[str] = frozenset()
    """Cannot be changed in place."""
    computed: frozenset[str] = frozenset()
    """Google decides what the program leaves out; leaving it out later changes nothing."""
    read_only: frozenset[str] = frozenset()
    """Google's to say; the classes have them, the provider refuses them."""
    sets: frozenset[str] = frozenset()
    """Lists whose order means nothing."""
    links: frozenset[str] = frozenset()
    """References: a name, an ID and a self link of one thing are the same."""
    caseless: frozenset[str] = frozenset()
    """Capitals mean nothing, but in members of workforce and workload pools (`principal://`, `principalSet://`)."""
    secret: frozenset[str] = frozenset()
    names: Mapping[str, str] = field(default_factory=dict)
    """What the provider's messages call a property, where that is not Pulumi's name in another spelling."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The only values there are."""
    checks: Mapping[str, str] = field(default_factory=dict)
    """Which of the checks in forms.py a value has to pass."""
    most: Mapping[str, int] = field(default_factory=dict)
    least: Mapping[str, int] = field(default_factory=dict)
    excludes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """May not be set beside any of these."""
    exactly_one: tuple[tuple[str, ...], ...] = ()
    at_least_one: tuple[tuple[str, ...], ...] = ()


_WORDS = {"deleteFirst": "delete_first", "readOnly": "read_only", "exactlyOne": "exactly_one"} | {
    "atLeastOne": "at_least_one"
}


@cache
def rules_of(token: str) -> Rules:
    """Return the rules of a resource type; none for a type without a table."""
    found = _tables().get(token, Rules())
    for path, other in found.include.items():
        found = _with_nested(found, rules_of(other), f"{path}.")
    return found


@cache
def _tables() -> dict[str, Rules]:
    content: dict[str, dict[str, Any]] = {}
    for file in sorted(_TABLES.glob("*.yaml")):
        content |= yaml.safe_load(file.read_text())
    return {token: _rules(table) for token, table in content.items()}


def _rules(table: dict[str, Any]) -> Rules:
    kinds = {each.name: each.type for each in fields(Rules)}
    found: dict[str, Any] = {}
    for word, value in table.items():
        name = _WORDS.get(word, word)
        if name == "name":
            found[name] = NameRule(**value)
        elif kinds[name] == "frozenset[str]":
            found[name] = frozenset(value)
        elif kinds[name] == "tuple[tuple[str, ...], ...]":
            found[name] = tuple(tuple(group) for group in value)
        elif name in {"values", "excludes"}:
            found[name] = {path: tuple(entry) for path, entry in value.items()}
        else:
            found[name] = value
    return Rules(**found)


def _with_nested(rules: Rules, other: Rules, prefix: str) -> Rules:
    """Return rules with those that another type has below a prefix."""
    more: dict[str, Any] = {}
    for each in fields(Rules):
        ours, theirs = getattr(rules, each.name), getattr(other, each.name)
        if isinstance(theirs, frozenset):
            more[each.name] = ours | {path for path in theirs if path.startswith(prefix)}
        elif isinstance(theirs, dict):
            more[each.name] = ours | {path: value for path, value in theirs.items() if path.startswith(prefix)}
    return replace(rules, **more)
