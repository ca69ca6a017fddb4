"""A canary step by step from nothing to everything: each step recorded, verified, soaked, judged, and then the next.

Nothing is remembered but the stack's config: run again after an interruption, it takes the weight that stands there,
soaks and judges that, and goes on. While it runs, whoever else writes another weight there, as `rollback` does, has the
last word: the promotion holds. The journal is for people, and for the stable version's figures at the last step,
where it has no requests of its own any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from infra.weights import WHOLE
from rollout import journal
from rollout.durations import spoken
from rollout.errors import RolloutError
from rollout.gate import Answer, Criteria, Measured, Verdict, judge
from rollout.gate_text import headline, reasons
from rollout.verify import describe

if TYPE_CHECKING:
    from rollout.convergence import Convergence

_LOOKS: Final = 20  # times in a soak that the figures are read
_GROWN: Final = 1.5  # a look costs confidence, so the gate looks only when there is half as much more to see


class End(IntEnum):
    """How a promotion ends, and the exit code of its command."""

    DONE = 0
    ROLLED_BACK = 1
    NOT_ROLLED_BACK = 2
    HELD = 3


class _ChangedError(Exception):
    """The config has something else than what this promotion wrote there.

    Attributes:
        weight: the canary's percentage there.
    """

    def __init__(self, message: str, weight: int) -> None:
        super().__init__(message)
        self.weight = weight


class World(Protocol):
    """What a promotion does and sees outside of itself."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def configured(self) -> tuple[str, int]:
        """Return the stable version and the canary's percentage, as the config's file has them at this moment."""

    def step(self, weight: int, message: str) -> None:
        """Give the canary a percentage, in config and cluster; refuse if that would change anything but weights."""

    def finish(self, message: str) -> None:
        """Make the canary the stable version."""

    def verify(self) -> Convergence:
        """Wait for all proxies."""

    def roll_back(self) -> bool:
        """Give the stable version everything; whether every proxy has that and Pulumi has recorded it."""

    def commit(self, message: str) -> None:
        """Commit config and journal, where that is asked for."""

    def require_figures(self) -> None:
        """Refuse where there is nothing to judge a canary by."""

    def measured(self, version: str, start: float, end: float) -> Measured:
        """Return what a version did between two moments."""

    def say(self, line: str) -> None:
        """Show a line."""

    def progress(self, line: str) -> None:
        """Show a line until the next."""


@dataclass(frozen=True)
class Promotion:
    """What is asked for.

    Attributes:
        model, canary, stable: names.
        steps: percentages, rising.
        soak: seconds at each.
        patience: seconds to wait after a soak for enough requests.
        override: why limits do not hold, "" where they do.
        config: the name of the config's file.
    """

    model: str
    canary: str
    stable: str
    steps: Sequence[int]
    soak: float
    patience: float
    criteria: Criteria
    override: str = ""
    config: str = "the config"


def promote(plan: Promotion, world: World, log: journal.Journal) -> End:
    """Take the canary through its steps; see the module."""
    try:
        return _promote(plan, world, log)
    except _ChangedError as changed:
        if log.canary() is not None:  # a rollback may have written its end already
            log.add(journal.HELD, world.now(), weight=changed.weight, why=str(changed))
        world.say(f"held: {changed}")
        return End.HELD


def _promote(plan: Promotion, world: World, log: journal.Journal) -> End:
    if plan.canary == plan.stable:  # interrupted behind the last step, perhaps before Pulumi recorded it
        return _finish(plan, world, log)
    world.require_figures()  # a canary that nobody can judge gets no traffic
    weight = world.configured()[1]
    ahead = [step for step in plan.steps if step > weight]
    for step in [weight, *ahead] if weight else ahead:
        _hold_if_changed(plan, weight, world)
        end = _step(plan, step, world, log)
        if end is not None:
            return end
        weight = step
    if weight < WHOLE:
        world.say(f"{plan.canary} stays at {weight} %, the last of the steps")
        return End.DONE
    return _finish(plan, world, log)


def _hold_if_changed(plan: Promotion, weight: int, world: World) -> None:
    """Go on only while the config has what this promotion wrote there."""
    stable, now = world.configured()
    if stable != plan.stable:
        raise _other_stable(stable, now, plan)
    if now != weight:
        raise _ChangedError(f"{plan.canary} is at {now} % in {plan.config} now: somebody else changed it", now)


def _other_stable(stable: str, weight: int, plan: Promotion) -> _ChangedError:
    return _ChangedError(f"{stable} is the stable version in {plan.config} now: somebody else changed it", weight)


def _finish(plan: Promotion, world: World, log: journal.Journal) -> End:
    _hold_if_changed(plan, WHOLE, world)
    message = f"Make {plan.canary} the stable version of {plan.model}"
    world.finish(message)
    stable, now = world.configured()
    if stable != plan.canary:
        raise _other_stable(stable, now, plan)
    log.add(journal.PROMOTED, world.now(), version=plan.canary)
    world.commit(message)
    world.say(f"{plan.canary} is the stable version of {plan.model}")
    return End.DONE


