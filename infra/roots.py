"""Which roots the mesh has while one is replaced by the next, and in which steps that is done. No Pulumi import.

A root is replaced in three steps, each a value of the config: `1`, `1+2`, `2+1`, `2`. The first of two signs, and both
are trusted. A proxy that trusts one root cannot talk to one that was signed below the other, so every proxy has to
trust both before the second signs, and has to have a certificate of the second before the first is trusted no more.
"""

import re
from dataclasses import dataclass
from typing import Final

from infra.config_errors import Problem

_TEXT: Final = re.compile(r"([1-9][0-9]{0,5})(?:\+([1-9][0-9]{0,5}))?")
_STEPS: Final = 3  # from one root alone to the next


@dataclass(frozen=True)
class Roots:
    """The roots of one step, by number.

    Attributes:
        signing: below which istiod's intermediate is.
        other: trusted as well; None outside of a replacement.
    """

    signing: int
    other: int | None = None

    def __str__(self) -> str:
        return str(self.signing) if self.other is None else f"{self.signing}+{self.other}"

    @property
    def numbers(self) -> tuple[int, ...]:
        """All that are trusted, the signing one first."""
        return (self.signing,) if self.other is None else (self.signing, self.other)

    @property
    def position(self) -> int:
        """How many steps this is from root 1 alone."""
        if self.other is None:
            return _STEPS * (self.signing - 1)
        return _STEPS * (min(self.signing, self.other) - 1) + (1 if self.signing < self.other else 2)


FIRST: Final = Roots(1)


def roots_of(text: str) -> Roots | None:
    """Read `2` or `1+2`; None for all else, among it two numbers that do not follow each other."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    signing, other = int(match[1]), int(match[2]) if match[2] else None
    return Roots(signing, other) if other is None or abs(signing - other) == 1 else None


def refusal(before: Roots, after: Roots) -> Problem | None:
    """What is wrong with going from one step to another; None where it is the next one, the one before, or the same.

    A root that is gone does not come back: once the first is trusted no more, there is no way but forward.
    """
    ahead = after.position - before.position
    if ahead in (0, 1) or (ahead == -1 and before.other is not None):
        return None
    if ahead < 0 and before.other is None:
        right = f"root {before} is all that there is, and the one before it was deleted: there is no way but forward"
        step = before
    else:
        right = f"the CA is at {before}, and a step left out parts pods of one root from those of the other"
        step = _at(before.position + (1 if ahead > 0 else -1))
    return Problem("caRoot", str(after), right, f"pulumi config set caRoot {step}")


def _at(position: int) -> Roots:
    number, step = position // _STEPS + 1, position % _STEPS
    return (Roots(number), Roots(number, number + 1), Roots(number + 1, number))[step]
