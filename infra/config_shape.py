"""From config text to a pydantic model, and from pydantic's errors to problems that say how to mend them."""

import json
from collections.abc import Mapping
from types import UnionType
from typing import Any, Final, NoReturn, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator

from infra.config_errors import MISSING, Edit, Place, Remove, Report, Set, closest
from infra.config_fields import WrongValueError

_Shape = TypeVar("_Shape", bound=BaseModel)

_OBJECT: Final = "it is an object of keys and values"
_KINDS: Final = {
    "model_type": _OBJECT,
    "dict_type": _OBJECT,
    "tuple_type": "it is a list",
    "string_type": "it is the name of a version",
}


class Section(BaseModel):
    """A part of the config: unknown keys are errors, and nothing changes after reading."""

    # Built when first used: a stack uses few of the sections, and what holds others builds them anew.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Bounds(Section):
    """A part of the config that has the keys `min` and `max`."""

    @field_validator("max", check_fields=False)
    @classmethod
    def _not_below_the_least(cls, most: int, info: ValidationInfo) -> int:
        least = info.data.get("min", most)
        if most < least:
            raise WrongValueError("it is at least min", str(least))
        return most


def decoded(text: str) -> tuple[Any, list[str]]:
    """Parse the JSON text of an object.

    Returns:
        The value, and the keys that stand twice in one object (the last one's value is taken).

    Raises:
        ValueError: it is no JSON, or nested or long beyond all reason.
    """
    repeated: list[str] = []

    def gathered(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        whole = dict(pairs)
        keys = [key for key, _ in pairs]
        repeated.extend(key for key in whole if keys.count(key) > 1)
        return whole

    try:
        return json.loads(text, object_pairs_hook=gathered, parse_constant=_no_json), repeated
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def is_from_yaml(text: str, value: object) -> bool:
    """Whether a JSON text is what Pulumi makes of an object in YAML, keys sorted and compact, or written by hand."""
    own = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        own = own.replace(character, f"\\u{ord(character):04x}")
    return text == own


def shaped(shape: type[_Shape], values: Mapping[str, Any], report: Report) -> _Shape | None:
    """Fill a model from config; None, with all reasons in the report, when the config does not fit it."""
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _explain(shape, detail["type"], detail["loc"], detail.get("ctx", {}).get("error"), report)
    return None


def keys_of(shape: type[BaseModel]) -> dict[str, Any]:
    """The keys of a section of the config, with the type of each."""
    return {info.alias or name: info.annotation for name, info in shape.model_fields.items()}


def _explain(shape: type[BaseModel], kind: str, place: Place, wrong: object, report: Report) -> None:
    if isinstance(wrong, WrongValueError):
        place = (*_as_typed(shape, place), *wrong.inside)
        present = report.at(place) is not MISSING
        edit: Edit = Remove(place) if wrong.example is None and present else Set(place, wrong.example)
        report.add(place, wrong.right, edit)
    elif kind == "extra_forbidden":
        _explain_unknown(list(keys_of(_section(shape, place[:-1]))), place, report)
    elif kind in _KINDS:
        report.add(place, _KINDS[kind], Remove(place))
    # what is left follows from an error that is told: a default that is made of another key's value


def _explain_unknown(known: list[str], place: Place, report: Report) -> None:
    meant = closest(str(place[-1]), known)
    if meant is None:
        report.add(place, f"there is no such key here; there are {', '.join(known)}", Remove(place))
    else:
        report.add(place, f"there is no such key; did you mean {meant}?", *report.move(place, (*place[:-1], meant)))


def _as_typed(shape: type[BaseModel], place: Place) -> Place:
    """A place whose last key is as one types it; that of a missing value is pydantic's own name of the field."""
    fields = getattr(_section(shape, place[:-1]), "model_fields", {})
    alias = fields[place[-1]].alias if place[-1] in fields else None
    return (*place[:-1], alias) if alias else place


def _section(shape: type[BaseModel], place: Place) -> type[BaseModel]:
    kind: Any = shape
    for step in place:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = keys_of(kind)[str(step)]
        else:  # tuple[Item, ...] or dict[str, Item]
            kind = get_args(kind)[0 if isinstance(step, int) else 1]
        if isinstance(kind, UnionType):  # Item | None
            kind = get_args(kind)[0]
    section: type[BaseModel] = kind
    return section


def _no_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
