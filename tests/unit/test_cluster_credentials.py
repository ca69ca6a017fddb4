"""A rollout that takes longer than a token lives goes on with the next one."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from rollout.cluster_api import ApiError, ClusterApi
from rollout.errors import RolloutError
from tests.unit.local_server import served

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455


class Cluster:
    """An API server that takes some tokens, and a credential helper with a new one each time it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.takes: set[str] = set()
        self.seen: list[str] = []
        self.address = ""

    def api(self, ends: float | None = None, script: str = "") -> ClusterApi:
        """Reach it by a helper whose tokens are token-1, token-2, ..., each over at the given moment."""
        at = "" if ends is None else datetime.fromtimestamp(ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = json.dumps({"status": {"token": "token-NUMBER", "expirationTimestamp": at or None}})
        helper = self.folder / "helper"
        helper.write_text(
            f"#!/bin/sh\ncd {self.folder}; echo x >>asked; number=$(wc -l <asked)\n{script}\n"
            f"echo '{status}' | sed \"s/NUMBER/$number/\"\n"
        )
        helper.chmod(0o755)
        user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": str(helper)}}
        config = {
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "here"}}],
            "clusters": [{"name": "here", "cluster": {"server": self.address}}],
            "users": [{"name": "here", "user": user}],
        }
        (self.folder / "config").write_text(yaml.safe_dump(config))
        return ClusterApi.of(str(self.folder / "config"), None)

    @property
    def asked(self) -> int:
        """How often the helper was."""
        return len((self.folder / "asked").read_text().splitlines())


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    state = Cluster(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            token = self.headers["Authorization"].removeprefix("Bearer ")
            state.seen.append(token)
            if token not in state.takes:
                self._answer(401, {"message": "Unauthorized"})
            elif self.headers.get("Upgrade") == "websocket":
                self.send_response(101)
                key = self.headers["Sec-WebSocket-Key"].encode()
                accept = base64.b64encode(hashlib.sha1(key + GUID).digest()).decode()  # noqa: S324 - RFC 6455's
                for name, value in {
                    "Upgrade": "websocket",
                    "Connection": "Upgrade",
                    "Sec-WebSocket-Accept": accept,
                    "Sec-WebSocket-Protocol": "v4.channel.k8s.io",
                }.items():
                    self.send_header(name, value)
                self.end_headers()
            else:
                self._answer(200, {"kind": "Thing"})

        def _answer(self, code: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as state.address:
        yield state


def read(api: ClusterApi) -> None:
    assert api.get("/things") == {"kind": "Thing"}


def forward(api: ClusterApi) -> None:
    api.forward("models", "a", 15000).close()


@pytest.mark.parametrize("ask", [read, forward])
def test_a_token_that_is_over_is_replaced_and_asked_with_again(
    cluster: Cluster, ask: Callable[[ClusterApi], None]
) -> None:
    api = cluster.api()
    cluster.takes = {"token-2"}
    ask(api)
    ask(api)
    assert cluster.seen == ["token-1", "token-2", "token-2"]


@pytest.mark.parametrize("ask", [read, forward])
def test_a_user_whom_the_cluster_does_not_know_is_told_so_after_one_more_try(
    cluster: Cluster, ask: Callable[[ClusterApi], None]
) -> None:
    api = cluster.api()
    with pytest.raises(ApiError, match="401") as refused:
        ask(api)
    assert (refused.value.status, cluster.seen) == (401, ["token-1", "token-2"])
    assert "token-" not in str(refused.value)


def test_many_who_are_refused_at_once_renew_the_token_once(cluster: Cluster) -> None:
    api = cluster.api()
    cluster.takes = {"token-2"}
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(lambda _: read(api), range(5)))
    assert cluster.asked == 2


def test_a_helper_that_fails_meanwhile_says_why(cluster: Cluster) -> None:
    api = cluster.api(script="[ $number = 1 ] || { echo 'log in again' >&2; exit 1; }")
    with pytest.raises(RolloutError, match="failed: log in again"):
        read(api)


def test_a_token_is_renewed_before_it_ends(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.time()
    api = cluster.api(ends=started + 3600)
    cluster.takes = {"token-1", "token-2"}
    for seconds in (0, 3530, 3550):
        monkeypatch.setattr(time, "time", lambda now=started + seconds: now)
        read(api)
    assert cluster.seen == ["token-1", "token-1", "token-2"]


def test_a_helper_with_nothing_newer_is_not_run_for_every_request(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = time.time()
    api = cluster.api(ends=started - 5)  # by the clock of who made it
    cluster.takes = {"token-1", "token-2"}
    for seconds in (1, 2, 12, 13):
        monkeypatch.setattr(time, "time", lambda now=started + seconds: now)
        read(api)
    assert cluster.seen == ["token-1", "token-1", "token-2", "token-2"]


def test_a_token_is_used_to_its_end_while_there_is_no_other(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.time()
    api = cluster.api(ends=started + 3600, script="[ $number = 1 ] || exit 1")
    cluster.takes = {"token-1"}
    monkeypatch.setattr(time, "time", lambda: started + 3550)
    read(api)
    read(api)
    assert cluster.asked == 2
