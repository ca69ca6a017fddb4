"""Who may call a model, as the config says it. No Pulumi import."""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from infra import naming
from infra.config_errors import HIDDEN, MISSING, Place, Remove, Report, Set
from infra.config_fields import WrongValueError, is_name, text
from infra.config_shape import Section

ANY: Final = "any"
CALLER: Final = "my-namespace/my-account"  # an example
_SERVICE_ACCOUNT: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_RIGHT: Final = f"who may call is {ANY}, or a list of NAMESPACE/SERVICEACCOUNT"
WHO: Final = "a caller is NAMESPACE/SERVICEACCOUNT, both in full and without a wildcard"
_ISSUER: Final = re.compile(r"[!-)+-~]{1,500}")  # printable, and without the * that Istio takes for anything
_KEY_SET: Final = "it is a JSON Web Key Set: an object whose keys are a list of public keys, each with its kty"
_KEY_SET_URI: Final = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*)?")
_KEYS_AT: Final = "https://issuer.example.com/.well-known/jwks.json"
# RFC 7518: what makes a key private, or symmetric, which is the same as private.
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


def _listed(value: object) -> object:
    # what is wrong with it is told by check_access, which sees all of it
    return ANY if value == ANY else tuple(map(str, value)) if isinstance(value, list) else None


Callers: TypeAlias = Annotated[Literal["any"] | tuple[str, ...] | None, BeforeValidator(_listed)]


def _some(value: object) -> object:
    if value in (None, [], ()):
        right = "a token names the services it is for, and a model takes those that name one of its audiences"
        raise WrongValueError(right, ["my-models"])
    return value


def _as_text(value: object) -> str | None:
    # what is wrong with it is told by check_access, which shows no private key
    return value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)


class Jwt(Section):
    """The tokens that requests from outside need.

    Attributes:
        issuer: who made the token, its `iss`.
        audiences: whom it may be for; one of its `aud` is among them.
        jwks_uri: where istiod fetches the issuer's public keys.
        jwks: the keys themselves, as JSON text; either these or their address are given.
    """

    issuer: Annotated[
        str,
        text(_ISSUER.fullmatch, "it is the iss of the tokens, without spaces and *", "https://issuer.example.com"),
    ] = Field(default=None, validate_default=True)
    audiences: Annotated[
        tuple[Annotated[str, text(str.strip, "it is an aud of the tokens, a text", "my-models")], ...],
        BeforeValidator(_some),
    ] = Field(default=None, validate_default=True)
    jwks_uri: Annotated[str, text(_KEY_SET_URI.fullmatch, "keys are fetched by https", _KEYS_AT)] | None = Field(
        default=None, alias="jwksUri"
    )
    jwks: Annotated[str | None, BeforeValidator(_as_text)] = None


def check_access(model: Place, given: Mapping[str, Any], report: Report) -> None:
    """Report what a model in the mesh does not say of its callers, or says of callers and tokens that cannot be.

    Args:
        model: its place in the config.
        given: what the config holds there.
        report: holds the config, and takes the problems.
    """
    _check_callers((*model, "callers"), given.get("callers"), report)
    if given.get("strictCallers") in (False, "false") and given.get("callers") not in (None, ANY):
        place = (*model, "strictCallers")
        report.add(
            place, "a caller without a sidecar has no identity, so none of the callers could be one", Remove(place)
        )
    if isinstance(given.get("jwt"), dict):
        _check_jwt((*model, "jwt"), given["jwt"], report)
        outside = "requests that come in through the gateway need a token, and this would let in all without one"
        callers = given.get("callers")
        for index, caller in enumerate(callers if isinstance(callers, list) else []):
            if caller == naming.GATEWAY_ACCOUNT:
                report.add((*model, "callers", index), outside, Remove((*model, "callers", index)))


def _check_callers(place: Place, callers: object, report: Report) -> None:
    if callers is None:
        report.add(place, f"{_RIGHT}, and has to be written down", Set(place, [CALLER]))
    elif isinstance(callers, list):
        for index, caller in enumerate(callers):
            if not names_an_account(caller):
                report.add((*place, index), WHO, Set((*place, index), CALLER))
            elif caller in callers[:index]:
                report.add((*place, index), "it stands in the list already", Remove((*place, index)))
    elif callers != ANY:
        report.add(place, _RIGHT, Remove(place), Set(place, [callers if names_an_account(callers) else CALLER]))


def names_an_account(caller: object) -> bool:
    """Whether this names a service account as callers are named: NAMESPACE/SERVICEACCOUNT."""
    namespace, _, account = caller.partition("/") if isinstance(caller, str) else ("", "", "")
    return is_name(namespace) and bool(_SERVICE_ACCOUNT.fullmatch(account))


def _check_jwt(place: Place, jwt: Mapping[str, Any], report: Report) -> None:
    if report.at(("host",)) in (MISSING, ""):
        report.add(
            place, "tokens are for requests from outside, and without a host there are none", Remove(place), value="set"
        )
    by_uri, by_value = (jwt.get(key) is not None for key in ("jwksUri", "jwks"))
    if by_uri and by_value:
        right = "the issuer's keys are fetched from jwksUri, or stand here"
        report.add((*place, "jwks"), right, Remove((*place, "jwks")))
    elif not by_uri and not by_value:
        right = "the issuer's public keys are needed, or where to fetch them"
        report.add((*place, "jwksUri"), right, Set((*place, "jwksUri"), _KEYS_AT))
    if by_value:
        _check_keys((*place, "jwks"), jwt["jwks"], report)


def _check_keys(place: Place, key_set: object, report: Report) -> None:
    try:
        read = json.loads(key_set) if isinstance(key_set, str) else key_set
    except (ValueError, RecursionError):
        read = key_set
    keys = read.get("keys") if isinstance(read, dict) else None
    listed = keys if isinstance(keys, list) else []
    found = [key for key in [read, *listed] if isinstance(key, dict)]  # a key that is in no set is a slip as well
    if any(_PRIVATE & key.keys() for key in found) or "PRIVATE KEY" in str(read):
        right = "it holds a private or a symmetric key, by which whoever reads the config could make tokens"
        report.add(place, right, Remove(place), value=HIDDEN)
    elif not listed or not all(isinstance(key, dict) and isinstance(key.get("kty"), str) for key in listed):
        report.add(place, _KEY_SET, Remove(place))
