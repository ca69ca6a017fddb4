"""What has to fit together in a model's config: rules that name a version, and versions that must be there.

No Pulumi import. Whatever has the wrong shape is passed over here, for its shape tells it.
"""

from collections.abc import Mapping
from typing import Any

from infra.config_errors import Place, Remove, Report, Set, closest
from infra.config_fields import COOKIE_VALUE
from infra.config_models import body_of
from infra.config_weights import Declared


def check_models(declared: Mapping[str, Declared], report: Report) -> None:
    """Report what does not fit together in each of the models.

    Args:
        declared: their versions.
        report: holds the config, and takes the problems.
    """
    for name, model in declared.items():
        place = ("models", name)
        given = body_of(report.at(place))
        _check_matches(place, given.get("matches"), model.versions, report)
        _check_mirror(place, given.get("mirror"), model.versions, report)


def _check_matches(model: Place, matches: object, versions: tuple[str, ...], report: Report) -> None:
    seen: list[Any] = []
    for index, match in enumerate(matches if isinstance(matches, list) else []):
        place = (*model, "matches", index)
        if not isinstance(match, dict):
            continue
        kinds = [kind for kind in ("header", "cookie") if match.get(kind) is not None]
        condition = [(kind, match[kind]) for kind in kinds], match.get("value")
        if len(kinds) == 2:
            report.add((*place, "cookie"), "a match is by header or by cookie", Remove((*place, "cookie")))
        elif not kinds:
            report.add((*place, "header"), "a match names a header or a cookie", Set((*place, "header"), "x-version"))
        elif condition in seen:
            report.add(place, "an earlier match takes the same requests, so none is left for this one", Remove(place))
            continue
        seen.append(condition)
        value = match.get("value")
        if kinds == ["cookie"] and isinstance(value, str) and value and not COOKIE_VALUE.fullmatch(value):
            right = "a cookie's value has no space, comma, semicolon, quote or backslash"
            report.add((*place, "value"), right, Set((*place, "value"), "v2"))
        _check_version(place, match.get("version"), versions, report)


def _check_mirror(model: Place, mirror: object, versions: tuple[str, ...], report: Report) -> None:
    if not isinstance(mirror, dict):
        return
    place = (*model, "mirror")
    if len(versions) == 1:
        report.add(place, "the model has one version, which gets every request already", Remove(place))
    else:
        _check_version(place, mirror.get("version"), versions, report)


def _check_version(place: Place, given: object, versions: tuple[str, ...], report: Report) -> None:
    if not versions or given in versions or (given is not None and not isinstance(given, str)):
        return
    meant = closest(given, versions) if given else None
    edit = Set((*place, "version"), meant) if meant else Remove(place)
    report.add((*place, "version"), f"it is one of the model's versions: {', '.join(versions)}", edit)
