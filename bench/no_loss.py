"""One model's way through all that a rollout does, under load, and what became of every request.

Retries are off, at the client and on the route: what is lost on the way is seen. The steps are the config changes that
an operator makes, each one `pulumi up`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.table import Table

from bench.load import Account, Failure, Load

MODEL = "half-plus"
URL = f"http://{MODEL}.models.svc.cluster.local:8501/v1/models/{MODEL}:predict"
INPUT = '{"instances":[1.0]}'
# What each version answers to it: half plus two, three, four.
ANSWERS = {'{"predictions":[2.5]}': "v1", '{"predictions":[3.5]}': "v2", '{"predictions":[4.5]}': "v3"}
VERSIONS = tuple(ANSWERS.values())


class Program(Protocol):
    """The stack that is changed."""

    def set(self, **values: object) -> None:
        """Set keys of its config; None removes one."""

    def up(self) -> object:
        """Apply it; raises when that fails."""


@dataclass(frozen=True)
class Step:
    """A state of the model that one `pulumi up` brings it to.

    Attributes:
        name: what is done to get there.
        versions: by name, what each has of its own.
        stable: the version that gets what the weights leave.
        weights: percent by version.
    """

    name: str
    versions: Mapping[str, Mapping[str, Any]]
    stable: str
    weights: Mapping[str, int] = field(default_factory=dict)

    def config(self) -> dict[str, Any]:
        """Return the stack's keys for it."""
        model = {
            "path": "/models/half_plus",
            "callers": "any",
            "timeoutSeconds": 10,  # a removed pod stays for as long as a request may take
            "retries": 0,
            "stable": self.stable,
            "versions": {name: {**_small(name), **own} for name, own in self.versions.items()},
        }
        return {"models": {MODEL: model}} | {f"{name}Weight": self.weights.get(name) for name in VERSIONS}


def _small(version: str) -> dict[str, Any]:
    resources = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}
    return {"model": int(version[1:]), "replicas": 1, "loadTimeoutSeconds": 60, "resources": resources}


_Versions = Mapping[str, Mapping[str, Any]]
_NEW_PODS = {"resources": {"requests": {"cpu": "10m", "memory": "33Mi"}, "limits": {"memory": "128Mi"}}}
_V1: _Versions = {"v1": {}}
_V1_V2: _Versions = {"v1": {}, "v2": {}}
_V2: _Versions = {"v2": {}}
_V2_V3: _Versions = {"v2": {}, "v3": {}}

# The stack as the checkout has it gives v2 a share, and a version is not removed with its share.
BEFORE = Step("before", _V1_V2, "v1")
STEPS = (
    Step("v1 alone", _V1, "v1"),
    Step("add v2 at 0 %", _V1_V2, "v1", {"v2": 0}),
    Step("v2 to 5 %", _V1_V2, "v1", {"v2": 5}),
    Step("v2 to 25 %", _V1_V2, "v1", {"v2": 25}),
    Step("v2 to 50 %", _V1_V2, "v1", {"v2": 50}),
    Step("v2 to 100 %", _V1_V2, "v1", {"v2": 100}),
    Step("promote v2", _V1_V2, "v2"),
    Step("remove v1", _V2, "v2"),
    Step("add v3 at 0 %", _V2_V3, "v2", {"v3": 0}),
    Step("v3 to 10 %", _V2_V3, "v2", {"v3": 10}),
    Step("v3 back to 0 %", _V2_V3, "v2", {"v3": 0}),
    Step("remove v3", _V2, "v2"),
    Step("rolling update of v2", {"v2": _NEW_PODS}, "v2"),
    Step("v2 to 3 pods", {"v2": {**_NEW_PODS, "replicas": 3}}, "v2"),
    Step("v2 back to 1 pod", {"v2": _NEW_PODS}, "v2"),
)


