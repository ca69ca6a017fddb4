"""What is read of a Prometheus's answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from infra.metrics import series
from rollout.errors import RolloutError
from rollout.figures import Now, Prometheus, at

Series = list[tuple[dict[str, str], list[tuple[float, float]]]]


class Answers:
    """A Prometheus that has these samples, and notes what it is asked."""

    def __init__(self, **found: Series) -> None:
        self.found = found
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def __call__(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        self.asked.append((path, query))
        name = query["query"].partition("{")[0].replace(":", "_")
        vector = path.endswith("/query") and not query["query"].endswith("s]")
        result = []
        for labels, samples in self.found.get(name, []):
            texts = [[moment, str(value)] for moment, value in samples]
            result.append({"metric": labels, **({"value": texts[-1]} if vector else {"values": texts})})
        return {"status": "success", "data": {"result": result}}


def name(metric: str) -> str:
    return metric.replace(":", "_")


def test_requests_since_a_moment_are_summed_over_the_proxies_that_counted_them() -> None:
    steady = ({"pod": "a"}, [(90.0, 10.0), (95.0, 20.0), (105.0, 50.0)])
    restarted = ({"pod": "b"}, [(95.0, 100.0), (101.0, 130.0), (105.0, 7.0)])
    young = ({"pod": "c"}, [(104.0, 5.0)])
    buckets: Series = [
        ({"pod": "a", "le": "5"}, [(95.0, 0.0), (105.0, 20.0)]),
        ({"pod": "a", "le": "+Inf"}, [(95.0, 0.0), (105.0, 30.0)]),
    ]
    answers = Answers(
        **{
            name(series.REQUESTS_TOTAL): [steady, restarted, young],
            name(series.ERRORS_TOTAL): [({"pod": "a"}, [(95.0, 1.0), (105.0, 3.0)])],
            name(series.LATENCY_BUCKETS_TOTAL): buckets,
        }
    )
    measured = Prometheus(answers, "models").measured("half-plus", "v2", 100, 106)
    assert measured.requests == 30 + 30 + 7 + 5
    assert measured.errors == 2
    assert measured.buckets == {5.0: 20, float("inf"): 30}
    path, query = answers.asked[0]
    assert path == "/api/v1/query"
    assert query["query"].endswith("[126s]")
    for label in ('namespace="models"', 'model="half-plus"', 'version="v2"', 'side="source"'):
        assert label in query["query"]
    assert query["time"] == "106.000"


def test_a_version_that_nobody_has_heard_of_did_nothing() -> None:
    measured = Prometheus(Answers(), "models").measured("half-plus", "v2", 100, 106)
    assert (measured.requests, measured.errors, measured.buckets) == (0, 0, {})


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
