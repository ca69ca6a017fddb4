"""A promotion against a played world: requests come at a rate, and some of the canary's are bad."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from numpy.random import default_rng

from infra.config_rollout import RolloutSettings
from infra.settings import ModelSettings
from rollout import journal
from rollout.canary import canary_of, promoted_of
from rollout.convergence import Answer as Said
from rollout.convergence import Convergence
from rollout.errors import RolloutError
from rollout.gate import Criteria, Measured
from rollout.journal import Journal
from rollout.limits import check, step_problems
from rollout.mesh import Pod
from rollout.promote import End, Promotion, promote

LIMITS = (5.0, 50.0, float("inf"))
PLAN = Promotion("half-plus", "v2", "v1", (5, 25, 50, 100), soak=60, patience=30, criteria=Criteria())


class Played:
    """Time that passes when somebody sleeps, and traffic in it."""

    def __init__(self, rate: float = 200, errors: float = 0, slow: float = 0, weight: int = 0) -> None:
        self.time, self.rate = 1_000_000.0, rate
        self.bad = {"v1": (0.001, 0.02), "v2": (errors, slow)}
        self.config: dict[str, int] = {"v1": 100 - weight, "v2": weight}
        self.stable = "v1"
        self.done: list[str] = []
        self.lines: list[str] = []
        self.traffic: list[tuple[float, str, int, int, int]] = []
        self.dice = default_rng(1)
        self.stragglers = 0
        self.unreadable = 0.0  # seconds from the start
        self.killed_at: int | None = None
        self.stuck = False  # a rollback leads nowhere
        self.has_figures = True
        self.meanwhile: dict[str, Callable[[], None]] = {}  # what somebody else does, once, and when
        self.committed: list[str] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        for version, weight in self.config.items():
            requests = int(self.dice.poisson(self.rate * weight / 100 * seconds))
            errors, slow = (int(self.dice.binomial(requests, ratio)) for ratio in self.bad[version])
            self.traffic.append((self.time, version, requests, errors, slow))
        self.somebody("soak")

    def somebody(self, moment: str) -> None:
        self.meanwhile.pop(moment, lambda: None)()

    def roll_back_by_hand(self) -> None:
        self.config = {"v1": 100, "v2": 0}

    def promote_by_hand(self) -> None:
        self.config, self.stable = {"v1": 0, "v2": 100}, "v2"

    def configured(self) -> tuple[str, int]:
        return self.stable, self.config["v2"]

    def step(self, weight: int, message: str) -> None:
        self.config = {"v1": 100 - weight, "v2": weight}
        self.done.append(message)
        if weight == self.killed_at:
            self.killed_at = None
            raise KeyboardInterrupt
        self.somebody("step")

    def finish(self, message: str) -> None:
        self.stable = "v2"
        self.done.append(message)

    def verify(self) -> Convergence:
        answers = {Pod("callers", f"c{number}"): Said(self.config, seconds=0.4) for number in range(3)}
        self.somebody("verify")
        behind = {Pod("callers", f"b{number}"): Said({"v1": 100}) for number in range(self.stragglers)}
        return Convergence(self.config, answers | behind)

    def roll_back(self) -> bool:
        self.done.append("rolled back")
        if not self.stuck:
            self.config = {"v1": 100, "v2": 0}
        return not self.stuck

    def commit(self, message: str) -> None:
        self.committed.append(message)

    def require_figures(self) -> None:
        if not self.has_figures:
            raise RolloutError("there is no Prometheus")

    def measured(self, version: str, start: float, end: float) -> Measured:
        if self.time < 1_000_000 + self.unreadable:
            raise RolloutError("Prometheus restarts")
        rows = [row for row in self.traffic if row[1] == version and start < row[0] <= end]
        requests, errors, slow = (
            (sum(counts) for counts in zip(*(row[2:] for row in rows), strict=True)) if rows else (0, 0, 0)
        )
        return Measured(requests, errors, {limit: requests - slow if limit < 50 else requests for limit in LIMITS})

    def say(self, line: str) -> None:
        self.lines.append(line)
        if line.endswith(" s: pass"):
            self.somebody(f"passed {self.config['v2']}")

    def progress(self, line: str) -> None:
        pass


@pytest.fixture
def log(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "rollouts" / "local-half-plus.jsonl")


def weights(world: Played) -> list[str]:
    return [message.rpartition("v2 of half-plus ")[2] for message in world.done]


def test_a_good_canary_goes_through_its_steps_and_ends_as_stable(log: Journal) -> None:
    world = Played()
    assert promote(PLAN, world, log) is End.DONE
    assert weights(world)[:-1] == ["5 %", "25 %", "50 %", "100 %"]
    assert world.stable == "v2"
    assert world.time - 1_000_000 >= 4 * PLAN.soak
    assert [event["event"] for event in log.last()][-2:] == [journal.GATE, journal.PROMOTED]


@pytest.mark.parametrize(("errors", "slow"), [(0.05, 0), (0, 0.9)])
def test_a_bad_canary_is_rolled_back_before_it_has_more_than_its_first_step(
    log: Journal, errors: float, slow: float
) -> None:
    world = Played(errors=errors, slow=slow)
    assert promote(PLAN, world, log) is End.ROLLED_BACK
    assert weights(world) == ["5 %", "rolled back"]
    assert world.config == {"v1": 100, "v2": 0}
    assert world.time - 1_000_000 <= PLAN.soak
    gate, end = log.last()[-2:]
    assert (gate["answer"], end["event"]) == ("fail", journal.ROLLED_BACK)


def test_a_rollback_that_is_not_complete_is_not_told_as_one(log: Journal) -> None:
    world = Played(errors=0.05)
    world.stuck = True
    end = promote(PLAN, world, log)
    assert (end, int(end)) == (End.NOT_ROLLED_BACK, 2)
    assert world.lines[-1] == (
        "v2 of half-plus failed at 5 % and the rollback is not complete; run: python -m rollout rollback half-plus"
    )
    last = log.last()[-1]
    assert (last["event"], last["why"]) == (journal.HELD, "it failed, and the rollback is not complete")
    assert log.canary() == "v2"


def test_without_traffic_it_waits_and_then_holds(log: Journal) -> None:
    world = Played(rate=0)
    assert promote(PLAN, world, log) is End.HELD
    assert world.config == {"v1": 95, "v2": 5}
    assert world.time - 1_000_000 >= PLAN.soak + PLAN.patience
    assert any("not enough data" in line for line in world.lines)
    assert "held at 5 %" in world.lines[-1]


def test_figures_that_cannot_be_read_for_a_while_are_waited_for(log: Journal) -> None:
    world = Played()
    world.unreadable = 30
    assert promote(PLAN, world, log) is End.DONE
    assert any("Prometheus restarts" in line for line in world.lines)
    world = Played()
    world.unreadable = 10**9
    with pytest.raises(RolloutError, match="Prometheus restarts"):
        promote(PLAN, world, log)
    assert world.config == {"v1": 95, "v2": 5}


def test_a_journal_that_cannot_be_written_leaves_no_failed_canary_where_it_was(
    log: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(event: str, *_: object, **__: object) -> None:
        if event == journal.GATE:
            raise RolloutError("the disk is full")

    monkeypatch.setattr(Journal, "add", lambda _, *words, **details: full(*words, **details))
    world = Played(errors=0.5)
    with pytest.raises(RolloutError, match="full"):
        promote(PLAN, world, log)
    assert world.config == {"v1": 100, "v2": 0}


def test_somebody_who_changes_the_config_during_the_last_preview_is_not_said_to_have_promoted(log: Journal) -> None:
    class Changed(Played):
        def finish(self, message: str) -> None:
            super().finish(message)
            self.stable = "v1"

    world = Changed()
    assert promote(PLAN, world, log) is End.HELD
    assert world.lines[-1] == "held: v1 is the stable version in the config now: somebody else changed it"
    assert all(event["event"] != journal.PROMOTED for event in log.events())


def test_without_figures_no_canary_gets_traffic(log: Journal) -> None:
    world = Played()
    world.has_figures = False
    with pytest.raises(RolloutError, match="no Prometheus"):
        promote(PLAN, world, log)
    assert (world.done, log.events()) == ([], [])


def test_a_config_that_somebody_is_writing_is_read_again_at_the_next_look(log: Journal) -> None:
    class Edited(Played):
        looks = 0

        def configured(self) -> tuple[str, int]:
            self.looks += self.time > 1_000_000
            if self.looks == 2:
                raise RolloutError("Pulumi.dev.yaml is no YAML")
            return super().configured()

    world = Edited()
    assert promote(PLAN, world, log) is End.DONE
    assert "v2 at 5 %: Pulumi.dev.yaml is no YAML" in world.lines


def test_a_proxy_that_is_behind_holds_it_before_the_soak(log: Journal) -> None:
    world = Played()
    world.stragglers = 1
    assert promote(PLAN, world, log) is End.HELD
    assert world.time == 1_000_000
    assert any("behind: callers/b0 has v1 100 %" in line for line in world.lines)


def test_interrupted_it_goes_on_from_what_the_config_says(log: Journal) -> None:
    world = Played()
    world.killed_at = 50
    with pytest.raises(KeyboardInterrupt):
        promote(PLAN, world, log)
    assert promote(PLAN, world, log) is End.DONE
    assert weights(world)[:-1] == ["5 %", "25 %", "50 %", "50 %", "100 %"]


def test_interrupted_after_its_last_step_it_is_recorded_once_more(log: Journal) -> None:
    world = Played(weight=100)
    world.stable = "v2"
    assert promote(replace(PLAN, stable="v2"), world, log) is End.DONE
    assert world.done == ["Make v2 the stable version of half-plus"]


@pytest.mark.parametrize("moment", ["step", "verify", "soak", "passed 25"])
def test_a_rollback_in_another_shell_is_not_undone(log: Journal, moment: str) -> None:
    world = Played(weight=25)
    world.meanwhile[moment] = world.roll_back_by_hand
    assert promote(replace(PLAN, config="Pulumi.dev.yaml"), world, log) is End.HELD
    assert weights(world) == ["25 %"]
    assert world.config == {"v1": 100, "v2": 0}
    assert world.committed == ([] if moment == "step" else ["Give v2 of half-plus 25 %"])
    assert (world.time == 1_000_000) is (moment in {"step", "verify"})
    why = "v2 is at 0 % in Pulumi.dev.yaml now: somebody else changed it"
    assert world.lines[-1] == f"held: {why}"
    assert [log.last()[-1][key] for key in ("event", "weight", "why")] == [journal.HELD, 0, why]


def test_a_rollback_after_the_last_step_leaves_the_stable_version_stable(log: Journal) -> None:
    world = Played(weight=50)
    world.meanwhile["passed 100"] = world.roll_back_by_hand
    assert promote(PLAN, world, log) is End.HELD
    assert (world.stable, world.config) == ("v1", {"v1": 100, "v2": 0})


def test_a_canary_that_somebody_made_stable_is_given_no_further_step(log: Journal) -> None:
    world = Played(weight=25)
    world.meanwhile["soak"] = world.promote_by_hand
    assert promote(PLAN, world, log) is End.HELD
    assert weights(world) == ["25 %"]
    assert "v2 is the stable version in the config now" in world.lines[-1]


def test_a_rollout_that_a_rollback_has_ended_in_the_journal_is_not_held_in_it_again(log: Journal) -> None:
    world = Played(weight=25)

    def roll_back() -> None:
        world.roll_back_by_hand()
        log.add(journal.ROLLED_BACK, world.now(), version="v2", recorded=True)

    world.meanwhile["soak"] = roll_back
    assert promote(PLAN, world, log) is End.HELD
    assert [event["event"] for event in log.last()] == [journal.STEP, journal.CONVERGED, journal.ROLLED_BACK]


def test_at_the_last_step_the_stable_version_is_known_by_the_step_before(log: Journal) -> None:
    world = Played()
    promote(PLAN, world, log)
    last = [event for event in log.last() if event["event"] == journal.GATE][-1]
    assert last["weight"] == 100
    assert last["answer"] == "pass"
    assert "v1 0." in last["reasons"][0]
    assert " of 0 failed" not in last["reasons"][0]


def test_steps_that_end_early_leave_the_canary_there(log: Journal) -> None:
    world = Played()
    assert promote(replace(PLAN, steps=(5, 25)), world, log) is End.DONE
    assert world.config == {"v1": 75, "v2": 25}
    assert world.stable == "v1"


def test_the_journal_has_the_last_rollout_and_a_line_cut_short_is_passed_over(log: Journal) -> None:
    promote(PLAN, Played(errors=0.3), log)
    promote(PLAN, Played(), log)
    events = log.last()
    assert events[0]["event"] == journal.STEP
    assert {event["event"] for event in events} == {journal.STEP, journal.CONVERGED, journal.GATE, journal.PROMOTED}
    with log.file.open("a") as out:
        out.write('{"at": "2026-')
    assert log.events()[-1]["event"] == journal.PROMOTED
    log.file.write_text("nonsense\n" + json.dumps({"at": "2026-01-01T00:00:00+00:00", "event": "step"}) + "\n")
    with pytest.raises(RolloutError, match="line 1, is no event"):
        log.events()


@pytest.mark.parametrize(
    ("before", "after", "limits", "problems"),
    [
        (0, 5, {}, []),
        (50, 100, {}, []),
        (5, 56, {}, ["5 to 56 in one step; rollout.largestStep is 50"]),
        (100, 0, {"largestStep": 1}, []),
        (0, 100, {"largestStep": 100}, ["0 to 100 in one step, which rollout.zeroToAll does not allow"]),
        (0, 100, {"largestStep": 100, "zeroToAll": True}, []),
    ],
)
def test_a_step_is_within_the_limits(before: int, after: int, limits: Mapping[str, Any], problems: list[str]) -> None:
    assert step_problems(before, after, RolloutSettings.model_validate(limits)) == problems


def test_beyond_the_limits_nothing_begins_without_a_reason() -> None:
    limits = RolloutSettings.model_validate({"largestStep": 25, "shortestSoakSeconds": 600})
    plan = replace(PLAN, steps=(5, 50), soak=60)
    with pytest.raises(RolloutError, match=r"5 to 50 in one step.*a soak of 60 s; .*--override"):
        check(plan, 0, limits, "")
    assert check(plan, 0, limits, "a hotfix").override == "a hotfix"
    assert check(plan, 0, limits.model_copy(update={"override": "by config"}), "").override == "by config"
    assert check(replace(PLAN, steps=(5, 25), soak=600), 0, limits, "a hotfix").override == ""


def test_an_override_is_written_down(log: Journal) -> None:
    promote(replace(PLAN, override="a hotfix"), Played(), log)
    assert log.events()[0]["override"] == "a hotfix"


def model(make: Any, **weights: int) -> ModelSettings:
    versions = {"v1": {"model": 1}, "v2": {"model": 2}, "v3": {"model": 3}}
    return make(models={"m": {"path": "/m", "callers": "any", "versions": versions}}, **weights).parse().models[0]  # type: ignore[no-any-return]


def test_the_canary_is_the_one_with_a_weight_or_the_newest(stack: Any) -> None:
    assert promoted_of(model(stack), None) == "v3"
    assert promoted_of(model(stack, v2Weight=5), None) == "v2"
    assert canary_of(model(stack, v2Weight=5), None) == "v2"
    assert canary_of(model(stack, v2Weight=5), "v3") == "v3"
    with pytest.raises(RolloutError, match="name one with --version: v2, v3"):
        promoted_of(model(stack, v2Weight=5, v3Weight=5), None)
    with pytest.raises(RolloutError, match="name one with --version: v2, v3"):
        canary_of(model(stack), None)
    with pytest.raises(RolloutError, match="v1 is the stable version itself"):
        canary_of(model(stack), "v1")
    with pytest.raises(RolloutError, match="v2 has a weight"):
        promoted_of(model(stack, v2Weight=5), "v1")
    with pytest.raises(RolloutError, match="v9 is no version of m; there are: v1, v2, v3"):
        promoted_of(model(stack), "v9")
