"""A promotion's hand on a stack's file: it reads what others write there, and takes back only what it wrote itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from rich.console import Console

from rollout import pulumi_cli
from rollout.errors import RolloutError
from rollout.live import LiveWorld
from rollout.review_plan import Change, Plan
from rollout.stack import Stack

ROOT = Path(__file__).parents[2]
MORE = Plan((Change("urn:pulumi:local::tfserving-mesh::kubernetes:apps/v1:Deployment::half-plus-v3", "create"),))


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text((ROOT / file.name).read_text())
    return Stack("local", ROOT, file)


@pytest.fixture
def world(stack: Stack) -> LiveWorld:
    nothing = cast("Any", None)
    return LiveWorld(stack, nothing, "half-plus", "v2", nothing, Console())


def by_hand(stack: Stack, weight: int) -> None:
    """Another shell's `rollback`, or an editor."""
    other = Stack(stack.name, stack.folder, stack.file)
    other.write(other.weighted("half-plus", {"v2": weight}))


@pytest.fixture
def ups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The configs that were brought up."""
    found: list[str] = []
    monkeypatch.setattr(pulumi_cli, "preview", lambda _: Plan())
    monkeypatch.setattr(pulumi_cli, "up", lambda stack, _: found.append(stack.file.read_text()))
    return found


def test_what_somebody_else_wrote_is_seen(world: LiveWorld, stack: Stack) -> None:
    assert world.configured() == ("v1", 5)
    by_hand(stack, 0)
    assert world.configured() == ("v1", 0)


@pytest.mark.parametrize("text", ["config: {", "", "config", "config: {}"])
def test_a_file_that_somebody_has_not_finished_writing_is_told_as_such(
    world: LiveWorld, stack: Stack, text: str
) -> None:
    stack.file.write_text(text)
    with pytest.raises(RolloutError):
        world.configured()


def test_a_step_is_written_and_brought_up(world: LiveWorld, stack: Stack, ups: list[str]) -> None:
    world.step(25, "Give v2 25 %")
    assert "v2Weight: 25" in stack.file.read_text()
    assert ups == [stack.file.read_text()]


def test_a_refused_step_leaves_the_file_as_it_was(
    world: LiveWorld, stack: Stack, ups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stack.file.read_text()
    monkeypatch.setattr(pulumi_cli, "preview", lambda _: MORE)
    with pytest.raises(RolloutError, match="would change more than weights: half-plus-v3"):
        world.step(25, "Give v2 25 %")
    assert stack.file.read_text() == before
    assert ups == []


def test_a_canary_that_failed_comes_back_by_the_last_commit_and_that_is_said(
    world: LiveWorld, stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def rollback(*_: Any) -> bool:
        by_hand(stack, 0)
        return True

    committed = stack.file.read_text()
    monkeypatch.setattr("rollout.live.rollback", rollback)
    monkeypatch.setattr("rollout.rollback_files.committed", lambda _: committed)
    world.console = Console()
    assert world.roll_back()
    said = capsys.readouterr().out
    assert (
        "Commit and push Pulumi.local.yaml: until then the next `pulumi up` from elsewhere gives v2 5 % again" in said
    )


@pytest.mark.parametrize("plan", [Plan(), MORE])
def test_a_rollback_while_a_step_is_previewed_stays_in_the_file_and_the_step_is_not_brought_up(
    world: LiveWorld, stack: Stack, ups: list[str], monkeypatch: pytest.MonkeyPatch, plan: Plan
) -> None:
    def preview(_: Stack) -> Plan:
        by_hand(stack, 0)
        return plan

    monkeypatch.setattr(pulumi_cli, "preview", preview)
    if plan is MORE:
        with pytest.raises(RolloutError, match="would change more than weights"):
            world.step(25, "Give v2 25 %")
    else:
        world.step(25, "Give v2 25 %")
    assert world.configured() == ("v1", 0)
    assert ups == []
