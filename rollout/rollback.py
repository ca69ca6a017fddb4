"""All requests back to the stable version, first in the cluster and then in Pulumi's books.

The order is what makes an interruption harmless. The config comes first, for that is one file and a millisecond: from
then on whatever runs next, `pulumi up` or another rollback, leads to the same end. Then the route, past Pulumi but
under its name, so traffic leaves within a second. Then `pulumi up`, which finds the route as it wants it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
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
        recorded = _record(stack, model, say)
        if recorded:
            say(f"recorded by Pulumi after {spoken(time.monotonic() - started)}")
        there = there or _asked(api, watch, weights, say)
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


def _record(stack: Stack, model: ModelSettings, say: Callable[[str], None]) -> bool:
    from rollout.review_weights import breaches

    try:
        if beyond := breaches(pulumi_cli.preview(stack)):
            names = ", ".join(dict.fromkeys(breach.change.name for breach in beyond))
            say(
                f"not recorded, for `pulumi up` would change more than weights: {names}. Look at it, and run: pulumi up"
            )
            return False
        pulumi_cli.up(stack, f"roll back {model.name} to {model.stable}")
    except RolloutError as error:
        say(f"not recorded; run `python -m rollout rollback {model.name}` again: {error}")
        return False
    return True


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
