"""A whole rollout under load, counted by the same code as bench/no-loss, in a twelfth of its requests."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench import no_loss
from tests.e2e.conftest import Stack

REQUESTS, RATE = 20_000, 150
pytestmark = pytest.mark.e2e


@pytest.mark.usefixtures("cluster")
def test_a_rollout_loses_no_request(stack: Stack) -> None:
    run = no_loss.Run()
    no_loss.go(run, stack, REQUESTS, RATE)
    Console(width=100).print(no_loss.table(run))
    assert run.failed == 0, "\n".join([no_loss.verdict(run), *no_loss.failures(run), *run.proxy_log])
    assert run.requests >= REQUESTS
    rows = {row.step: row for row in run.rows}
    assert list(rows) == [step.name for step in no_loss.STEPS]
    assert all(row.requests >= REQUESTS // len(rows) for row in run.rows)
    # The requests went where the steps say, so it was through these that none was lost.
    assert rows["v1 alone"].answers == {"v1": rows["v1 alone"].requests, "v2": 0, "v3": 0}
    assert 0 < rows["v2 to 25 %"].answers["v2"] < rows["v2 to 25 %"].answers["v1"]
    assert rows["promote v2"].answers["v2"] == rows["promote v2"].requests
    assert 0 < rows["v3 to 10 %"].answers["v3"] < rows["v3 to 10 %"].answers["v2"]
    assert all(rows[step.name].answers["v1"] == 0 for step in no_loss.STEPS[7:])
