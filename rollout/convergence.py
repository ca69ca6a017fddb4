"""Whether every proxy that can call a model has its weights: all asked at once, and again until a deadline."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from infra import naming
from rollout.errors import RolloutError
from rollout.mesh import Callers, Pod, Proxy

if TYPE_CHECKING:
    from rollout.cluster_api import ClusterApi

PAUSE: Final = 0.05  # seconds between two questions to one proxy
_AT_ONCE: Final = 200  # one that does not come holds its place until the deadline


@dataclass(frozen=True)
class Answer:
    """What one proxy said last.

    Attributes:
        weights: per cent by version; None where it has no route for the model, or did not answer.
        error: why it did not answer.
        seconds: from the start until it had what was asked for; None if it never did.
    """

    weights: Mapping[str, int] | None
    error: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Convergence:
    """What all of them said.

    Attributes:
        expected: per cent by version; those at 0 are left out.
        answers: by pod, without those that have no route for the model.
        without: pods that have no route for the model, and so cannot call it.
    """

    expected: Mapping[str, int]
    answers: Mapping[Pod, Answer] = field(default_factory=dict)
    without: tuple[Pod, ...] = ()

    @property
    def stragglers(self) -> dict[Pod, Answer]:
        """The proxies that do not have the weights."""
        return {pod: answer for pod, answer in self.answers.items() if answer.seconds is None}

    @property
    def seconds(self) -> float:
        """How long the slowest took of those that got there."""
        return max((answer.seconds for answer in self.answers.values() if answer.seconds is not None), default=0.0)


class Watch:
    """The proxies of a cluster, asked about one model."""

    def __init__(self, proxies: Iterable[Proxy], model: str, namespace: str) -> None:
        """Take the proxies; `proxies_of` has all there are."""
        self._proxies = list(proxies)
        self._host = naming.service_host(model, namespace)
        self._pool = ThreadPoolExecutor(max(1, min(_AT_ONCE, len(self._proxies))))

    def connect(self) -> None:
        """Ask every proxy once, so that the next answers come quickly; waits for none."""
        for proxy in self._proxies:
            self._pool.submit(self._ask, proxy)

    def wait(self, weights: Mapping[str, int], seconds: float, started: float | None = None) -> Convergence:
        """Ask every proxy until it has the weights, or the time is over.

        Args:
            weights: per cent by version.
            seconds: how long to ask a proxy that does not have them; each is asked once at least.
            started: what times are counted from, by `time.monotonic()`; now if not given.
        """
        started = time.monotonic() if started is None else started
        expected = {version: weight for version, weight in weights.items() if weight}
        deadline = time.monotonic() + seconds
        ask = self._pool.submit
        asked = {proxy.pod: ask(self._until, proxy, expected, started, deadline) for proxy in self._proxies}
        answers = {pod: answer.result() for pod, answer in asked.items()}
        callers = {pod: answer for pod, answer in answers.items() if answer.weights is not None or answer.error}
        return Convergence(expected, callers, tuple(pod for pod in answers if pod not in callers))

    def close(self) -> None:
        """End all connections."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for proxy in self._proxies:
            proxy.close()

    def _until(self, proxy: Proxy, expected: Mapping[str, int], started: float, deadline: float) -> Answer:
        while True:
            answer = self._ask(proxy)
            if answer.weights == expected:
                return Answer(answer.weights, seconds=time.monotonic() - started)
            # One without a route is nobody's caller, however long it is asked.
            if time.monotonic() + PAUSE >= deadline or (answer.weights is None and not answer.error):
                return answer
            time.sleep(PAUSE)

    def _ask(self, proxy: Proxy) -> Answer:
        try:
            return Answer(proxy.weights(self._host))
        except (RolloutError, ValueError) as error:
            return Answer(None, str(error))


def proxies_of(api: ClusterApi, found: Callers, outer: str | None) -> list[Proxy]:
    """Return every proxy that may call a model: sidecars, and the gateways where the models have a name outside."""
    sidecars = [Proxy(api, pod) for pod in found.sidecars]
    return sidecars if outer is None else sidecars + [Proxy(api, pod, outer=outer) for pod in found.gateways]
