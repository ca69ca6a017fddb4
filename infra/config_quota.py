"""A model's quota as the config has it: what its values may be, and whose they can be. No Pulumi import."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from infra import naming
from infra.config_access import WHO, names_an_account
from infra.config_errors import MISSING, Place, Remove, Report, closest, shown
from infra.config_fields import WrongValueError, whole_between
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


def check_quota(model: Place, given: Mapping[str, Any], report: Report) -> None:
    """Report callers with a rate of their own who are nobody, or who may not call.

    Args:
        model: the model's place in the config.
        given: what the config holds there.
        report: holds the config, and takes the problems.
    """
    quota, let_in = given.get("quota"), given.get("callers")
    named = quota.get("callers") if isinstance(quota, dict) else None
    known = {*map(str, let_in), *_gateway(report)} if isinstance(let_in, list) else set()
    for caller in named if isinstance(named, dict) else ():
        place = (*model, "quota", "callers", caller)
        if not names_an_account(caller):
            right = WHO
        elif known and caller not in known:
            right = f"it may not call the model; who may is {', '.join(sorted(known))}"
        else:
            continue
        meant = closest(caller, known)
        edits = report.move(place, (*place[:-1], meant)) if meant else (Remove(place),)
        report.add(place, right, *edits, value=shown(caller))


def _gateway(report: Report) -> tuple[str, ...]:
    return () if report.at(("host",)) in (MISSING, "") else (GATEWAY,)
