"""From what the engine hands to a policy to a `Resource`: marks of secret and unknown values included.

The policy SDK shows a plain value in place of a secret one when it validates, and keeps the mark only when it
remediates, where it does not tell what is unknown. Its own serialization gives both back as they came.
"""

from collections.abc import Mapping
from typing import Any, Final

import pulumi
from pulumi_policy import ResourceValidationArgs
from pulumi_policy import proxy as unknowns
from pulumi_policy.deserialize import SPECIAL_SECRET_SIG, SPECIAL_SIG_KEY, serialize_properties

from policy.resource import Resource, Sealed, Unknown

_UNKNOWN: Final = frozenset(
    {
        unknowns.UNKNOWN_BOOLEAN_VALUE,
        unknowns.UNKNOWN_NUMBER_VALUE,
        unknowns.UNKNOWN_STRING_VALUE,
        unknowns.UNKNOWN_ARRAY_VALUE,
        unknowns.UNKNOWN_ASSET_VALUE,
        unknowns.UNKNOWN_ARCHIVE_VALUE,
        unknowns.UNKNOWN_OBJECT_VALUE,
    }
)


def resource_of(args: ResourceValidationArgs) -> Resource:
    """Read a resource; secrets are `Sealed` while it is remediated, and plain while it is validated."""
    props = decoded(serialize_properties(args.props))
    return Resource(args.resource_type, args.name, props, args.opts.protect, pulumi.get_stack())


def decoded(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Read one value of a property bag."""
    if isinstance(value, str) and value in _UNKNOWN:
        return Unknown.UNKNOWN
    if isinstance(value, Mapping):
        if value.get(SPECIAL_SIG_KEY) == SPECIAL_SECRET_SIG:
            return Sealed(decoded(value["value"]))
        return {key: decoded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [decoded(inner) for inner in value]
    # the protocol knows one kind of number
    return int(value) if isinstance(value, float) and value.is_integer() else value
