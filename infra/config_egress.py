"""What may leave the models' namespace, as the config describes it. No Pulumi import.

Hosts are for the proxies, addresses for the NetworkPolicy behind them, which knows no names. Each comes with the
reason why the models need it: it stands in the stack's file, where a reviewer reads it, and on the object in the mesh.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field

from infra import config_fields as fields
from infra.config_errors import MISSING, Remove, Report, Set
from infra.config_fields import text
from infra.config_models import body_of
from infra.config_shape import Section

WILDCARD: Final = "*."
# private.googleapis.com: Google's APIs at addresses that nothing outside a VPC has.
PRIVATE_GOOGLE_ACCESS: Final = "199.36.153.8/30"

_LONGEST_REASON: Final = 300
_SAMPLE: Final = "the reason why models need it"


def _is_range(value: str) -> bool:
    try:
        ipaddress.IPv4Network(value)
    except ValueError:
        return False
    return "/" in value


def _is_reason(value: str) -> bool:
    return value.strip() == value != "" and value.isprintable() and len(value) <= _LONGEST_REASON


def _is_host(value: str) -> bool:
    below = value.removeprefix(WILDCARD)
    return fields.is_outer_host(below) and (below == value or fields.is_outer_host(f"any.{below}"))


def _no_bare_host(value: object) -> object:
    if isinstance(value, str):
        raise ValueError("check_egress tells it, with the command that keeps the host")  # noqa: TRY004 # pydantic's way
    return value


_Reason = Annotated[
    str, text(_is_reason, f"it is the reason why, one line of {_LONGEST_REASON} characters at most", _SAMPLE)
]


class EgressHost(Section):
    """A host, or with `*.` in front all hosts below it, that models reach by HTTPS on 443."""

    host: Annotated[
        str,
        text(
            _is_host,
            "a host is a full lower-case DNS name outside the cluster, *. in front for all below it: no scheme, port, "
            "path or address",
            "models.example.com",
        ),
    ] = Field(default=None, validate_default=True)
    reason: _Reason = Field(default=None, validate_default=True)


class EgressAddresses(Section):
    """Addresses outside the cluster that pods reach on 443: those that the hosts have."""

    cidr: Annotated[
        str,
        text(
            _is_range,
            "it is a range of IPv4 addresses that begins at its first: 203.0.113.0/24, 203.0.113.7/32",
            "203.0.113.0/24",
        ),
    ] = Field(default=None, validate_default=True)
    reason: _Reason = Field(default=None, validate_default=True)


class S3Bucket(Section):
    """A bucket that downloaders may read."""

    region: fields.S3Region = Field(default=None, validate_default=True)
    bucket: fields.S3BucketName = Field(default=None, validate_default=True)


class AzureAccount(Section):
    """An Azure storage account that downloaders may read."""

    account: fields.AzureAccountName = Field(default=None, validate_default=True)


class EgressSettings(Section):
    """What the mesh lets out.

    Attributes:
        policy: Istio's outboundTrafficPolicy for hosts that nothing names.
        gcs: Google Cloud Storage and the metadata server.
        hosts: further hosts.
        addresses: where hosts are, beside Google's private ones.
    """

    policy: Annotated[Literal["REGISTRY_ONLY", "ALLOW_ANY"], fields.one_of("REGISTRY_ONLY", "ALLOW_ANY")] = (
        "REGISTRY_ONLY"
    )
    gcs: fields.Switch = True
    hosts: tuple[Annotated[EgressHost, BeforeValidator(_no_bare_host)], ...] = ()
    addresses: tuple[EgressAddresses, ...] = ()
    s3: tuple[S3Bucket, ...] = ()
    azure: tuple[AzureAccount, ...] = ()

    @property
    def cidrs(self) -> tuple[str, ...]:
        """All ranges that pods reach on 443, each once."""
        google = (PRIVATE_GOOGLE_ACCESS,) if self.gcs else ()
        return tuple(dict.fromkeys([*google, *(each.cidr for each in self.addresses)]))


def check_egress(report: Report) -> None:
    """Report what stands twice, hosts without a reason, and hosts that pods could not reach for want of an address."""
    given = body_of(report.at(("egress",)))
    for name, key in (("hosts", "host"), ("addresses", "cidr"), ("s3", None), ("azure", None)):
        _check_list(name, key, given.get(name), report)
    needs = [name for name in ("hosts", "s3", "azure") if given.get(name)]
    if needs and given.get("policy") != "ALLOW_ANY" and given.get("addresses", MISSING) in (MISSING, None, []):
        right = f"pods reach {', '.join(needs)} only where their addresses are listed, each range with a reason"
        report.add(("egress", "addresses"), right, Set(("egress", "addresses", 0), _sample_range()))


def _sample_range() -> Mapping[str, str]:
    return {"cidr": "203.0.113.0/24", "reason": _SAMPLE}


def _check_list(name: str, key: str | None, items: object, report: Report) -> None:
    listed = items if isinstance(items, list) else []
    named = [item.get(key, item) if key and isinstance(item, dict) else item for item in listed]
    left = len(listed)  # items that the list has when the commands for those behind this one have run
    for index in reversed(range(len(listed))):
        item, place = named[index], ("egress", name, index)
        if item in named[:index]:
            report.add(place, "it stands in the list already", Remove(place))
        elif key == "host" and isinstance(listed[index], str):
            moved = Set(("egress", name, left - 1), {"host": item, "reason": _SAMPLE})
            report.add(
                place, "a host stands with the reason why models need it, as {host, reason}", Remove(place), moved
            )
            continue
        elif isinstance(listed[index], dict):
            continue
        left -= 1
