"""What a rollback leaves in the working tree: the journal's end, and the commit without which the canary comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rollout import journal
from rollout.commits import Commits, committed
from rollout.errors import RolloutError
from rollout.verify import shares

if TYPE_CHECKING:
    from infra.settings import ModelSettings
    from rollout.stack import Stack


def write_down(
    stack: Stack, model: ModelSettings, log: journal.Journal, say: Callable[[str], None], *, done: bool, commit: bool
) -> bool:
    """End the rollout in the journal, where one is under way, and commit config and journal or say that it is to do.

    Args:
        stack: its stack, whose config has the rollback.
        model: as the config had it before.
        log: its journal.
        say: takes each line of what is left.
        done: whether every proxy has the rollback and Pulumi has recorded it.
        commit: whether to commit.

    Returns:
        Whether nothing of it failed.
    """
    wrong = []
    try:
        _end(model, log, done=done)
    except (RolloutError, OSError) as error:
        wrong.append(f"the journal has no end of this rollout: {error}")
    back = comes_back(stack, model)
    todo = f"Commit and push {stack.file.name}"
    if commit:
        try:
            Commits(stack, model.name, log.file).commit(f"Roll {model.name} back to {model.stable}")
            todo = "Push the commit"
        except RolloutError as error:
            wrong.append(f"not committed: {error}")
    for line in [*wrong, *([f"{todo}{back}"] if back else [])]:
        say(line)
    return not wrong


def comes_back(stack: Stack, model: ModelSettings) -> str:
    """Say what the last commit of the config gives to other versions than the stable one.

    Returns:
        What follows on "commit and push"; "" where the commit gives them nothing, or the config is in none.
    """
    try:
        text = committed(stack.file)
        models = stack.read(text).models if text is not None else ()
    except RolloutError:  # no git, or a config that nobody can bring up
        return ""
    given = {
        version: weight
        for each in models
        if each.name == model.name
        for version, weight in each.weights.items()
        if weight and version != model.stable
    }
    return f": until then the next `pulumi up` from elsewhere gives {shares(given)} again" if given else ""


def _end(model: ModelSettings, log: journal.Journal, *, done: bool) -> None:
    canary = log.canary()
    if canary is None or canary == model.stable:
        return
    if done:
        log.add(journal.ROLLED_BACK, time.time(), version=canary, recorded=True)
    else:
        weight = model.weights.get(canary, 0)
        log.add(journal.HELD, time.time(), weight=weight, why="a rollback by hand is not complete")
