"""A production cluster can be deleted by nobody's slip: Google refuses it, and so does Pulumi."""

import re
from collections.abc import Iterator
from typing import Final

from policy.networks import CLUSTER
from policy.resource import Resource, Unknown

_PRODUCTION: Final = re.compile(r"prod(uction)?[0-9]*")
_NEGATIONS: Final = frozenset({"no", "non", "not", "pre"})
_MEND: Final = "Run: pulumi config set --path cluster.deletionProtection true"


def is_production(stack: str) -> bool:
    """Whether a stack is called prod: "prod" or "production" is the first or the last word of its name.

    Words are parted by anything that is no letter or digit, and a number may follow: prod, prod-eu, eu-prod2,
    team.production. Names such as product, nonprod, non-prod and pre-prod are other words.
    """
    words = re.split(r"[^a-z0-9]+", stack.lower())
    last = words[-1] if words[-2:-1] and words[-2] not in _NEGATIONS else ""
    return any(_PRODUCTION.fullmatch(word) for word in (words[0], last))


def violations(resource: Resource) -> Iterator[str]:
    """Yield which of a production cluster's two protections is off."""
    if resource.token != CLUSTER or not is_production(resource.stack):
        return
    enabled = resource.at("deletionProtection")
    if enabled is not True and not isinstance(enabled, Unknown):
        right = f"the cluster of a stack called {resource.stack} is protected from deletion, by Google"
        yield resource.wrong("deletionProtection", enabled, right, _MEND)
    if not resource.protected:
        right = f"the cluster of a stack called {resource.stack} is protected from deletion, by Pulumi"
        yield resource.wrong("protect", False, right, _MEND)  # noqa: FBT003 - the value that is shown
