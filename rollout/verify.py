"""Whether the weights that the config says are those that every proxy has."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rollout.convergence import Answer, Convergence, Watch, proxies_of
from rollout.durations import spoken
from rollout.errors import RolloutError
from rollout.mesh import Callers, callers

if TYPE_CHECKING:
    from infra.settings import ModelSettings, Settings
    from rollout.cluster_api import ClusterApi

MOST_NAMED = 20


def verify(
    api: ClusterApi, settings: Settings, model: ModelSettings, deadline: float, started: float | None = None
) -> tuple[Convergence, Callers]:
    """Wait until every proxy that can call a model has its configured weights.

    Args:
        api: the cluster's.
        settings: the stack's.
        model: one of its models.
        deadline: seconds to wait at most.
        started: see `Watch.wait`.

    Returns:
        What the proxies said, and who else there is. A pod that ended while it was waited for is left out.
    """
    started = time.monotonic() if started is None else started
    found = callers(api)
    watch = Watch(proxies_of(api, found, settings.host), model.name, settings.namespace)
    try:
        return without_ended(api, watch.wait(model.weights, deadline, started)), found
    finally:
        watch.close()


def without_ended(api: ClusterApi, result: Convergence) -> Convergence:
    """Leave out pods that are there no more: nobody waits for their proxies."""
    if not any(answer.error for answer in result.stragglers.values()):
        return result
    now = callers(api)
    there = {*now.sidecars, *now.gateways}
    answers = {pod: answer for pod, answer in result.answers.items() if not answer.error or pod in there}
    return Convergence(result.expected, answers, result.without)


def describe(result: Convergence) -> list[str]:
    """Say who has the weights and who has not, a line each."""
    there = len(result.answers) - len(result.stragglers)
    lines = [f"{there} of {len(result.answers)} proxies have {shares(result.expected)}, after {spoken(result.seconds)}"]
    if not result.answers:
        lines = ["no proxy has a route for the model, so nobody in the mesh can call it"]
    behind = sorted(result.stragglers.items())
    lines += [f"  behind: {pod} {_state(answer)}" for pod, answer in behind[:MOST_NAMED]]
    if len(behind) > MOST_NAMED:
        lines.append(f"  and {len(behind) - MOST_NAMED} more")
    return lines


def describe_outside(found: Callers, model: ModelSettings) -> list[str]:
    """Name the pods without a proxy, whose requests no weight reaches."""
    if not found.outside:
        return []
    if model.strict_callers:
        return [f"{sum(found.outside.values())} pods have no proxy; strictCallers refuses them"]
    named = [f"{name} ({count})" if count > 1 else name for name, count in sorted(found.outside.items())]
    more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    where = f"{', '.join(named[:MOST_NAMED])}{more}"
    return [f"without a proxy, so past the weights if they call {model.name}: {where}"]


def shares(weights: Mapping[str, int]) -> str:
    """Write a split: v1 75 %, v2 25 %."""
    return ", ".join(f"{version or 'any version'} {weight} %" for version, weight in weights.items())


def _state(answer: Answer) -> str:
    return f"does not answer: {answer.error}" if answer.error else f"has {shares(answer.weights or {})}"


def check_route(api: ClusterApi, settings: Settings, model: ModelSettings) -> str | None:
    """Say how the cluster's route differs from the config; None when it does not.

    Raises:
        RolloutError: there is no route.
    """
    from rollout.cluster_api import ApiError
    from rollout.route import read

    try:
        live = read(api, model.name, settings.namespace).weights
    except ApiError as error:
        if error.status == 404:
            raise RolloutError(f"there is no route of {model.name} in the cluster. Run: pulumi up") from error
        raise
    if live == model.weights:
        return None
    return f"the route in the cluster has {shares(live)}, the config {shares(model.weights)}. Run: pulumi up --refresh"
