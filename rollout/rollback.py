"""All requests back to the stable version, first in the cluster and then in Pulumi's books.

The order is what makes an interruption harmless. The config comes first, for that is one file and a millisecond: from
then on whatever runs next, `pulumi up` or another rollback, leads to the same end. Then the route, past Pulumi but
under its name, so traffic leaves within a second. Then `pulumi up`, which finds the route as it wants it.

What runs already is another matter: an `up` that has read its config before gives the canary its weight back when it
comes to the route. It holds the stack's lock, so it is waited for, and the route is moved again meanwhile.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from infra.weights import WHOLE
from rollout import pulumi_cli, route
from rollout.convergence import Watch, proxies_of
from rollout.durations import spoken
from rollout.errors import RolloutError
from rollout.mesh import callers
from rollout.verify import describe, shares, without_ended

if TYPE_CHECKING:
    from infra.settings import ModelSettings
    from rollout.cluster_api import ClusterApi
    from rollout.stack import Stack

DEADLINE: Final = 10.0  # seconds to wait for proxies before it is recorded
LOCKED: Final = 180.0  # seconds to wait for another `up` to end
PAUSE: Final = 3.0  # seconds between two tries
_LOCKED: Final = ("the stack is currently locked by", "Another update is currently in progress")
_HOLDER: Final = re.compile(r"created by (.+)")  # a backend of files names who, Pulumi Cloud does not


def rollback(stack: Stack, api: ClusterApi, model: ModelSettings, started: float, say: Callable[[str], None]) -> bool:
    """Give a model's stable version everything.

    Args:
        stack: its stack, whose config is written.
        api: the cluster's.
        model: as the config has it now.
        started: when the command began, by `time.monotonic()`.
        say: takes each line of what is done, when it is done.

    Returns:
        Whether every proxy has it and Pulumi has recorded it.
    """
    settings = stack.settings
    others = {version.name: 0 for version in model.versions if version.name != model.stable}
    weights = {model.stable: WHOLE, **others}
    with ThreadPoolExecutor(2) as pool:
        finding = pool.submit(_watch, stack, api, model)
        reading = pool.submit(route.read, api, model.name, settings.namespace)
        stack.write(stack.weighted(model.name, others))
        try:
            live = reading.result()
            route.move(api, live, weights)
        except RolloutError as error:
            say(f"the route could not be moved at once, so `pulumi up` does it: {error}")
        else:
            say(f"{model.name}: {shares(live.weights)} -> {shares({model.stable: WHOLE})}")
        watch = _found(finding, say)
    try:
        there = _asked(api, watch, weights, say, started)
        keep = _Keeper(api, model.name, settings.namespace, weights, say)
        recorded = _record(stack, model, keep, say)
        if recorded:
            say(f"recorded by Pulumi after {spoken(time.monotonic() - started)}")
        if not there or keep.disturbed:
            there = _asked(api, watch, weights, say)
    finally:
        if watch is not None:
            watch.close()
    for line in _leftovers(model):
        say(line)
    return recorded and there


def _watch(stack: Stack, api: ClusterApi, model: ModelSettings) -> Watch:
    watch = Watch(proxies_of(api, callers(api), stack.settings.host), model.name, stack.settings.namespace)
    watch.connect()
    return watch


def _found(finding: Future[Watch], say: Callable[[str], None]) -> Watch | None:
    """The proxies, or None where nobody can say which there are: what remains to be done is done without them."""
    try:
        return finding.result()
    except RolloutError as error:
        say(f"the proxies cannot be asked: {error}")
        return None


def _asked(
    api: ClusterApi,
    watch: Watch | None,
    weights: dict[str, int],
    say: Callable[[str], None],
    started: float | None = None,
) -> bool:
    """Whether every proxy has the weights, after waiting for them; False where they cannot be asked."""
    if watch is None:
        return False
    try:
        result = without_ended(api, watch.wait(weights, DEADLINE, started))
    except RolloutError as error:
        say(f"the proxies cannot be asked: {error}")
        return False
    for line in describe(result):
        say(line)
    return not result.stragglers


@dataclass
class _Keeper:
    """Keeps a route where it was moved to, until Pulumi has recorded it.

    Attributes:
        disturbed: whether the route may have been elsewhere since.
        told: what was wrong when it was last looked at.
    """

    api: ClusterApi
    model: str
    namespace: str
    weights: Mapping[str, int]
    say: Callable[[str], None]
    disturbed: bool = False
    told: str = ""

    def look(self) -> None:
        """Move the route again where it is elsewhere."""
        expected = _given(self.weights)
        try:
            live = route.read(self.api, self.model, self.namespace)
            if _given(live.weights) == expected:
                return
            route.move(self.api, live, self.weights)
        except RolloutError as error:
            if str(error) != self.told:
                self.say(f"the route could not be looked at and moved again: {error}")
            self.told = str(error)
        else:
            self.disturbed = True
            self.say(f"the route had {shares(live.weights)} meanwhile, and is moved again to {shares(expected)}")


def _given(weights: Mapping[str, int]) -> dict[str, int]:
    return {version: weight for version, weight in weights.items() if weight}


def _record(stack: Stack, model: ModelSettings, keep: _Keeper, say: Callable[[str], None]) -> bool:
    """Have Pulumi record it; wait for another `up` that runs. Whether it is recorded."""
    from rollout.review_weights import breaches

    give_up, told = time.monotonic() + LOCKED, ""
    while True:
        try:
            beyond = breaches(pulumi_cli.preview(stack))
            if not beyond:
                pulumi_cli.up(stack, f"roll back {model.name} to {model.stable}")
                return True
            names = ", ".join(dict.fromkeys(breach.change.name for breach in beyond))
            why = f", for `pulumi up` would change more than weights: {names}. Look at it, and run: pulumi up"
            locked = told  # while another `up` runs its work is half done, so there may be more now than at its end
        except RolloutError as error:
            why, locked = f"; run `python -m rollout rollback {model.name}` again: {error}", _locked(str(error))
        keep.look()
        if not locked or time.monotonic() >= give_up:
            say(f"not recorded{why}")
            return False
        keep.disturbed = True
        if locked != told:
            say(f"{locked}: waits {spoken(LOCKED)} at most. If that was killed, run in another shell: pulumi cancel")
        told = locked
        time.sleep(PAUSE)


def _locked(error: str) -> str:
    """Who has the stack's lock, by what Pulumi said; "" where that is not what was wrong."""
    if not any(sign in error for sign in _LOCKED):
        return ""
    holders = _HOLDER.findall(error)
    return f"the stack is locked by {' and '.join(holders)}" if holders else "another update of the stack is running"


def _leftovers(model: ModelSettings) -> list[str]:
    """What sends requests to other versions whatever the weights."""
    lines = [
        f"requests with the {'header ' + match.header if match.header else f'cookie {match.cookie}'} {match.value} "
        f"still go to {match.version}"
        for match in model.matches
        if match.version != model.stable
    ]
    if model.mirror and model.mirror.version != model.stable and model.mirror.percent:
        lines.append(f"{model.mirror.version} still gets copies of {model.mirror.percent} % of the requests")
    return lines
