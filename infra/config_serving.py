"""What has to fit together in a model's config: rules that name a version, and versions that must be there.

No Pulumi import. Whatever has the wrong shape is passed over here, for its shape tells it.
"""

from collections.abc import Mapping
from typing import Any, Final

from infra import naming
from infra.config_access import check_access
from infra.config_errors import MISSING, Place, Remove, Report, Set, closest
from infra.config_fields import COOKIE_VALUE
from infra.config_models import body_of
from infra.config_quota import check_quota
from infra.config_weights import Declared

_NEEDS_PROXIES: Final = (
    "callers",
    "jwt",
    "strictCallers",
    "matches",
    "mirror",
    "retries",
    "outlierEjection",
    "quota",
)


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
        _check_pods(place, given.get("versions"), report)
        if given.get("mesh") in (False, "false"):
            _check_plain(name, given, model, report)
        elif report.at(place) is given:
            check_access(place, given, report)
            check_quota(place, given, report)


def _check_pods(model: Place, versions: object, report: Report) -> None:
    for name, version in body_of(versions).items():
        place = (*model, "versions", name, "replicas")
        if body_of(version).get("autoscaling") is not None and report.at(place) is not MISSING:
            report.add(place, "with autoscaling the load decides; say autoscaling.min and max instead", Remove(place))


def _check_plain(name: str, given: Mapping[str, Any], model: Declared, report: Report) -> None:
    for key in _NEEDS_PROXIES:
        if given.get(key) not in (None, False, "false", [], {}):
            place = ("models", name, key)
            report.add(place, "with mesh: false there are no proxies, and nobody to do this", Remove(place))
    for short in model.weight_keys:
        for key in (short, f"{name}:{short}"):
            if report.at((key,)) not in (MISSING, "0", 0):
                right = f"with mesh: false nothing can split requests; all of them go to the stable version of {name}"
                report.add((key,), right, Remove((key,)))


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
        elif match.get("header") == naming.MODEL_HEADER and report.at(("host",)) not in (MISSING, ""):
            right = "with a host, callers from outside say by this header which model a gRPC request is for"
            report.add((*place, "header"), right, Set((*place, "header"), "x-version"))
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
