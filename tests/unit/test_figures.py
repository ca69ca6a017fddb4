"""What is read of a Prometheus's answers."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.metrics import series
from rollout.errors import RolloutError
from rollout.figures import Now, Prometheus, at

One = tuple[dict[str, str], list[tuple[float, float]]]
Series = list[One]


class Answers:
    """A Prometheus that has these samples, and notes what it is asked."""

    def __init__(self, **found: Series) -> None:
        scraped: Series = [({}, [(float(moment), 3.0) for moment in range(0, 1000, 5)])]
        self.found = {name(series.PROXIES): scraped, **found}
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        self.asked.append((path, query))
        metric, seconds = re.fullmatch(r"([\w:]+)(?:{.*})?(?:\[(\d+)s\])?", query["query"]).groups()  # type: ignore[union-attr]
        until = float(query.get("time", "inf"))
        since = until - float(seconds) if seconds else float("-inf")
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', query["query"]))
        result = []
        for labels, samples in self.found.get(name(metric), []):
            if any(wanted.get(label, value) != value for label, value in labels.items()):
                continue
            texts = [[moment, str(value)] for moment, value in samples if since < moment <= until]
            if texts:
                result.append({"metric": labels, **({"values": texts} if seconds else {"value": texts[-1]})})
        return {"status": "success", "data": {"result": result}}


def name(metric: str) -> str:
    return metric.replace(":", "_")


def grown(version: str, number: float, **labels: str) -> One:
    """A series that grew by a number within the time that the tests ask about."""
    return {"version": version, "pod": "a", **labels}, [(95.0, 7.0), (105.0, 7.0 + number)]


def test_requests_since_a_moment_are_summed_over_the_proxies_that_counted_them() -> None:
    steady: One = ({"version": "v2", "pod": "a"}, [(90.0, 10.0), (95.0, 20.0), (105.0, 50.0)])
    restarted: One = ({"version": "v2", "pod": "b"}, [(95.0, 100.0), (101.0, 130.0), (105.0, 7.0)])
    young: One = ({"version": "v2", "pod": "c"}, [(104.0, 5.0)])
    answers = Answers(
        **{
            name(series.REQUESTS_TOTAL): [steady, restarted, young, grown("v1", 99)],
            name(series.ERRORS_TOTAL): [grown("v2", 2), grown("v1", 9)],
            name(series.LATENCY_BUCKETS_TOTAL): [grown("v2", 20, le="5"), grown("v2", 30, le="+Inf")],
        }
    )
    measured = Prometheus(answers, "models").measured("half-plus", "v2", 100, 106)
    assert measured.requests == 30 + 30 + 7 + 5
    assert measured.errors == 2
    assert measured.buckets == {5.0: 20, float("inf"): 30}
    path, query = answers.asked[1]
    assert path == "/api/v1/query"
    assert query["query"].endswith("[126s]")
    for label in ('namespace="models"', 'model="half-plus"', 'version="v2"', 'side="source"'):
        assert label in query["query"]
    assert query["time"] == "106.000"


def lossy(v1: float, v2: float, lost: float, weight: float | None = 5, exceptions: float = 0) -> Prometheus:
    """A Prometheus by which so many requests reached a version, and so many failed before they did."""
    unknown: Series = [grown("unknown", lost)]
    weights: Series = [] if weight is None else [({"version": "v2"}, [(105.0, weight)])]
    weights += [({"version": "v1"}, [(105.0, 100 - (weight or 0))])]
    answers = Answers(
        **{
            name(series.REQUESTS_TOTAL): [grown("v1", v1), grown("v2", v2), *unknown],
            name(series.ERRORS_TOTAL): [grown("v1", 0), grown("v2", 0), *unknown],
            name(series.WEIGHT): weights,
            name(series.EXCEPTIONS): [({"model": "half-plus"}, [(105.0, exceptions)])],
        }
    )
    return Prometheus(answers, "models")


@pytest.mark.parametrize(
    ("v1", "v2", "lost", "canary", "stable"),
    [
        (950, 50, 0, (50, 0), (950, 0)),
        (950, 0, 50, (50, 50), (950, 0)),  # the canary has no pod
        (950, 25, 25, (50, 25), (950, 0)),  # it had none half of the time
        (475, 50, 475, (50, 0), (950, 475)),  # the stable version had none half of the time: no fault of the canary's
        (0, 0, 1000, (50, 50), (950, 950)),  # neither has any
    ],
)
def test_requests_that_reached_no_version_are_the_one_s_that_is_short_of_its_weight(
    v1: float, v2: float, lost: float, canary: tuple[int, int], stable: tuple[int, int]
) -> None:
    prometheus = lossy(v1, v2, lost)
    for version, wanted in (("v2", canary), ("v1", stable)):
        measured = prometheus.measured("half-plus", version, 100, 106)
        assert (measured.requests, measured.errors) == wanted, version


@pytest.mark.parametrize(("weight", "exceptions", "why"), [(None, 0, "no weight"), (5, 1, "matches or a mirror")])
def test_requests_that_may_be_anybodys_are_no_pass(weight: float | None, exceptions: float, why: str) -> None:
    with pytest.raises(RolloutError, match=rf"25 requests of half-plus failed .* v2's cannot be told, .*{why}"):
        lossy(950, 25, 25, weight, exceptions).measured("half-plus", "v2", 100, 106)


def test_a_few_requests_that_may_be_anybodys_are_no_reason_to_wait() -> None:
    assert lossy(95_000, 5_000, 5, exceptions=1).measured("half-plus", "v2", 100, 106).errors <= 5


def test_a_version_that_nobody_has_heard_of_did_nothing() -> None:
    measured = Prometheus(Answers(), "models").measured("half-plus", "v2", 100, 106)
    assert (measured.requests, measured.errors, measured.buckets) == (0, 0, {})


def scraped(first: float, last: float, interval: float = 15) -> Answers:
    """A Prometheus that scraped from one moment to another, and had a caller's proxy with counts of days there."""
    moments = [first + number * interval for number in range(int((last - first) / interval) + 1)]
    proxies: Series = [({}, [(moment, 3.0) for moment in moments])]
    requests: Series = [({"version": "v2"}, [(moment, 1e6 + moment) for moment in moments])]
    return Answers(**{name(series.PROXIES): proxies, name(series.REQUESTS_TOTAL): requests})


