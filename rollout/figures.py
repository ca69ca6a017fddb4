"""What the versions of a model did, from the recorded series: counts since a moment, and figures of the last minute."""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from infra.metrics import series
from infra.metrics.workloads import PROMETHEUS, PROMETHEUS_PORT
from infra.weights import WHOLE
from rollout.errors import RolloutError
from rollout.gate import Measured

if TYPE_CHECKING:
    from infra.config_monitoring import MonitoringSettings
    from rollout.cluster_api import ClusterApi

_SECONDS: Final = 20
_LOOK_BACK: Final = 120  # seconds before a window in which a count that is older than it was written
_INTERVALS: Final = 3  # between two samples: how much older than a window's end its last one may be
_LAG: Final = 20  # seconds, the least of the same; where samples come often, a busy Prometheus is late with some
_NEGLIGIBLE: Final = 0.001  # of a version's requests: a tenth of what the gate lets a canary be worse by
Ask: TypeAlias = Callable[[str, Mapping[str, str]], Mapping[str, Any]]
Samples: TypeAlias = list[tuple[float, float]]


@dataclass(frozen=True)
class Now:
    """A version in the last minute; None is not known, for lack of requests for instance.

    Attributes:
        share: of the model's requests, 0-1.
        errors: of its own requests, 0-1.
        p50, p99: milliseconds.
    """

    share: float | None = None
    errors: float | None = None
    p50: float | None = None
    p99: float | None = None


class Figures(Protocol):
    """A source of figures of one namespace's models, as callers' proxies see them."""

    def measured(self, model: str, version: str, start: float, end: float) -> Measured:
        """Return what a version did between two moments, seconds since the epoch."""

    def now(self, model: str) -> Mapping[str, Now]:
        """Return the last minute of every version."""

    def history(self, metric: str, model: str, start: float, end: float, step: float) -> Mapping[str, Samples]:
        """Return a recorded series over time by version, (seconds since the epoch, value) every `step` seconds."""


