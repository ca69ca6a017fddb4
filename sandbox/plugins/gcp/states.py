"""A resource's state: its inputs, and what Google says of the rest."""

from __future__ import annotations

from sandbox.plugins.gcp.rules import Rules, rules_of
from sandbox.plugins.gcp.schema import Kind, Schema, Shape, schema_of
from sandbox.plugins.gcp.values import UNKNOWN, Secret, Tree, Value, name_of, plain


def overlay(below: Tree, above: Tree) -> Tree:
    """Return two trees as one; where both have a value, the upper one's counts, and objects are looked into."""
    result = dict(below)
    for name, value in above.items():
        old = result.get(name)
        result[name] = overlay(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def planned(token: str, inputs: Tree, known: Tree) -> Tree:
    """Return a new resource's state as far as a preview can tell; the rest is UNKNOWN.

    Args:
        token: the resource's type.
        inputs: as checked.
        known: outputs that are known before Google is asked.
    """
    schema, rules = schema_of(token), rules_of(token)
    return _planned(schema.inputs, rules, plain(inputs), "") | _unknown_outputs(schema) | known | _own(known, inputs)


def _own(known: Tree, inputs: Tree) -> Tree:
    return {name: inputs[name] for name in known if inputs.get(name) is not None}


def _unknown_outputs(schema: Schema) -> Tree:
    return dict.fromkeys(schema.outputs - schema.inputs.fields.keys(), UNKNOWN)


def _planned(kind: Kind, rules: Rules, inputs: Tree, path: str) -> Tree:
    result = dict(inputs)
    for name, inner in kind.fields.items():
        inside = f"{path}.{name}" if path else name
        if name not in inputs:
            if inside in rules.computed | rules.read_only:
                result[name] = UNKNOWN
        elif inner.shape is Shape.OBJECT and isinstance(inputs[name], dict):
            result[name] = _planned(inner, rules, inputs[name], inside)
    return result


def kept(token: str, before: Tree, inputs: Tree) -> Tree:
    """Return what an update leaves as it was: what Google decided once, and the program still does not say."""
    return _kept(schema_of(token).inputs, rules_of(token), before, plain(inputs), "")


def _kept(kind: Kind, rules: Rules, before: Tree, inputs: Tree | None, path: str) -> Tree:
    """`inputs` is None within what the program does not mention at all."""
    result: Tree = {}
    for name, inner in kind.fields.items():
        inside, old = f"{path}.{name}" if path else name, before.get(name)
        given = None if inputs is None else inputs.get(name)
        decided = inputs is None or (given is None and inside in rules.computed)
        if old is None or inside in rules.read_only or not (decided or isinstance(given, dict)):
            continue
        if inner.shape is Shape.OBJECT and isinstance(old, dict):
            result[name] = _kept(inner, rules, old, given, inside)
        elif decided:
            result[name] = old
    return result


def refreshed(token: str, inputs: Tree, live: Tree) -> Tree:
    """Return a resource's inputs as they would have to be for what there is now.

    Args:
        token: the resource's type.
        inputs: those it was made or last changed with; empty for a resource that is imported.
        live: its properties as Google says them now.
    """
    kind, rules = schema_of(token).inputs, rules_of(token)
    if inputs:
        return _refreshed(kind, rules, inputs, live, "")
    there = {name: live[name] for name in kind.fields if live.get(name) not in (None, "", [], {})}
    return {name: value for name, value in there.items() if name not in rules.read_only}


def _refreshed(kind: Kind, rules: Rules, inputs: Tree, live: Tree, path: str) -> Tree:
    result: Tree = {}
    for name, old in inputs.items():
        inside, now = f"{path}.{name}" if path else name, live.get(name)
        inner = kind.fields.get(name)
        if inner is None:
            result[name] = old  # the bridge's own entries
        elif now is None:
            continue
        elif isinstance(old, dict) and isinstance(now, dict) and inner.shape is Shape.OBJECT:
            result[name] = _refreshed(inner, rules, old, now, inside)
        elif isinstance(old, list) and isinstance(now, list) and inner.element:
            result[name] = _refreshed_list(inner.element, rules, old, now, inside)
        elif inside in rules.links and isinstance(old, str) and name_of(old) == name_of(str(now)):
            result[name] = old
        else:
            result[name] = now
    # What was added to labels and the like, or set by hand where the program says nothing, is drift as well.
    added = live.keys() & kind.fields.keys() - inputs.keys()
    for name in added:
        inside, now = f"{path}.{name}" if path else name, live[name]
        decided = rules.computed | rules.read_only
        if inside not in decided and now not in (None, "", False, 0, [], {}, rules.defaults.get(inside)):
            result[name] = now
    return result


def _refreshed_list(element: Kind, rules: Rules, old: list[Value], now: list[Value], path: str) -> list[Value]:
    return [
        _refreshed(element, rules, old[index], value, path)
        if index < len(old) and isinstance(old[index], dict) and isinstance(value, dict)
        else value
        for index, value in enumerate(now)
    ]


def with_secrets(token: str, state: Tree) -> Tree:
    """Return a state with what the provider's schema calls sensitive marked as secret."""
    result = dict(state)
    for path in rules_of(token).secret:
        top, _, rest = path.partition(".")
        if isinstance(result.get(top), dict) and rest in result[top]:
            result[top] = result[top] | {rest: Secret(result[top][rest])}
    return result
