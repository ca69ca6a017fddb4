"""What a change of inputs does to a resource: nothing, an update of some properties, or a replacement."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

from sandbox.plugins.gcp.paths import general
from sandbox.plugins.gcp.rules import Rules, rules_of
from sandbox.plugins.gcp.schema import Kind, Shape, schema_of
from sandbox.plugins.gcp.values import UNKNOWN, Tree, Value, name_of, plain


class Change(IntEnum):
    """What happens to a property; the numbers are the protocol's, a replacement's is one more."""

    ADD = 0
    DELETE = 2
    UPDATE = 4


def _shrinks(old: Value, new: Value) -> bool:
    """A subnetwork's range can grow in place."""
    try:
        return not ipaddress.ip_network(new, strict=False).supernet_of(ipaddress.ip_network(old, strict=False))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return True


def _switched_off(old: Value, new: Value) -> bool:
    return bool(old) and not new


# What the provider replaces for some changes only.
_SOMETIMES: dict[str, Callable[[Value, Value], bool]] = {
    "gcp:compute/subnetwork:Subnetwork ipCidrRange": _shrinks,
    "gcp:container/cluster:Cluster enableFqdnNetworkPolicy": _switched_off,
    "gcp:container/cluster:Cluster enableL4IlbSubsetting": _switched_off,
}


@dataclass
class Difference:
    """How new inputs differ from what there is."""

    changes: dict[str, Change] = field(default_factory=dict)
    """By path, with indices."""
    replaces: set[str] = field(default_factory=set)
    """The paths among them that cannot be changed in place."""

    @property
    def replaces_top(self) -> list[str]:
        """The properties that force a replacement, without what is in them."""
        return sorted({_top(path) for path in self.replaces})

    @property
    def top(self) -> list[str]:
        """The properties that differ, without what is in them."""
        return sorted({_top(path) for path in self.changes})


def difference(token: str, state: Tree, before: Tree, news: Tree) -> Difference:
    """Compare new inputs with a resource.

    Args:
        token: the resource's type.
        state: its properties as Google last said them.
        before: the inputs that it was made or last changed with.
        news: the inputs that it shall have.
    """
    walk = _Walk(token, rules_of(token))
    walk.fields(schema_of(token).inputs, plain(state), plain(before), plain(news), "")
    return walk.found


@dataclass
class _Walk:
    token: str
    rules: Rules
    found: Difference = field(default_factory=Difference)

    def fields(self, kind: Kind, state: Tree, before: Tree, news: Tree, path: str) -> None:
        for name, inner in kind.fields.items():
            inside = f"{path}.{name}" if path else name
            if news.get(name) is not None:
                self.value(inner, state.get(name), before.get(name), news[name], inside)
            elif general(inside) not in self.rules.computed | self.rules.read_only and not self._nothing(
                state.get(name), inside
            ):
                self._note(Change.DELETE, inside, inner, state[name], None)

    def value(self, kind: Kind, state: Value, before: Value, new: Value, path: str) -> None:
        if new is UNKNOWN:
            self._note(Change.ADD if state is None else Change.UPDATE, path, kind, state, new)
        elif state is None:
            if not self._nothing(new, path):
                self._note(Change.ADD, path, kind, state, new)
        elif kind.shape is Shape.OBJECT:
            self.fields(kind, state, before if isinstance(before, dict) else {}, new, path)
        elif kind.shape is Shape.MAP:
            self._map(kind, state, before if isinstance(before, dict) else {}, new, path)
        elif kind.shape is Shape.LIST and kind.element:
            before = before if isinstance(before, list) else []
            if general(path) in self.rules.sets:
                self._set(kind.element, state, new, path)
            else:
                self._list(kind.element, state, before, new, path)
        elif not self._same(state, new, path):
            self._note(Change.UPDATE, path, kind, state, new)

    def _map(self, kind: Kind, state: Tree, before: Tree, new: Tree, path: str) -> None:
        computed = general(path) in self.rules.computed
        for key in state.keys() | new.keys():
            inside = f"{path}.{key}" if re.fullmatch(r"[A-Za-z_][\w-]*", key) else f'{path}["{key}"]'
            if key not in new:
                if not computed or key in before:
                    self._note(Change.DELETE, inside, kind, state[key], None, path)
            elif key not in state:
                self._note(Change.ADD, inside, kind, None, new[key], path)
            elif new[key] is UNKNOWN or state[key] != new[key]:
                self._note(Change.UPDATE, inside, kind, state[key], new[key], path)

    def _list(self, element: Kind, state: list[Value], before: list[Value], new: list[Value], path: str) -> None:
        for index in range(max(len(state), len(new))):
            inside = f"{path}[{index}]"
            if index >= len(new):
                self._note(Change.DELETE, inside, element, state[index], None)
            elif index >= len(state):
                self._note(Change.ADD, inside, element, None, new[index])
            else:
                known = before[index] if index < len(before) else None
                self.value(element, state[index], known, new[index], inside)

    def _set(self, element: Kind, state: list[Value], new: list[Value], path: str) -> None:
        left = dict(enumerate(state))
        for index, value in enumerate(new):
            twin = next((old for old, there in left.items() if self._alike(element, there, value, path)), None)
            if twin is None:
                self._note(Change.ADD, f"{path}[{index}]", element, None, value)
            else:
                del left[twin]
        for index, value in left.items():
            self._note(Change.DELETE, f"{path}[{index}]", element, value, None)

    def _alike(self, element: Kind, there: Value, value: Value, path: str) -> bool:
        trial = _Walk(self.token, self.rules)
        trial.value(element, there, value, value, path)
        return not trial.found.changes

    def _same(self, state: Value, new: Value, path: str) -> bool:
        inside = general(path)
        if inside in self.rules.links and isinstance(state, str) and isinstance(new, str):
            return name_of(state) == name_of(new)
        if inside in self.rules.caseless and isinstance(state, str) and isinstance(new, str):
            exact = new.startswith("principal") or state.startswith("principal")
            return state == new if exact else state.lower() == new.lower()
        return bool(state == new)

    def _nothing(self, value: Value, path: str) -> bool:
        """Whether a value is what the provider takes for unset."""
        return value in (None, "", False, 0, [], {}) or value == self.rules.defaults.get(general(path), "")

    def _note(self, change: Change, path: str, kind: Kind, old: Value, new: Value, owner: str | None = None) -> None:
        self.found.changes[path] = change
        inside = general(owner or path)
        sometimes = _SOMETIMES.get(f"{self.token} {inside}")
        replaces = inside in self.rules.replace or (sometimes is not None and sometimes(old, new))
        if change is not Change.UPDATE and kind.shape is Shape.OBJECT:
            # A block that comes or goes brings its properties along.
            block = new if isinstance(new, dict) else old
            replaces = replaces or self._replaces_within(kind, block, inside)
        if replaces:
            self.found.replaces.add(path)

    def _replaces_within(self, kind: Kind, block: Value, inside: str) -> bool:
        if not isinstance(block, dict):
            return False
        return any(
            f"{inside}.{name}" in self.rules.replace and not self._nothing(block.get(name), f"{inside}.{name}")
            for name in kind.fields
        )


def _top(path: str) -> str:
    return re.split(r"[.\[]", path, maxsplit=1)[0]