class Prometheus:
    """A Prometheus that records the series, the bundled one or any other."""

    def __init__(self, ask: Ask, namespace: str) -> None:
        """Take the way to ask it, by path and query, and the models' namespace."""
        self._ask = ask
        self._namespace = namespace

    def measured(self, model: str, version: str, start: float, end: float) -> Measured:
        """See `Figures`. A proxy that started anew is counted on, and one that ended by what it last had.

        Failed requests that reached no version count as a version's as far as it is short of its weight without them.

        Raises:
            RolloutError: Prometheus cannot tell, or not of all of the time, or not whose requests reached no version.
        """
        self._refuse_gaps(start, end)

        def count(metric: str, by: str, **labels: str) -> dict[str, float]:
            text = self._selector(metric, model, **labels)
            window = math.ceil(end - start) + _LOOK_BACK
            counts: dict[str, float] = {}
            for found in self._query(f"{text}[{window}s]", end):
                key = found["metric"].get(by, "")
                samples = _since([(float(at), float(value)) for at, value in found["values"]], start)
                counts[key] = counts.get(key, 0.0) + series.counted(samples, start)
            return counts

        requests = round(count(series.REQUESTS_TOTAL, "version", version=version).get(version, 0))
        errors = min(requests, round(count(series.ERRORS_TOTAL, "version", version=version).get(version, 0)))
        latency = count(series.LATENCY_BUCKETS_TOTAL, "le", version=version)
        lost = count(series.ERRORS_TOTAL, "version", version=series.NO_VERSION).get(series.NO_VERSION, 0)
        if lost:
            reached = count(series.REQUESTS_TOTAL, "version")
            reached.pop(series.NO_VERSION, None)
            own = round(self._own_of(lost, reached, model, version, end))
            requests, errors = requests + own, errors + own
        return Measured(requests, errors, {float(limit): round(value) for limit, value in latency.items()})

    def _refuse_gaps(self, start: float, end: float) -> None:
        """Refuse a time at whose beginning or end no proxy was scraped, or nothing was recorded of it.

        What callers' proxies counted before would else be taken for what they counted since, or a part for the whole.
        A gap in between takes nothing away, as they count on.
        """
        window = math.ceil(end - start) + _LOOK_BACK
        found = self._query(f"{series.PROXIES}[{window}s]", end)
        gap = _gap(sorted(float(at) for each in found for at, _ in each["values"]), start, end)
        if gap is not None:
            since, until = (time.strftime("%H:%M:%S", time.localtime(at)) for at in gap)
            raise RolloutError(
                f"there are no figures from {since} to {until}: {series.PROXIES} has no sample, so Prometheus was away "
                "or scraped no proxy. Look at its targets (pulumi stack output monitoring), and run this command again"
            )

    def _own_of(self, lost: float, reached: Mapping[str, float], model: str, version: str, end: float) -> float:
        """How many of a model's requests that reached no version were a version's, by its weight at the end."""

        def latest(metric: str, **labels: str) -> float | None:
            text = series.selector(metric, namespace=self._namespace, model=model, **labels)
            return next((float(found["value"][1]) for found in self._query(text, end)), None)

        weight, before = latest(series.WEIGHT, version=version), reached.get(version, 0)
        if weight is None or (latest(series.EXCEPTIONS) and lost > _NEGLIGIBLE * (before + lost)):
            why = f"{series.WEIGHT} has no weight of it" if weight is None else "the route has matches or a mirror"
            raise RolloutError(
                f"{lost:,.0f} requests of {model} failed before they reached a version, and whether they were "
                f"{version}'s cannot be told, as {why}. Look which version has no pods: "
                f"kubectl -n {self._namespace} get pods -l app={model}"
            )
        return min(lost, max(0.0, weight / WHOLE * (sum(reached.values()) + lost) - before))

    def now(self, model: str) -> dict[str, Now]:
        """See `Figures`."""
        named = {
            "share": series.SHARE,
            "errors": series.ERROR_RATIO,
            "p50": series.LATENCY_P50,
            "p99": series.LATENCY_P99,
        }
        found: dict[str, dict[str, float]] = {}
        for name, metric in named.items():
            for entry in self._query(self._selector(metric, model), None):
                value = float(entry["value"][1])
                if math.isfinite(value):
                    found.setdefault(entry["metric"]["version"], {})[name] = value
        return {version: Now(**values) for version, values in found.items()}

    def history(self, metric: str, model: str, start: float, end: float, step: float) -> dict[str, Samples]:
        """See `Figures`."""
        by_side = {} if metric in {series.WEIGHT, series.LOADED, series.IN_FLIGHT} else {"side": series.SOURCE}
        text = series.selector(metric, namespace=self._namespace, model=model, **by_side)
        query = {"query": text, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return {
            found["metric"]["version"]: [(float(at), float(value)) for at, value in found["values"]]
            for found in self._result("/api/v1/query_range", query)
        }

    def _selector(self, metric: str, model: str, **labels: str) -> str:
        return series.selector(metric, namespace=self._namespace, model=model, side=series.SOURCE, **labels)

    def _query(self, text: str, at: float | None) -> list[Any]:
        return self._result("/api/v1/query", {"query": text, **({} if at is None else {"time": f"{at:.3f}"})})

    def _result(self, path: str, query: Mapping[str, str]) -> list[Any]:
        answer = self._ask(path, query)
        if answer.get("status") != "success":
            raise RolloutError(f"Prometheus refuses {query['query']}: {answer.get('error', answer)}")
        return list(answer["data"]["result"])


def _since(samples: Samples, start: float) -> Samples:
    """The samples after a moment, and the last one before."""
    before = [sample for sample in samples if sample[0] <= start]
    return before[-1:] + [sample for sample in samples if sample[0] > start]


def _gap(moments: Sequence[float], start: float, end: float) -> tuple[float, float] | None:
    """What samples at these moments, from `_LOOK_BACK` on, leave open of a window's beginning or end; None is nothing.

    A proxy may be scraped an interval later than another, and its count be recorded an interval after that.
    """
    if len(moments) < 2:  # no interval is known
        return start, end
    interval = median(later - earlier for earlier, later in pairwise(moments))
    all_by = start - 2 * interval
    if moments[0] > all_by:
        return all_by, moments[0]
    last = max(at for at in moments if at <= start)
    if start - last > _LOOK_BACK - interval:
        return last, next((at for at in moments if at > start), end)
    return (moments[-1], end) if end - moments[-1] > max(_INTERVALS * interval, _LAG) else None


def bundled(api: ClusterApi, monitoring: MonitoringSettings) -> Ask:
    """Ask the Prometheus that a stack brings, through the API server."""
    service = f"http:{PROMETHEUS}:{PROMETHEUS_PORT}"
    proxy = f"/api/v1/namespaces/{monitoring.namespace}/services/{service}/proxy"

    def ask(path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        if monitoring.kind != "bundled":
            raise RolloutError(
                f"monitoring.kind is {monitoring.kind}, so the stack has no Prometheus of its own; name one with "
                "--prometheus. Run: pulumi config set --path monitoring.kind bundled"
            )
        try:
            return api.get(proxy + path, **query)
        except RolloutError as error:
            raise RolloutError(
                f"the cluster's Prometheus cannot be asked ({error}); --prometheus names another"
            ) from error

    return ask


def at(url: str) -> Ask:
    """Ask the Prometheus at a URL, http://localhost:9090 for instance."""

    def ask(path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        if not url.startswith(("http://", "https://")):
            raise RolloutError(f"--prometheus is {url}; it is a URL such as http://localhost:9090")
        full = f"{url.rstrip('/')}{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(full, timeout=_SECONDS) as answer:  # noqa: S310 - the scheme is one of two
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            raise RolloutError(f"Prometheus at {url} answers {error.code}: {error.read(300).decode()}") from error
        except (OSError, ValueError) as error:
            raise RolloutError(f"Prometheus at {url} cannot be asked: {error}") from error

    return ask
