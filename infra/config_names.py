"""Whether the names of models and versions can be: alone, beside one another, and as names in a cluster."""

import re
from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import Any, Final

from infra import naming
from infra.config_access import CALLER
from infra.config_errors import MISSING, Edit, Remove, Report, Set, closest, shown
from infra.config_fields import MODEL_NAME_LIMIT, VERSION_NAME_LIMIT, is_name
from infra.config_weights import PROVIDERS, Declared

_RIGHT: Final = "begins with a letter, holds a-z, 0-9 and - only, does not end in - and has at most {limit} characters"
_SOMEBODY_ELSES: Final = "a model's name is a namespace in the config, and this one is somebody else's"
_CLUSTERS_OWN: Final = "a model's name is a service account's too, and Kubernetes has one of this name everywhere"
_NO_MODELS: Final = "a stack serves at least one model"
_NO_VERSIONS: Final = "a model has at least one version"


def natural_order(names: Iterable[str]) -> list[str]:
    """Sort names as people count: v2 before v10. Pulumi hands objects on sorted by key, so no other order survives."""
    return sorted(names, key=lambda name: (_parts(name), name))


def declare(project: str, report: Report) -> dict[str, Declared]:
    """Read which models and versions the config declares, and report the names that cannot be.

    Returns:
        What is declared, by model; as it stands in the config, faulty names as well.
    """
    models = report.at(("models",))
    if models is MISSING or models == {}:
        example = (
            Set(("models", "my-model", "path"), "gs://my-bucket/my-model"),
            Set(("models", "my-model", "callers"), [CALLER]),
            Set(("models", "my-model", "versions", "v1", "model"), 1),
        )
        report.add(("models",), _NO_MODELS, *example, value="missing" if models is MISSING else "empty")
    if not isinstance(models, dict):
        return {}
    declared = {model: _versions(model, models[model], report) for model in natural_order(models)}
    _check_models(declared, project, report)
    _check_derived(declared, report)
    return declared


def _versions(model: str, given: Any, report: Report) -> Declared:  # noqa: ANN401 # whatever JSON holds
    versions = given.get("versions", {}) if isinstance(given, dict) else None
    if not isinstance(versions, dict):
        return Declared((), None)  # that it is no object is told by its shape
    if not versions:
        report.add(
            ("models", model, "versions"),
            _NO_VERSIONS,
            Set(("models", model, "versions", "v1", "model"), 1),
            value="missing",
        )
    names = natural_order(versions)
    for name in names:
        if not is_name(name, VERSION_NAME_LIMIT, letter_first=True):
            place = ("models", model, "versions", name)
            right = f"a version's name {_RIGHT.format(limit=VERSION_NAME_LIMIT)}"
            renamed = (*place[:-1], _mended(name, "v", VERSION_NAME_LIMIT, versions))
            report.add(place, right, *report.move(place, renamed), value=shown(name))
    return Declared(tuple(names), _stable(model, given.get("stable"), names, report))


def _stable(model: str, given: object, names: list[str], report: Report) -> str | None:
    if given is None:
        return names[0] if names else None
    if isinstance(given, str) and given not in names:
        place = ("models", model, "stable")
        meant = closest(given, names)
        edit: Edit = Remove(place) if meant is None else Set(place, meant)
        report.add(place, f"it is one of the model's versions: {', '.join(names)}", edit)
    return given if isinstance(given, str) and given in names else None


def _check_models(models: Iterable[str], project: str, report: Report) -> None:
    reserved = dict.fromkeys((*PROVIDERS, project), _SOMEBODY_ELSES) | {"default": _CLUSTERS_OWN}
    taken = {*models, *reserved}
    for model in models:
        if not is_name(model, MODEL_NAME_LIMIT, letter_first=True):
            right = f"a model's name {_RIGHT.format(limit=MODEL_NAME_LIMIT)}"
        elif model in reserved:
            right = reserved[model]
        else:
            continue
        place = ("models", model)
        renamed = ("models", _mended(model, "model", MODEL_NAME_LIMIT, taken))
        report.add(place, right, *report.move(place, renamed), value=shown(model))


def _check_derived(declared: Mapping[str, Declared], report: Report) -> None:
    owners: dict[str, str] = {}
    for model, versions in declared.items():
        for version in versions.versions:
            name = naming.version_name(model, version)
            owner = owners.setdefault(name, model)
            if owner != model:
                place = ("models", model, "versions", version)
                renamed = (*place[:-1], _mended(version, "v", VERSION_NAME_LIMIT, versions.versions))
                right = f"its objects would be called {name}, as those of a version of {owner} are"
                report.add(place, right, *report.move(place, renamed), value=shown(version))


def _mended(name: str, prefix: str, limit: int, taken: Iterable[str]) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not plain[:1].isalpha():
        plain = prefix + plain
    plain = plain[:limit].rstrip("-")
    room = plain[: limit - 4].rstrip("-")
    numbered = (f"{room}-{number}" for number in count(2))
    used = set(taken)
    return next(candidate for candidate in chain([plain], numbered) if candidate not in used)


def _parts(name: str) -> list[tuple[int, str]]:
    return [(len(part.lstrip("0")), part.lstrip("0")) if odd else (0, part) for odd, part in _split(name)]


def _split(name: str) -> list[tuple[bool, str]]:
    return [(bool(index % 2), part) for index, part in enumerate(re.split(r"([0-9]+)", name))]
