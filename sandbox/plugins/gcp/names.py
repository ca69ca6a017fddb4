"""The names that resources get when the program gives them none."""

from __future__ import annotations

import hashlib
import secrets
from enum import IntEnum

from sandbox.plugins.gcp.rules import NameRule

_DIGITS = 7


class Mode(IntEnum):
    """What the project's `pulumi:autonaming` says of a proposed name; the numbers are the protocol's."""

    PROPOSE = 0
    ENFORCE = 1
    DISABLE = 2


class NamingError(Exception):
    """There is no name to be had; the message says why."""


def automatic(rule: NameRule, resource: str, seed: bytes, proposed: tuple[Mode, str] | None) -> str:
    """Return a name: the resource's own in the program, and random digits that follow from the engine's seed.

    Args:
        rule: of the resource type.
        resource: its name in the program.
        seed: the engine's, so that a preview and the update after it agree; may be empty.
        proposed: a name by the project's configuration, which replaces the usual one.

    Raises:
        NamingError: it would be too long, or automatic names are switched off.
    """
    if proposed is not None:
        mode, name = proposed
        if mode is Mode.DISABLE:
            raise NamingError("automatic naming is disabled but no explicit name was provided")
        if mode is Mode.ENFORCE:
            return name
        name = name.lower() if rule.lower else name
        if len(name) > rule.longest:
            raise NamingError(f"calculated name '{name}' exceeds maximum length of {rule.longest}")
        return name
    prefix = f"{resource.lower() if rule.lower else resource}-"
    if len(prefix) + _DIGITS > rule.longest:
        raise NamingError(f"name '{prefix}' plus {_DIGITS} random chars is longer than maximum length {rule.longest}")
    digits = hashlib.sha256(seed + prefix.encode()).hexdigest() if seed else secrets.token_hex(_DIGITS)
    return prefix + digits[:_DIGITS]