@dataclass(frozen=True)
class Row:
    """What became of the requests from the beginning of a step to that of the next.

    Attributes:
        step: its name.
        requests: sent and ended.
        answers: how many each version answered.
        failures: what is known of those that failed.
        seconds: that its `pulumi up` took; None for the first, which is there before the load, and for one that was
            interrupted.
    """

    step: str
    requests: int
    answers: Mapping[str, int]
    failures: Sequence[Failure]
    seconds: float | None

    @property
    def failed(self) -> int:
        """How many no version answered."""
        return self.requests - sum(self.answers.values())

    @classmethod
    def of(cls, step: str, account: Account, seconds: float | None) -> Row:
        """Sort an account's answers by version; an answer that no version gives is a failure."""
        answers = dict.fromkeys(VERSIONS, 0)
        for body, count in account.answers.items():
            if body in ANSWERS:
                answers[ANSWERS[body]] += count
        return cls(step, account.requests, answers, account.failures, seconds)


@dataclass
class Run:
    """A run that goes on or has ended.

    Attributes:
        rows: of the steps that have ended.
        step: the name of the last one that began.
        proxy_log: what the caller's proxy logged of failed requests.
    """

    rows: list[Row] = field(default_factory=list)
    step: str = ""
    proxy_log: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        """How many requests the ended steps have had."""
        return sum(row.requests for row in self.rows)

    @property
    def failed(self) -> int:
        """How many of them failed."""
        return sum(row.failed for row in self.rows)


def go(
    run: Run,
    program: Program,
    requests: int,
    rate: float,
    heard: Callable[[Account], None] = lambda _: None,
    steps: Sequence[Step] = STEPS,
) -> None:
    """Take the program through the steps, spread evenly over the requests, and account for each in `run`.

    Args:
        run: gets a row for each step, also of an interrupted run for those that there were.
        program: the stack; it is left as the last step has it.
        requests: to send at least; more where an `up` takes longer than its share of them.
        rate: requests a second.
        heard: called with all that was sent so far, in a thread of its own, about every second.
        steps: the first is there before the load begins.

    Raises:
        LoadError: the load did not run.
    """
    _apply(run, program, BEFORE)
    _apply(run, program, steps[0])
    with Load(URL, INPUT, rate, heard) as load:
        mark, seconds = 0, None
        share = -(-requests // len(steps))
        due = share
        try:
            for step in steps[1:]:
                load.wait(due)
                due = load.requests + share  # from its own beginning: a long `up` before it takes nothing of its share
                began = load.mark()
                run.rows.append(Row.of(run.step, load.since(mark, began), seconds))
                mark, seconds = began, None
                seconds = _apply(run, program, step)
            load.wait(due)
        finally:
            run.rows.append(Row.of(run.step, load.since(mark), seconds))
            if run.failed:
                run.proxy_log = load.proxy_log()


def _apply(run: Run, program: Program, step: Step) -> float:
    run.step = step.name
    program.set(**step.config())
    started = time.monotonic()
    program.up()
    return time.monotonic() - started


def table(run: Run) -> Table:
    """Lay a run out, a row for each step, and the sum."""
    shown = Table(box=None, header_style="bold", pad_edge=False, show_footer=True, footer_style="bold")
    shown.add_column("Step", footer="Sum")
    sums = [run.requests, run.failed, *(sum(row.answers[version] for row in run.rows) for version in VERSIONS)]
    for heading, total in zip(("Requests", "Failed", *VERSIONS), sums, strict=True):
        shown.add_column(heading, footer=f"{total:,}", justify="right")
    shown.add_column("pulumi up", justify="right")
    for row in run.rows:
        counts = [row.requests, row.failed, *row.answers.values()]
        took = "" if row.seconds is None else f"{row.seconds:.1f} s"
        shown.add_row(row.step, *(f"{count:,}" for count in counts), took)
    return shown


def verdict(run: Run) -> str:
    """Return the sum and the share in one line."""
    share = 100 * run.failed / run.requests if run.requests else 0.0
    return f"{run.failed:,} of {run.requests:,} requests failed: {share:.4f} %"


def failures(run: Run) -> list[str]:
    """Return a line for each failure that is known of: when, in which step, the status, why."""
    return [
        f"{each.at}  {row.step}  {each.status or 'no answer'} after {each.ms:.0f} ms: {each.reason}"
        for row in run.rows
        for each in row.failures
    ]
