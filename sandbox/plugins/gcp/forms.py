"""The forms that a single value has to have, each by the name that the tables use."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from datetime import datetime

from sandbox.plugins.gcp.values import Value

# RFC 1035, as Compute Engine and IAM use it.
_LABEL = r"[a-z]([-a-z0-9]*[a-z0-9])?"
_PROJECT = r"[-a-z0-9.:]+"
_ACCOUNT = rf"[a-z]([-a-z0-9]{{4,28}}[a-z0-9])?@{_PROJECT}\.iam\.gserviceaccount\.com"
_GOOGLES_ACCOUNT = r"[0-9]{1,20}-compute@developer\.gserviceaccount\.com|[-a-z0-9.:]+@[a-z]+\.gserviceaccount\.com"
_PRIVATE = [ipaddress.ip_network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
# RFC 6996: private numbers; 16550 is Google's own for Partner Interconnect.
_PRIVATE_ASNS = (range(64512, 65535), range(4200000000, 4294967295), range(16550, 16551))


def faults(form: str, name: str, value: Value) -> list[str]:
    """Return what is wrong with a value; mostly no more than one thing.

    Args:
        form: the name of a form below, or atLeastN or betweenN-M for numbers.
        name: the property, as messages name it.
        value: of the property's own type.
    """
    if bounds := re.fullmatch(r"atLeast(\d+)", form):
        least = int(bounds[1])
        return [f"expected {name} to be at least ({least}), got {value}"] if value < least else []
    if bounds := re.fullmatch(r"between(\d+)-(\d+)", form):
        first, last = int(bounds[1]), int(bounds[2])
        return [] if first <= value <= last else [f"expected {name} to be in the range ({first} - {last}), got {value}"]
    found = _FORMS[form](name, value)
    return found if isinstance(found, list) else [found] if found else []


def _pattern(pattern: str) -> Callable[[str, Value], str | None]:
    def check(name: str, value: Value) -> str | None:
        return None if re.fullmatch(pattern, value) else f'"{name}" ("{value}") doesn\'t match regexp "^{pattern}$"'

    return check


def _form(pattern: str, reason: str) -> Callable[[str, Value], str | None]:
    def check(name: str, value: Value) -> str | None:
        return None if re.fullmatch(pattern, value) else f"invalid value for {name} ({reason})"

    return check


def _label(first: int, last: int) -> Callable[[str, Value], list[str]]:
    def check(name: str, value: Value) -> list[str]:
        reasons = {
            f"must be between {first} and {last} characters long": first <= len(value) <= last,
            f'must match regex "^{_LABEL}$"': re.fullmatch(_LABEL, value),
        }
        return [f'"{name}" ("{value}") {reason}' for reason, holds in reasons.items() if not holds]

    return check


def _text(last: int) -> Callable[[str, Value], str | None]:
    def check(name: str, value: Value) -> str | None:
        return None if len(value) <= last else f"expected length of {name} to be in the range (0 - {last}), got {value}"

    return check


def _cidr(name: str, value: Value) -> str | None:
    try:
        if "/" in value:
            ipaddress.ip_interface(value)
            return None
    except ValueError:
        pass
    return f'"{name}" is not a valid IP CIDR range: invalid CIDR address: {value}'


def _network(first: int, last: int, *, private: bool = False) -> Callable[[str, Value], str | None]:
    def check(name: str, value: Value) -> str | None:
        if value == "" and first:
            return None  # where a size is prescribed, an empty string means that none is set
        if _cidr(name, value):
            return f"expected {name} to contain a valid Value, got: {value} with err: invalid CIDR address: {value}"
        found = ipaddress.ip_interface(value)
        if found.ip != found.network.network_address:
            return f"expected {name} to contain a valid network Value, expected {found.network}, got {value}"
        if not first <= found.network.prefixlen <= last:
            return (
                f'expected "{name}" to contain a network Value with between {first} and {last} significant bits, '
                f"got: {found.network.prefixlen}"
            )
        if private and not any(found.version == 4 and found.ip in block for block in _PRIVATE):
            return f'expected "{name}" to be an RFC1918-compliant CIDR, got: {value}'
        return None

    return check


def _cluster_name(name: str, value: Value) -> list[str]:
    reasons = {
        "cannot be longer than 40 characters": len(value) <= 40,
        "can only contain lowercase letters, numbers and hyphens": re.fullmatch(r"[a-z0-9-]+", value),
        "must start with a letter": re.match(r"[a-z]", value),
        "must end with a number or a letter": re.search(r"[a-z0-9]$", value),
    }
    return [f'"{name}" {reason}' for reason, holds in reasons.items() if not holds]


def _time_of_day(name: str, value: Value) -> str | None:
    if re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return None
    return f'"{name}" ("{value}") must be in the format HH:mm (RFC3339)'


def _date(name: str, value: Value) -> str | None:  # noqa: ARG001 - every form is asked the same way
    try:
        if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", value) and datetime.fromisoformat(value).tzinfo:
            return None
    except ValueError:
        pass
    return f'parsing time "{value}" as "2006-01-02T15:04:05Z07:00": cannot parse it'


def _member(name: str, value: Value) -> str | None:
    if value.startswith("deleted"):
        return f"invalid value for {name} (Terraform does not support IAM members for deleted principals)"
    if re.search(r".+:.+|projectOwners|projectReaders|projectWriters|allUsers|allAuthenticatedUsers", value):
        return None
    return (
        f'invalid value "{value}" for {name} (IAM members must have one of the values outlined here: '
        "https://cloud.google.com/billing/docs/reference/rest/v1/Policy#Binding)"
    )


def _service(name: str, value: Value) -> str | None:  # noqa: ARG001 - every form is asked the same way
    return None if "." in value else f"expected {value} to be a domain like serviceusage.googleapis.com"


def _asn(name: str, value: Value) -> str | None:
    if any(value in numbers for numbers in _PRIVATE_ASNS):
        return None
    return f'expected "{name}" to be a RFC6996-compliant Local ASN, got {value}'


def _fraction(name: str, value: Value) -> str | None:
    return None if 0 <= value <= 1 else f"expected {name} to be in the range (0.000000 - 1.000000), got {value:f}"


def _prefix(name: str, value: Value) -> str | None:
    too_long = f'"{name}" cannot be longer than 31 characters, name is limited to 40'
    return too_long if len(value) > 31 else None


_FORMS: dict[str, Callable[[str, Value], str | list[str] | None]] = {
    "accountId": _label(6, 30),
    "accountName": _pattern(rf"projects/({_PROJECT}|-)/serviceAccounts/({_ACCOUNT}|{_GOOGLES_ACCOUNT})"),
    "allowlistPath": _form(r"((gke|gs)://.*)?", "allowlist path must start with either gke:// or gs://"),
    "asn": _asn,
    "cidr": _cidr,
    "clusterName": _cluster_name,
    "date": _date,
    "duration": _pattern(r"([0-9.]+(ns|us|ms|s|m|h))+"),
    "fraction": _fraction,
    "gceName": _pattern(r"(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)"),
    "iamMember": _member,
    "minorVersion": _form(r"[0-9]+\.[0-9]+", "desired_emulated_version must be in major.minor format"),
    "namePrefix": _prefix,
    "natName": _label(2, 63),
    "network": _network(0, 32),
    "network28": _network(28, 28),
    "privateNetwork": _network(8, 32, private=True),
    "service": _service,
    "text256": _text(256),
    "timeOfDay": _time_of_day,
}
