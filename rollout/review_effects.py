"""What a plan does to what runs: what is lost, and which pods come, go or restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from rollout.review_kinds import kind_of, object_name, rank
from rollout.review_plan import Change, Plan
from rollout.review_values import Difference, is_whole

_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet")
_RELEASE_WORDS = ("chart", "version", "values", "valueYamlFiles", "repositoryOpts")


@dataclass(frozen=True)
class Loss:
    """A replacement or deletion of something that holds state, or an end of its protection."""

    change: Change
    verb: str
    consequence: str


def losses(plan: Plan) -> list[Loss]:
    """Return what is lost, the worst first."""
    found = []
    for change in sorted(plan.changes, key=rank):
        kind = kind_of(change)
        if change.op == "replace" and kind.loss:
            found.append(Loss(change, "will be REPLACED", f"{kind.loss} {kind.anew}".strip()))
        elif change.op == "delete" and kind.loss and not kind.deletable:
            found.append(Loss(change, "will be DELETED", kind.loss))
        elif change.op == "update" and kind.word == "Secret of the mesh's CA":
            found.append(Loss(change, "changes", "workload certificates are signed with it from then on"))
        elif change.unprotects or any(_ends_protection(entry) for entry in change.differences):
            found.append(Loss(change, "will no longer be PROTECTED", "a later change can delete it"))
    return found


def _ends_protection(entry: Difference) -> bool:
    return entry.path[-1:] == ("deletionProtection",) and entry.old is True and entry.new is not True


class Effect(Enum):
    """What becomes of pods, in the words that follow the workload's name."""

    RESTART = "restarts"
    ANEW = "is deleted and made anew"
    MAY_RESTART = "may restart"
    SCALE = "is scaled; running pods stay"
    NEW = "is new"
    GONE = "goes"


@dataclass(frozen=True)
class Workload:
    """What happens to the pods of one workload.

    Attributes:
        change: the workload's, or its Helm release's.
        effect: what happens.
        pods: how many, in words; "" where it is not known.
        reasons: the properties that bring it about; of a restart as they stand in the pod's template.
    """

    change: Change
    effect: Effect
    pods: str = ""
    reasons: tuple[Difference, ...] = ()

    @property
    def name(self) -> str:
        """What a reader finds it by."""
        return object_name(self.change)


def workloads(plan: Plan) -> list[Workload]:
    """Return what happens to pods, restarts first."""
    found = [workload for change in plan.changes if (workload := _workload(change)) is not None]
    order = list(Effect)
    return sorted(found, key=lambda workload: (order.index(workload.effect), workload.name))


def _workload(change: Change) -> Workload | None:
    if not change.type.startswith("kubernetes:"):
        return None
    kind = change.type.rsplit(":", 1)[-1]
    if kind == "Release":
        return _release(change)
    if kind not in _WORKLOADS:
        return None
    pods = _pods(kind, change)
    if change.op == "create":
        return Workload(change, Effect.NEW, pods)
    if change.op == "delete":
        return Workload(change, Effect.GONE, pods)
    if change.op == "replace":
        causes = [entry for entry in change.differences if entry.path in change.causes]
        return Workload(change, Effect.ANEW, pods, tuple(causes) or change.differences)
    template = tuple(
        replace(entry, path=entry.path[2:]) for entry in change.differences if _touches(entry, ("spec", "template"))
    )
    if change.op == "update" and template:
        return Workload(change, Effect.RESTART, pods, template)
    scale = tuple(entry for entry in change.differences if _touches(entry, ("spec", "replicas")))
    return Workload(change, Effect.SCALE, pods, scale) if change.op == "update" and scale else None


def _release(change: Change) -> Workload | None:
    reasons = tuple(entry for entry in change.differences if entry.path and entry.path[0] in _RELEASE_WORDS)
    effects = {"create": Effect.NEW, "delete": Effect.GONE, "replace": Effect.ANEW}
    if change.op in effects:
        return Workload(change, effects[change.op])
    return Workload(change, Effect.MAY_RESTART, reasons=reasons) if change.op == "update" and reasons else None


def _touches(entry: Difference, part: tuple[str, ...]) -> bool:
    """Whether a difference is in a part of the object, or of something that holds it."""
    return entry.path[: len(part)] == part[: len(entry.path)]


def _pods(kind: str, change: Change) -> str:
    if kind == "DaemonSet":
        return "one pod on each node"
    spec = change.inputs.get("spec")
    replicas = spec.get("replicas", 1) if isinstance(spec, Mapping) else 1
    if not is_whole(replicas):
        return "a number of pods that is known after apply"
    return "1 pod" if replicas == 1 else f"{int(replicas)} pods"
