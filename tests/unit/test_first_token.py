"""The wait for the first token, run by bash against a metadata server."""

import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from infra.first_token import TOKEN_PATH, first_token_script

TOKEN = '{"access_token": "ya29.a-secret", "expires_in": 3599, "token_type": "Bearer"}'
REFUSED = "Unable to generate access token; IAM returned 403 Forbidden\nThis could be a missing IAM policy binding."


class Server(ThreadingHTTPServer):
    """Refuses as often as the test says, and keeps what it was asked."""

    def __init__(self, refusals: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.refusals = refusals
        self.asked: list[tuple[str, str | None, str | None]] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Metadata-Flavor"], self.headers["X-Forwarded-For"]))
        refuses = len(self.server.asked) <= self.server.refusals
        self.send_response(403 if refuses else 200)
        self.end_headers()
        self.wfile.write((REFUSED if refuses else TOKEN).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(getattr(request, "param", 0)) as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


def start(port: int) -> subprocess.Popen[str]:
    script = first_token_script("/bin/echo", "127.0.0.1", port)
    command = ["/bin/bash", "-c", script, "bash", "served with", "--flag=a b"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("server", [2], indirect=True)
def test_a_grant_that_holds_late_delays_the_server_and_no_more(server: Server) -> None:
    with start(server.server_port) as waiting:
        out, said = waiting.communicate(timeout=20)
    assert (waiting.returncode, out) == (0, "served with --flag=a b\n")
    assert server.asked == [(TOKEN_PATH, "Google", None)] * 3
    assert said.count("answered 403") == 1, "the log is not filled with one reason"


def test_a_token_is_told_to_nobody(server: Server) -> None:
    with start(server.server_port) as waiting:
        out, said = waiting.communicate(timeout=20)
    assert (out, said) == ("served with --flag=a b\n", "")


@pytest.mark.parametrize("server", [1000], indirect=True)
def test_a_wait_that_is_ended_leaves_the_reason_as_its_last_words(server: Server) -> None:
    with start(server.server_port) as waiting:
        while len(server.asked) < 2:
            time.sleep(0.05)
        waiting.kill()
        out, said = waiting.communicate(timeout=20)
    assert out == ""
    assert said == (
        "There is no token yet for the Google account of this pod's model: 127.0.0.1 answered 403: " + REFUSED + "\n"
    )


def test_a_metadata_server_that_is_not_there_yet_is_waited_for() -> None:
    with Server(0) as placeholder:
        port = placeholder.server_port
    with start(port) as waiting:
        assert waiting.stderr is not None
        assert "Connection refused" in waiting.stderr.readline()
        assert waiting.poll() is None
        waiting.kill()