WHEN = (1_000.0, 1_600.0)  # a soak of ten minutes


@pytest.mark.parametrize(
    ("first", "last", "missing"),
    [
        (100, 1180, (1180, 1600)),  # scraping stopped in its third minute
        (1060, 1600, (970, 1060)),  # a new Prometheus: all before is gone
        (980, 1600, (970, 980)),  # it came with the step, and may not have asked every proxy before
        (2000, 2100, (1000, 1600)),
        (100, 895, (1000, 1600)),  # it went before the step
    ],
)
def test_a_time_that_prometheus_has_not_all_of_is_not_judged(
    first: float, last: float, missing: tuple[float, float]
) -> None:
    clock = " to ".join(time.strftime("%H:%M:%S", time.localtime(at)) for at in missing)
    with pytest.raises(RolloutError, match=f"there are no figures from {clock}"):
        Prometheus(scraped(first, last), "models").measured("half-plus", "v2", *WHEN)


def test_counts_of_days_are_not_a_soaks_when_prometheus_was_away_at_the_step() -> None:
    answers = scraped(100, 1600)
    for found in answers.found.values():
        found[0][1][:] = [sample for sample in found[0][1] if not 870 < sample[0] < 1100]
    with pytest.raises(RolloutError, match="there are no figures from"):
        Prometheus(answers, "models").measured("half-plus", "v2", *WHEN)


@pytest.mark.parametrize("interval", [1, 15, 30])
@pytest.mark.parametrize("since_the_step", [0.5, 20, 600])
def test_a_stack_that_is_scraped_never_waits(interval: float, since_the_step: float) -> None:
    for late in (0.0, 0.4, 1.2):  # an evaluation under way, or one that was skipped
        answers = scraped(100, 1000 + since_the_step - late * interval, interval)
        measured = Prometheus(answers, "models").measured("half-plus", "v2", 1000, 1000 + since_the_step)
        assert measured.requests <= since_the_step + interval


def test_a_prometheus_that_was_away_within_a_soak_has_lost_nothing() -> None:
    answers = scraped(100, 1600)
    for found in answers.found.values():
        found[0][1][:] = [sample for sample in found[0][1] if not 1100 < sample[0] < 1500]
    assert Prometheus(answers, "models").measured("half-plus", "v2", *WHEN).requests == pytest.approx(600, abs=15)


def test_the_last_minute_is_by_version_and_what_is_not_known_is_not_zero() -> None:
    answers = Answers(
        **{
            name(series.SHARE): [({"version": "v1"}, [(1.0, 0.75)]), ({"version": "v2"}, [(1.0, 0.25)])],
            name(series.ERROR_RATIO): [({"version": "v1"}, [(1.0, 0.0)])],
            name(series.LATENCY_P99): [({"version": "v1"}, [(1.0, float("nan"))])],
        }
    )
    now = Prometheus(answers, "models").now("half-plus")
    assert now == {"v1": Now(share=0.75, errors=0.0), "v2": Now(share=0.25)}


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            query = parse_qs(urlsplit(self.path).query)["query"][0]
            bad = query.startswith("bad")
            body = json.dumps({"status": "error", "error": "parse error"} if bad else {"status": "success", "data": {}})
            self.send_response(400 if bad else 200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}", asked
        listening.shutdown()
        thread.join()


def test_a_prometheus_is_asked_at_its_url(server: tuple[str, list[str]]) -> None:
    url, asked = server
    assert at(url + "/")("/api/v1/query", {"query": 'up{a="b"}'})["status"] == "success"
    assert asked == ["/api/v1/query?query=up%7Ba%3D%22b%22%7D"]
    with pytest.raises(RolloutError, match=r"answers 400: .*parse error"):
        at(url)("/api/v1/query", {"query": "bad"})


def test_a_prometheus_that_is_not_there_is_named() -> None:
    with pytest.raises(RolloutError, match=r"http://127\.0\.0\.1:1 cannot be asked"):
        at("http://127.0.0.1:1")("/api/v1/query", {"query": "up"})
    with pytest.raises(RolloutError, match="--prometheus is prom:9090; it is a URL"):
        at("prom:9090")("/api/v1/query", {"query": "up"})
