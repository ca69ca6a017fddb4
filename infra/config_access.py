"""Who may call a model, as the config says it. No Pulumi import."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator

from infra.config_errors import Edit, Place, Remove, Report, Set
from infra.config_fields import is_name

ANY: Final = "any"
_SERVICE_ACCOUNT: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_RIGHT: Final = f"who may call is {ANY}, or a list of NAMESPACE/SERVICEACCOUNT"
CALLER: Final = "my-namespace/my-account"


def _listed(value: object) -> object:
    # what is wrong with it is told by check_callers, which sees all of it
    return ANY if value == ANY else tuple(map(str, value)) if isinstance(value, list) else None


Callers: TypeAlias = Annotated[Literal["any"] | tuple[str, ...] | None, BeforeValidator(_listed)]


def check_callers(model: Place, given: Mapping[str, Any], report: Report) -> None:
    """Report a model in the mesh that does not say who may call it, and callers that name no service account.

    Args:
        model: its place in the config.
        given: what the config holds there.
        report: takes the problems.
    """
    place, callers = (*model, "callers"), given.get("callers")
    if callers is None:
        report.add(place, f"{_RIGHT}, and has to be written down", Set(place, [CALLER]))
    elif isinstance(callers, list):
        for index, caller in enumerate(callers):
            if not _names_an_account(caller):
                right = "a caller is NAMESPACE/SERVICEACCOUNT, both in full and without a wildcard"
                report.add((*place, index), right, Set((*place, index), CALLER))
            elif caller in callers[:index]:
                report.add((*place, index), "it stands in the list already", Remove((*place, index)))
    elif callers != ANY:
        meant = Set(place, [callers if _names_an_account(callers) else CALLER])
        edits: tuple[Edit, ...] = (Remove(place), meant)
        report.add(place, _RIGHT, *edits)


def _names_an_account(caller: object) -> bool:
    namespace, _, account = caller.partition("/") if isinstance(caller, str) else ("", "", "")
    return is_name(namespace) and bool(_SERVICE_ACCOUNT.fullmatch(account))
