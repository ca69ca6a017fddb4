"""Which version of a model is the canary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.errors import RolloutError

if TYPE_CHECKING:
    from infra.settings import ModelSettings


def canary_of(model: ModelSettings, version: str | None) -> str:
    """Return the version that is compared with the stable one, or promoted.

    Args:
        model: its model.
        version: the one that somebody asks for; None is the only other one, or the only other one that has a weight.

    Raises:
        RolloutError: there is no such version, or no telling which is meant.
    """
    others = [each.name for each in model.versions if each.name != model.stable]
    if version is not None:
        if version in others:
            return version
        reason = "the stable version itself" if version == model.stable else "no version"
        raise RolloutError(f"{version} is {reason} of {model.name}; there are: {', '.join(others) or 'no others'}")
    weighted = [each.name for each in model.versions if each.name in others and each.weight]
    meant = weighted or others
    if len(meant) != 1:
        which = f"name one with --version: {', '.join(meant)}" if meant else "it has no version but the stable one"
        raise RolloutError(f"which version of {model.name} is the canary cannot be told; {which}")
    return meant[0]


def promoted_of(model: ModelSettings, version: str | None) -> str:
    """Return the version to promote: the one that somebody asks for, the only one that has a weight, or the newest.

    That may be the stable one: then it has been promoted already.

    Raises:
        RolloutError: there is no such version, or several have a weight.
    """
    names = [each.name for each in model.versions]
    weighted = [each.name for each in model.versions if each.weight and each.name != model.stable]
    if version is not None:
        if version not in names:
            raise RolloutError(f"{version} is no version of {model.name}; there are: {', '.join(names)}")
        if version == model.stable and weighted:
            raise RolloutError(f"{version} is the stable version already, and {', '.join(weighted)} has a weight")
        return version
    if len(weighted) > 1:
        raise RolloutError(
            f"several versions of {model.name} have a weight; name one with --version: {', '.join(weighted)}"
        )
    return weighted[0] if weighted else names[-1]
