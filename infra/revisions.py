"""Which istiods a mesh has while Istio is upgraded, which of them is in use, and in which steps that changes.

Istio is upgraded by revision: a second istiod comes up beside the first, then pods move to it, then the first goes.
The plain istiod, of a stack that names no revisions, is the revision `default`. No Pulumi import.
"""

import re
from dataclasses import dataclass
from typing import Final

from infra.config_errors import Problem, quoted

PLAIN: Final = "default"  # what Istio itself calls the istiod that has no revision
_NUMBERS: Final = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)(-.*)?")


@dataclass(frozen=True)
class Revision:
    """One istiod.

    Attributes:
        name: `default`, or the revision's own.
        version: its chart's release; of no meaning for charts in a folder.
        tag: its image's, and that of the proxies which it injects.
    """

    name: str
    version: str
    tag: str

    @property
    def is_plain(self) -> bool:
        """Whether it is the one that Istio's objects have no name of."""
        return self.name == PLAIN


@dataclass(frozen=True)
class Revisions:
    """All istiods of a mesh.

    Attributes:
        in_use: the one whose proxies pods get.
        others: those that are there beside it.
    """

    in_use: Revision
    others: tuple[Revision, ...] = ()

    def __str__(self) -> str:
        return " ".join(f"{each.name}:{each.version}:{each.tag}" for each in self.all)

    @property
    def all(self) -> tuple[Revision, ...]:
        """All of them, the one in use first."""
        return (self.in_use, *self.others)

    @property
    def names(self) -> tuple[str, ...]:
        """Their names, the one in use first."""
        return tuple(each.name for each in self.all)

    @property
    def is_plain(self) -> bool:
        """Whether there is the plain istiod and no other."""
        return self.in_use.is_plain and not self.others

    @property
    def newest(self) -> str:
        """The highest release: an istiod works with the CRDs of a later one, and not with those of an earlier."""
        return max((each.version for each in self.all), key=_age)


def revisions_of(text: str) -> Revisions | None:
    """Read what `str` of them gave; None for all else."""
    parts = [part.split(":") for part in text.split(" ")]
    if any(len(part) != 3 for part in parts):
        return None
    in_use, *others = (Revision(*part) for part in parts)
    return Revisions(in_use, tuple(others))


def _age(version: str) -> tuple[int, int, int, bool, str]:
    match = _NUMBERS.match(version)
    if match is None:
        return 0, 0, 0, False, version
    return int(match[1]), int(match[2]), int(match[3]), match[4] is None, match[4] or ""  # 1.31.0-rc.0 is before 1.31.0


def refusal(before: Revisions, after: Revisions) -> Problem | None:
    """What is wrong with going from one state to another; None where it is a step of its own."""
    was, now = before.in_use, after.in_use
    if was.name not in after.names:
        right = (
            f"{was.name} is the one in use, and its pods would have no control plane; "
            "it goes in an update after that in which the pods have moved to another"
        )
        key = f"istio.revisions.{was.name}"
        fix = [f"{key}.version {quoted(was.version)}"]
        fix += [f"{key}.tag {quoted(was.tag)}"] if was.tag != was.version else []
        commands = " && ".join(f"pulumi config set --path {each}" for each in fix)
        return Problem("istio.revisions", ", ".join(sorted(after.names)), right, commands)
    if now.name not in before.names:
        right = (
            f"no istiod of this revision is there to give pods their proxies; "
            f"it comes up beside {was.name} in an update of its own"
        )
        return Problem("istio.revision", now.name, right, f"pulumi config set --path istio.revision {was.name}")
    return None