def _step(plan: Promotion, weight: int, world: World, log: journal.Journal) -> End | None:
    """One step; None is on to the next."""
    began = world.now()
    override = {"override": plan.override} if plan.override else {}
    log.add(journal.STEP, began, version=plan.canary, weight=weight, **override)
    message = f"Give {plan.canary} of {plan.model} {weight} %"
    world.step(weight, message)
    _hold_if_changed(plan, weight, world)
    world.commit(f"{message}\n\nBeyond the limits: {plan.override}" if plan.override else message)
    result = world.verify()
    _hold_if_changed(plan, weight, world)
    for line in describe(result):
        world.say(f"{plan.canary} at {weight} %: {line}")
    log.add(
        journal.CONVERGED, world.now(), weight=weight, proxies=len(result.answers), seconds=round(result.seconds, 3)
    )
    if result.stragglers or not result.answers:
        log.add(journal.HELD, world.now(), weight=weight, why="not every proxy has the weights")
        world.say("held: the next step waits until every proxy has this one. Run the same command again")
        return End.HELD
    start = world.now()
    verdict = _soak(plan, weight, start, world, log)
    why = reasons(verdict, plan.criteria, plan.canary, plan.stable)
    for line in why:
        world.say(f"  {line}")
    details = {"answer": verdict.answer.name.lower(), "headline": headline(verdict), "start": start}
    judged = world.now()
    # The traffic first: a journal that cannot be written must leave no canary that failed where it was.
    done = world.roll_back() if verdict.answer is Answer.FAIL else None
    log.add(journal.GATE, judged, version=plan.canary, weight=weight, reasons=why, **details)
    if done is not None:
        return _rolled_back(plan, weight, why, world, log, done=done)
    if verdict.answer is Answer.MORE:
        log.add(journal.HELD, world.now(), weight=weight, why=headline(verdict))
        world.say(
            f"held at {weight} %. Run the same command again when there is traffic, or: python -m rollout rollback"
        )
        return End.HELD
    return None


def _rolled_back(
    plan: Promotion, weight: int, why: Sequence[str], world: World, log: journal.Journal, *, done: bool
) -> End:
    """Write down and say how a rollback ended."""
    if done:
        log.add(journal.ROLLED_BACK, world.now(), version=plan.canary, recorded=True)
    else:
        log.add(journal.HELD, world.now(), weight=weight, why="it failed, and the rollback is not complete")
    world.commit(f"Roll {plan.model} back to {plan.stable}\n\n" + "\n".join(why))  # the config says so in any case
    failed = f"{plan.canary} of {plan.model} failed at {weight} %"
    if done:
        world.say(f"{failed} and is rolled back")
        return End.ROLLED_BACK
    world.say(f"{failed} and the rollback is not complete; run: python -m rollout rollback {plan.model}")
    return End.NOT_ROLLED_BACK


def _soak(plan: Promotion, weight: int, start: float, world: World, log: journal.Journal) -> Verdict:
    """Watch a step until its soak is over; a canary that fails ends it, one that passes does not."""
    baseline = _baseline(plan, weight, start, log)
    ended = start + plan.soak
    pause = max(0.5, plan.soak / _LOOKS)
    look, seen, looked_after = 0, 0, False
    verdict = judge(Measured(), Measured(), plan.criteria)
    while True:
        world.sleep(pause)
        now = world.now()
        try:
            _hold_if_changed(plan, weight, world)
            canary = world.measured(plan.canary, start, now)
            stable = world.measured(plan.stable, *(baseline or (start, now)))
        except RolloutError as error:  # a Prometheus that restarts is no reason to leave a canary alone
            if now >= ended + plan.patience:
                raise
            world.say(f"{plan.canary} at {weight} %: {error}")
            continue
        world.progress(_progress(plan, weight, canary, ended - now))
        over, last = now >= ended, now >= ended + plan.patience
        if canary.requests >= max(1, _GROWN * seen) or (over and not looked_after) or last:
            look += 1 if canary.requests > seen or look == 0 else 0  # the same data again is the same look
            seen, looked_after = canary.requests, over
            verdict = judge(canary, stable, plan.criteria, look)
        if verdict.answer is Answer.FAIL or (over and verdict.answer is Answer.PASS) or last:
            break
    world.say(f"{plan.canary} at {weight} %, {spoken(world.now() - start)}: {headline(verdict)}")
    return verdict


def _progress(plan: Promotion, weight: int, canary: Measured, left: float) -> str:
    failed = f"{100 * canary.errors / canary.requests:.1f} % failed" if canary.requests else "none so far"
    to_go = f"{spoken(left)} to go" if left > 0 else "soaked, waiting for requests"
    return f"{plan.canary} at {weight} %: {canary.requests:,} requests, {failed}; {to_go}"


def _baseline(plan: Promotion, weight: int, start: float, log: journal.Journal) -> tuple[float, float] | None:
    """When to look at the stable version instead: at the last step it has no requests, so the step before it counts."""
    if weight < WHOLE:
        return None
    for event in reversed(log.last()):
        if event["event"] == journal.GATE and event["weight"] < WHOLE and event["version"] == plan.canary:
            return float(event["start"]), float(event["at"])
    return start - plan.soak - plan.patience - 1, start
