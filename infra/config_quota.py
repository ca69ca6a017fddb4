"""A model's quota as the config has it: what its values may be, and whose they can be. No Pulumi import."""

import math
import re
from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from infra import naming
from infra.config_errors import MISSING, Place, Remove, Report, closest, shown
from infra.config_fields import WrongValueError, is_name, whole_between
from infra.config_shape import Section

_RATE: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,2})?")
_LEAST, _MOST = Decimal("0.01"), Decimal(10**6)
# Those who come in by `host` are one caller to a model: the gateway.
GATEWAY: Final = f"{naming.ISTIO_NAMESPACE}/{naming.GATEWAY_RELEASE}"


def _rate(value: object) -> Decimal:
    # YAML reads `0.5` as a number, and the command line keeps it as text
    text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    if _RATE.fullmatch(text) and _LEAST <= Decimal(text) <= _MOST:
        return Decimal(text)
    raise WrongValueError("a quota is 0.01-1000000 requests a second, with two decimals at most", "100")


class Rate(Section):
    """How many predictions a pod takes.

    Attributes:
        requests_per_second: for as long as they come.
        burst: how many more at once after a pause; None is as many as come in a second, and one at least.
    """

    requests_per_second: Annotated[Decimal, BeforeValidator(_rate)] = Field(
        default=None, validate_default=True, alias="requestsPerSecond"
    )
    burst: Annotated[int, whole_between(1, 10**6, "a burst is 1-1000000 requests", 100)] | None = None

    @property
    def tokens(self) -> int:
        """What a full bucket holds."""
        return self.burst or math.ceil(self.requests_per_second)


class Quota(Rate):
    """How many predictions a pod takes, of all callers together that have no rate of their own.

    Attributes:
        callers: rates of their own, by NAMESPACE/SERVICEACCOUNT.
    """

    callers: dict[str, Rate] = Field(default_factory=dict)


def check_quota(model: Place, given: object, let_in: object, report: Report) -> None:
    """Report callers with a rate of their own who are nobody, or who may not call.

    Args:
        model: the model's place in the config.
        given: its quota.
        let_in: its callers, when it lists some.
        report: holds the config, and takes the problems.
    """
    named = given.get("callers") if isinstance(given, dict) else None
    known = {*let_in, *_gateway(report)} if isinstance(let_in, list) and all(isinstance(x, str) for x in let_in) else ()
    for caller in named if isinstance(named, dict) else ():
        _check_caller((*model, "quota", "callers", caller), known, report)


def _check_caller(place: Place, known: Collection[str], report: Report) -> None:
    caller = str(place[-1])
    if not is_caller(caller):
        right = "a caller is NAMESPACE/SERVICEACCOUNT, who its pods run as"
    elif known and caller not in known:
        right = f"it may not call the model, so it needs no quota; there are {', '.join(sorted(known))}"
    else:
        return
    meant = closest(caller, known)
    edits = report.move(place, (*place[:-1], meant)) if meant else (Remove(place),)
    report.add(place, right, *edits, value=shown(caller))


def is_caller(text: str) -> bool:
    """Whether a text names a service account: NAMESPACE/SERVICEACCOUNT."""
    namespace, slash, account = text.partition("/")
    return bool(slash) and is_name(namespace) and len(account) <= 253 and all(map(is_name, account.split(".")))


def _gateway(report: Report) -> tuple[Any, ...]:
    return (GATEWAY,) if report.at(("host",)) not in (MISSING, "") else ()
