"""Whether a canary is as good as the stable version: pass, fail, or not enough data. No I/O.

Two fractions of each version's requests are compared: those that failed, and those that were slow, which is slower
than nine in ten of the stable version's. For each the canary may be worse by a margin. What is known of a fraction is
its exact (Clopper-Pearson) confidence interval, by scipy's incomplete beta function; of the difference of two
fractions, what their intervals leave. All of it above the margin fails the canary, all of it below passes it, and
anything else is not enough data, be there few requests, many, or none.

How sure that is: with confidence 95 %, a canary that is no worse than the margin in anything fails in at most 5 % of
rollout steps, and one that is worse in something passes in at most 5 %, however often the gate looks. The 5 % are spent
on the looks, half on the first, a sixth on the second, a twelfth on the third (1 / k (k + 1)), and each look's part on
the two fractions, and of each on the two intervals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

SLOW_QUANTILE: Final = 0.9  # of the stable version's requests; the rest are slow
_MOST: Final = 10**8  # requests; what needs more cannot be told apart


class Answer(IntEnum):
    """What the gate says, and the exit code of its command."""

    PASS = 0
    FAIL = 1
    MORE = 3


@dataclass(frozen=True)
class Criteria:
    """What a canary is held to.

    Attributes:
        confidence: 0-1, of each of the two answers.
        errors: by how much its share of failed requests may be above stable's, 0-1.
        slow: the same for slow requests.
        slow_ms: from how many milliseconds a request is slow; None is what stable's own requests say.
    """

    confidence: float = 0.95
    errors: float = 0.01
    slow: float = 0.10
    slow_ms: float | None = None


@dataclass(frozen=True)
class Measured:
    """What one version did.

    Attributes:
        requests: how many it had.
        errors: how many of them failed.
        buckets: how many took at most so many milliseconds.
    """

    requests: int = 0
    errors: int = 0
    buckets: Mapping[float, int] | None = None


@dataclass(frozen=True)
class Counted:
    """Requests, and how many of them were bad."""

    requests: int
    bad: int

    @property
    def ratio(self) -> float:
        """0-1; 0 without requests."""
        return self.bad / self.requests if self.requests else 0.0

    def interval(self, alpha: float) -> tuple[float, float]:
        """Return limits that the true fraction is below, and above, with probability `alpha` each at most."""
        from scipy.special import betaincinv

        good = self.requests - self.bad
        low = float(betaincinv(self.bad, good + 1, alpha)) if self.bad else 0.0
        high = float(betaincinv(self.bad + 1, good, 1 - alpha)) if good else 1.0
        return low, high

    def grown(self, factor: float) -> Counted:
        """The same fraction of more requests."""
        requests = round(self.requests * factor)
        return Counted(requests, round(self.ratio * requests))


@dataclass(frozen=True)
class Comparison:
    """One fraction of both versions.

    Attributes:
        name: "errors" or "slow".
        low, high: how much more of the canary's requests are bad, at least and at most, -1 to 1.
        margin: how much more may be.
        alpha: how often each of the answers may be wrong, 0-1: fail, and pass.
    """

    name: str
    canary: Counted
    stable: Counted
    low: float
    high: float
    margin: float
    answer: Answer
    alpha: tuple[float, float]

    @property
    def more(self) -> int | None:
        """How many more requests the canary needs for an answer, if it goes on like this; None if no number does."""
        return _more(self.canary, self.stable, self.margin, self.alpha) if self.answer is Answer.MORE else 0


@dataclass(frozen=True)
class Verdict:
    """What the gate says, and why.

    Attributes:
        slow_ms: from where on a request counted as slow; None where latency was not compared.
        look: the how manieth look at this step it was.
    """

    answer: Answer
    comparisons: tuple[Comparison, ...]
    slow_ms: float | None
    look: int

    @property
    def more(self) -> int | None:
        """How many more requests the canary needs for an answer; None when no number will do."""
        open_ones = [each.more for each in self.comparisons if each.answer is Answer.MORE]
        if None in open_ones:
            return None
        return max((number for number in open_ones if number is not None), default=0)


def judge(canary: Measured, stable: Measured, criteria: Criteria, look: int = 1) -> Verdict:
    """Compare a canary with the stable version.

    Args:
        canary: what it did since the step.
        stable: what the stable version did at the same time.
        criteria: what the canary is held to.
        look: the how manieth look at the same step this is, from 1; the data of a later one hold those of the earlier.
    """
    alpha = (1 - criteria.confidence) / (look * (look + 1))
    slow_ms = _bound(stable, criteria.slow_ms)
    pairs = {"errors": (Counted(canary.requests, canary.errors), Counted(stable.requests, stable.errors))}
    if slow_ms is not None:
        pairs["slow"] = (_slow(canary, slow_ms), _slow(stable, slow_ms))
    margins = {"errors": criteria.errors, "slow": criteria.slow}
    # Any one of the criteria fails a canary, so they share that alpha; to pass it needs all, so each has it whole.
    alphas = alpha / len(pairs), alpha
    compared = tuple(_compare(name, *pair, margins[name], alphas) for name, pair in pairs.items())
    answers = {each.answer for each in compared}
    if Answer.FAIL in answers:
        answer = Answer.FAIL
    elif answers == {Answer.PASS} and len(pairs) == len(margins):
        answer = Answer.PASS
    else:
        answer = Answer.MORE
    return Verdict(answer, compared, slow_ms, look)


def _compare(name: str, canary: Counted, stable: Counted, margin: float, alpha: tuple[float, float]) -> Comparison:
    failing, passing = alpha
    low = canary.interval(failing / 2)[0] - stable.interval(failing / 2)[1]
    high = canary.interval(passing / 2)[1] - stable.interval(passing / 2)[0]
    answer = Answer.FAIL if low > margin else Answer.PASS if high < margin else Answer.MORE
    return Comparison(name, canary, stable, low, high, margin, answer, alpha)


def _more(canary: Counted, stable: Counted, margin: float, alpha: tuple[float, float]) -> int | None:
    """The least growth that brings an answer, by trial: at the fractions seen so far, both versions growing alike."""
    if canary.requests == 0:  # nothing is known of it, so it is taken to be like the stable one
        canary, known = Counted(1, 0), 0
        stable = stable if stable.requests else Counted(1, 0)
    else:
        known = canary.requests

    def decided(requests: int) -> bool:
        grown = Counted(requests, round(canary.ratio * requests))
        other = stable.grown(max(1.0, requests / canary.requests)) if known else stable
        return _compare("", grown, other, margin, alpha).answer is not Answer.MORE

    high = max(known, 16)
    while not decided(high):
        high *= 2
        if high > _MOST:
            return None
    low = max(known, high // 2)
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        low, high = (low, middle) if decided(middle) else (middle, high)
    return max(1, high - known)


def _bound(stable: Measured, wanted: float | None) -> float | None:
    """From where a request is slow: a limit of the histogram, since between two nothing is known."""
    limits = sorted(limit for limit in stable.buckets or {} if limit != float("inf"))
    if wanted is not None:
        return next((limit for limit in limits if limit >= wanted), None)
    counts, total = stable.buckets or {}, _all(stable)
    return next((limit for limit in limits if total and counts[limit] >= SLOW_QUANTILE * total), None)


def _slow(measured: Measured, bound: float) -> Counted:
    total = _all(measured)
    return Counted(total, max(0, total - (measured.buckets or {}).get(bound, 0)))


def _all(measured: Measured) -> int:
    return max((measured.buckets or {}).values(), default=0)
