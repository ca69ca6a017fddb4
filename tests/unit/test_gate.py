"""The gate is wrong as seldom as it says, and says so when it cannot tell."""

from __future__ import annotations

import pytest
from numpy.random import Generator, default_rng
from scipy.stats import binom

from rollout.gate import Answer, Counted, Criteria, Measured, judge
from rollout.gate_text import headline, reasons

RUNS = 400
LIMITS = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, float("inf"))
CRITERIA = Criteria()


def measured(requests: int, errors: int = 0, slow: int = 0) -> Measured:
    """Requests that take up to 5 ms, but for slow ones, which take up to 50."""
    fast = requests - slow
    return Measured(
        requests, errors, {limit: fast if 5 <= limit < 50 else requests if limit >= 50 else 0 for limit in LIMITS}
    )


def drawn(dice: Generator, requests: int, errors: float, slower: float) -> Measured:
    took = slower * dice.lognormal(1.4, 0.5, requests)
    return Measured(
        requests, int(dice.binomial(requests, errors)), {limit: int((took <= limit).sum()) for limit in LIMITS}
    )


def soaked(
    dice: Generator, errors: tuple[float, float], slower: float = 1.0, criteria: Criteria = CRITERIA, looks: int = 6
) -> Answer:
    """One step: the gate looks at a growing number of requests until one fails the canary, or the time is over."""
    sofar = [Measured(buckets=dict.fromkeys(LIMITS, 0)) for _ in range(2)]
    for look in range(1, looks + 1):
        for side, (requests, ratio, factor) in enumerate(((150, errors[0], slower), (600, errors[1], 1.0))):
            before, more = sofar[side], drawn(dice, requests, ratio, factor)
            buckets = {limit: (before.buckets or {})[limit] + (more.buckets or {})[limit] for limit in LIMITS}
            sofar[side] = Measured(before.requests + requests, before.errors + more.errors, buckets)
        answer = judge(sofar[0], sofar[1], criteria, look).answer
        if answer is Answer.FAIL:
            return answer
    return answer


def at_most(wrong: int, rate: float) -> None:
    """Fail when so many of the runs are wrong that less than one in a thousand such tests would see it by chance."""
    assert binom.sf(wrong - 1, RUNS, rate) > 0.001, f"{wrong} of {RUNS} runs are wrong, stated are {rate:.0%}"


@pytest.mark.parametrize("errors", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("criteria", [CRITERIA, Criteria(errors=0.0, slow=0.0)], ids=["margins", "no margins"])
def test_equal_versions_fail_at_most_as_often_as_stated(errors: float, criteria: Criteria) -> None:
    dice = default_rng(6)
    wrong = sum(soaked(dice, (errors, errors), criteria=criteria) is Answer.FAIL for _ in range(RUNS))
    at_most(wrong, 1 - criteria.confidence)


def test_a_canary_that_is_worse_by_just_the_margin_fails_and_passes_at_most_as_often_as_stated() -> None:
    dice = default_rng(7)
    answers = [soaked(dice, (0.05 + CRITERIA.errors, 0.05)) for _ in range(RUNS)]
    at_most(answers.count(Answer.FAIL), 1 - CRITERIA.confidence)
    at_most(answers.count(Answer.PASS), 1 - CRITERIA.confidence)


def test_five_percent_of_errors_are_found_nearly_always() -> None:
    dice = default_rng(8)
    found = sum(soaked(dice, (0.05, 0.0)) is Answer.FAIL for _ in range(100))
    assert found >= 95


def test_three_times_slower_is_found_always() -> None:
    dice = default_rng(9)
    assert all(soaked(dice, (0.0, 0.0), slower=3.0) is Answer.FAIL for _ in range(50))


@pytest.mark.parametrize("requests", [0, 1, 5, 20])
def test_few_requests_of_a_good_canary_neither_pass_nor_fail(requests: int) -> None:
    verdict = judge(measured(requests), measured(50 * requests), CRITERIA)
    assert verdict.answer is Answer.MORE
    assert headline(verdict).startswith("not enough data")


def test_one_failure_among_few_requests_is_no_verdict() -> None:
    assert judge(measured(10, errors=1), measured(1000), CRITERIA).answer is Answer.MORE


def test_a_canary_that_answers_nothing_right_fails_at_once() -> None:
    assert judge(measured(12, errors=12), measured(500), CRITERIA).answer is Answer.FAIL


def test_without_requests_of_the_stable_version_nothing_passes() -> None:
    verdict = judge(measured(10_000), Measured(), CRITERIA)
    assert verdict.answer is Answer.MORE
    assert "stable version has no requests" in headline(verdict)


@pytest.mark.parametrize(("errors", "stable_errors", "slow"), [(0, 0, 0), (1, 10, 2), (3, 0, 0), (0, 0, 9)])
def test_as_many_more_requests_as_it_asks_for_bring_an_answer(errors: int, stable_errors: int, slow: int) -> None:
    few = measured(100, errors, slow), measured(400, stable_errors)
    verdict = judge(*few, CRITERIA)
    unanswered = [each for each in verdict.comparisons if each.answer is Answer.MORE]
    assert unanswered
    assert verdict.more
    factor = 1.03 * (100 + verdict.more) / 100
    grown = judge(_grown(few[0], factor), _grown(few[1], factor), CRITERIA)
    answers = {each.name: each.answer for each in grown.comparisons}
    assert all(answers[each.name] is not Answer.MORE for each in unanswered)


def _grown(before: Measured, factor: float) -> Measured:
    counted = Counted(before.requests, before.errors).grown(factor)
    slow = Counted(before.requests, before.requests - (before.buckets or {})[5.0]).grown(factor)
    return measured(counted.requests, counted.bad, slow.bad)


def test_an_answer_on_the_margin_itself_is_not_promised() -> None:
    verdict = judge(measured(10_000, errors=200), measured(10_000, errors=100), CRITERIA)
    assert verdict.answer is Answer.MORE
    assert verdict.more is None


def test_a_limit_of_ones_own_says_what_is_slow() -> None:
    strict = judge(measured(2000, slow=900), measured(2000, slow=900), Criteria(slow_ms=5))
    assert strict.slow_ms == 5
    assert strict.comparisons[1].canary == Counted(2000, 900)
    assert judge(measured(2000), measured(2000), Criteria(slow_ms=30)).slow_ms == 50  # the histogram's next limit


def test_slow_is_what_nine_in_ten_of_the_stable_versions_requests_are_not() -> None:
    assert judge(measured(100), measured(100, slow=9), CRITERIA).slow_ms == 5
    assert judge(measured(100), measured(100, slow=11), CRITERIA).slow_ms == 50


def test_the_reasons_name_both_versions_and_the_margin() -> None:
    lines = reasons(judge(measured(1000, errors=50), measured(9000), CRITERIA, look=2), CRITERIA, "v2", "v1")
    assert lines[0].startswith("errors: v2 5.00 % of 1,000 failed, v1 0.00 % of 9,000 failed; +3.")
    assert lines[0].endswith("at most +1: fail")
    assert lines[1].startswith("slow (over 5 ms): v2 0.00 % of 1,000 slow")
    assert lines[2] == "exact binomial intervals, 95 % confidence, look 2"
