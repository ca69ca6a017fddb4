"""The properties of each resource type, learned from the classes of the installed pulumi_gcp.

Importing those takes a second or two, so what was learned is kept in the user's cache under the package's version.
"""

from __future__ import annotations

import inspect
import json
import os
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from sandbox.paths import cache_root

_FORMAT = 2
"""Raised when what is kept changes its form, or has more types."""
_MODULES = {
    "gcp:compute/firewall:Firewall": "compute.firewall",
    "gcp:compute/network:Network": "compute.network",
    "gcp:compute/router:Router": "compute.router",
    "gcp:compute/routerNat:RouterNat": "compute.router_nat",
    "gcp:compute/subnetwork:Subnetwork": "compute.subnetwork",
    "gcp:container/cluster:Cluster": "container.cluster",
    "gcp:container/nodePool:NodePool": "container.node_pool",
    "gcp:dns/managedZone:ManagedZone": "dns.managed_zone",
    "gcp:dns/recordSet:RecordSet": "dns.record_set",
    "gcp:projects/iAMMember:IAMMember": "projects.iam_member",
    "gcp:projects/service:Service": "projects.service",
    "gcp:serviceaccount/account:Account": "serviceaccount.account",
    "gcp:serviceaccount/iAMMember:IAMMember": "serviceaccount.iam_member",
    "gcp:storage/bucketIAMMember:BucketIAMMember": "storage.bucket_iam_member",
    "pulumi:providers:gcp": "provider",
}
PROVIDER = "pulumi:providers:gcp"
TYPES = frozenset(_MODULES) - {PROVIDER}


class Shape(StrEnum):
    """What kind of value a property has."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    MAP = "map"
    OBJECT = "object"


@dataclass(frozen=True)
class Kind:
    """What a property holds: of a list or map the kind of its elements, of an object its properties."""

    shape: Shape
    element: Kind | None = None
    fields: Mapping[str, Kind] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Schema:
    """The properties of a resource type."""

    inputs: Kind
    outputs: frozenset[str]


def version() -> str:
    """Return the version of the installed pulumi_gcp, which is the plugin's."""
    return metadata.version("pulumi-gcp")


@cache
def schema_of(token: str) -> Schema:
    """Return the schema of one of TYPES, or of PROVIDER."""
    return _schemas()[token]


@cache
def _schemas() -> dict[str, Schema]:
    kept = cache_root() / "gcp" / f"schema-{version()}-{_FORMAT}.json"
    try:
        return {token: _from_json(entry) for token, entry in json.loads(kept.read_text()).items()}
    except (OSError, ValueError, KeyError, TypeError):
        learned = {token: _learn(token) for token in _MODULES}
        _keep(kept, {token: _to_json(schema) for token, schema in learned.items()})
        return learned


def _keep(path: Path, content: dict[str, Any]) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        staged.write_text(json.dumps(content))
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)  # a cache that cannot be written costs time only


def _learn(token: str) -> Schema:
    from pulumi._types import resource_types

    module = import_module(f"pulumi_gcp.{_MODULES[token]}")
    name = "Provider" if token == PROVIDER else token.rpartition(":")[2]
    inputs = _object(getattr(module, f"{name}Args"))
    return Schema(inputs, frozenset(resource_types(getattr(module, name))))


def _object(arguments: type) -> Kind:
    from pulumi._types import input_type_py_to_pulumi_names, input_type_types

    names = input_type_py_to_pulumi_names(arguments)
    parameters = inspect.signature(arguments).parameters.values()
    required = {names[each.name] for each in parameters if each.default is inspect.Parameter.empty}
    fields = {name: _kind(annotation) for name, annotation in input_type_types(arguments).items()}
    return Kind(Shape.OBJECT, fields=fields, required=frozenset(required))


def _kind(annotation: object) -> Kind:
    from pulumi._types import is_input_type

    simple = {str: Shape.STRING, int: Shape.INTEGER, float: Shape.NUMBER, bool: Shape.BOOLEAN}
    outer, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if outer is typing.Union:
        # Input[T] is T, an Awaitable or an Output of it, and for objects a dictionary: the first one says it all.
        return _kind(inner[0])
    if outer in {Sequence, list}:
        return Kind(Shape.LIST, element=_kind(inner[0]))
    if outer in {Mapping, dict}:
        return Kind(Shape.MAP, element=_kind(inner[1]))
    if isinstance(annotation, type) and is_input_type(annotation):
        return _object(annotation)
    return Kind(simple[annotation]) if isinstance(annotation, type) and annotation in simple else Kind(Shape.STRING)


def _to_json(schema: Schema) -> dict[str, Any]:
    return {"inputs": _kind_to_json(schema.inputs), "outputs": sorted(schema.outputs)}


def _kind_to_json(kind: Kind) -> dict[str, Any]:
    result: dict[str, Any] = {"shape": kind.shape.value}
    if kind.element:
        result["element"] = _kind_to_json(kind.element)
    if kind.shape is Shape.OBJECT:
        result["fields"] = {name: _kind_to_json(each) for name, each in kind.fields.items()}
        result["required"] = sorted(kind.required)
    return result


def _from_json(content: dict[str, Any]) -> Schema:
    return Schema(_kind_from_json(content["inputs"]), frozenset(content["outputs"]))


def _kind_from_json(content: dict[str, Any]) -> Kind:
    return Kind(
        Shape(content["shape"]),
        _kind_from_json(content["element"]) if "element" in content else None,
        {name: _kind_from_json(each) for name, each in content.get("fields", {}).items()},
        frozenset(content.get("required", ())),
    )
