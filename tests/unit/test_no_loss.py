"""The account of a load, and the steps that it is held against."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Self

import pytest
from kubernetes import client
from rich.console import Console
from urllib3.exceptions import ProtocolError

from bench import no_loss
from bench.load import Account, Load
from bench.no_loss import ANSWERS, STEPS, Row, Run

V1, V2, _ = ANSWERS
UNHEALTHY = {"at": "2026-01-01T00:00:00Z", "ms": 1.2, "status": 503, "kind": "", "detail": "no healthy upstream"}
CLOSED = {"at": "2026-01-01T00:00:01Z", "ms": 3.4, "status": 0, "kind": "closed", "detail": "EOF"}


def report(requests: int, *answers: tuple[int, str, int], failures: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    listed = [{"status": status, "body": body, "count": count} for status, body, count in answers]
    return {"requests": requests, "answers": listed, "failures": list(failures)}


def account(*reports: dict[str, Any]) -> Account:
    summed = Account()
    for each in reports:
        summed.add(each)
    return summed


def test_every_request_without_a_good_answer_has_failed() -> None:
    summed = account(
        report(100, (200, V1, 90), (503, "no healthy upstream", 9), failures=(UNHEALTHY, CLOSED)),
        report(50, (200, V1, 20), (200, V2, 30)),
    )
    assert (summed.requests, summed.failed, dict(summed.answers)) == (150, 10, {V1: 110, V2: 30})
    assert [each.reason for each in summed.failures] == ["no healthy upstream", "closed: EOF"]


def test_an_answer_that_nobody_listed_or_no_version_gives_has_failed() -> None:
    assert account(report(100, (200, V1, 60))).failed == 40
    row = Row.of("v1 alone", account(report(10, (200, V1, 6), (200, '{"predictions":[9]}', 4))), None)
    assert (row.failed, row.answers) == (4, {"v1": 6, "v2": 0, "v3": 0})


def test_the_table_adds_up_and_says_the_share() -> None:
    run = Run(
        [
            Row.of("v1 alone", account(report(1500, (200, V1, 1500))), None),
            Row.of("v2 to 5 %", account(report(500, (200, V1, 474), (200, V2, 25), failures=(UNHEALTHY,))), 3.21),
        ]
    )
    printed = io.StringIO()
    console = Console(width=100, file=printed)
    console.print(no_loss.table(run))
    lines = [line.split() for line in printed.getvalue().splitlines()]
    assert lines[1] == ["v1", "alone", "1,500", "0", "1,500", "0", "0"]
    assert lines[2] == ["v2", "to", "5", "%", "500", "1", "474", "25", "0", "3.2", "s"]
    assert lines[3] == ["Sum", "2,000", "1", "1,974", "25", "0"]
    assert no_loss.verdict(run) == "1 of 2,000 requests failed: 0.0500 %"
    assert no_loss.failures(run) == ["2026-01-01T00:00:00Z  v2 to 5 %  503 after 1 ms: no healthy upstream"]


def test_a_run_that_was_interrupted_at_once_has_a_table_too() -> None:
    assert no_loss.table(Run()).row_count == 0
    assert no_loss.verdict(Run()) == "0 of 0 requests failed: 0.0000 %"


def test_the_program_takes_every_step_and_no_version_goes_with_its_traffic(stack: Callable[..., Any]) -> None:
    shares = []
    for step in STEPS:
        given = {key: value for key, value in step.config().items() if value is not None}
        (model,) = stack(given).parse().models
        assert model.retries == 0
        shares.append(dict(model.weights))
    for before, after in pairwise(shares):
        assert not {version for version, weight in before.items() if weight and version not in after}, (before, after)
    assert {"v1": 0, "v2": 100} in shares
    assert {"v2": 90, "v3": 10} in shares


class Log:
    """A pod's log as the API server streams it: in pieces, and broken off when `breaks` says so."""

    def __init__(self, text: str, breaks: list[int]) -> None:
        self.text, self.breaks = text.encode(), breaks

    def read_namespaced_pod_log(self, *_: Any, **__: Any) -> Any:
        class Response:
            status = 200

            def stream(response) -> Iterator[bytes]:  # noqa: N805 - self is the log
                end = self.breaks.pop(0) if self.breaks else len(self.text)
                for start in range(0, end, 7):
                    yield self.text[start : min(start + 7, end)]
                if end < len(self.text):
                    raise ProtocolError("Connection broken")

        return Response()

    def read_namespaced_pod(self, *_: Any) -> Any:
        return client.V1Pod(status=client.V1PodStatus(phase="Running"))


def test_a_log_that_breaks_off_is_read_on_without_a_second_counted_twice() -> None:
    seconds = [{"until": str(number), **report(10, (200, V1, 10))} for number in range(5)]
    text = "".join(json.dumps(each) + "\n" for each in seconds) + json.dumps({"requests": 50}, indent=2) + "\n"
    heard: list[int] = []
    load = Load("http://a", "{}", 10, lambda summed: heard.append(summed.requests))
    load._core = Log(text, [30, len(text) // 2, len(text) - 4])
    load._follow()
    assert heard == [10, 20, 30, 40, 50]
    assert load.since(1, 3).requests == 20
    assert load._total == {"requests": 50}


@pytest.mark.parametrize("said", [49, None])
def test_an_account_that_is_not_whole_is_no_account(said: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    load = Load("http://a", "{}", 10)
    load._core = Log("", [])
    load._hear(report(50, (200, V1, 50)))
    load._total = None if said is None else {"requests": said}
    monkeypatch.setattr(load, "_remove", lambda: None)
    monkeypatch.setattr(load._follower, "join", lambda _: None)
    with pytest.raises(Exception, match=f"50 requests by the second, {said} in all"):
        load.__exit__(None)


class Played(Load):
    """A load whose requests are all sent while somebody waits for them, and are all answered by v1."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, requests: int) -> None:
        missing = requests - self.requests
        self._hear(report(missing, (200, V1, missing)))

    def mark(self) -> int:
        return len(self._seconds)


class Changed:
    """A stack that notes what it is brought to; it fails at the up with the number `fails`."""

    def __init__(self, fails: int = 99) -> None:
        self.fails, self.weights = fails, [0]

    def set(self, **values: Any) -> None:
        self.weights.append(values["v2Weight"] or 0)

    def up(self) -> None:
        assert len(self.weights) - 1 != self.fails, "pulumi up ended with 255"


def test_steps_are_spread_over_the_requests_and_each_is_an_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(no_loss, "Load", Played)
    run, program = Run(), Changed()
    no_loss.go(run, program, 1000, 10, steps=STEPS[:6])
    assert [row.step for row in run.rows] == [step.name for step in STEPS[:6]]
    assert [row.requests for row in run.rows] == [166, 167, 167, 166, 167, 167]
    assert [row.seconds is None for row in run.rows] == [True] + 5 * [False]
    assert program.weights == [0, 0, 0, 0, 5, 25, 50, 100]


def test_a_run_that_breaks_off_accounts_for_what_it_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(no_loss, "Load", Played)
    run = Run()
    with pytest.raises(AssertionError, match="ended with 255"):
        no_loss.go(run, Changed(fails=5), 1000, 10, steps=STEPS[:5])
    assert [row.step for row in run.rows] == ["v1 alone", "add v2 at 0 %", "v2 to 5 %", "v2 to 25 %"]
    assert [row.requests for row in run.rows] == [200, 200, 200, 0]
    assert run.rows[-1].seconds is None
