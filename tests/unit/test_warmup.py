"""The warm-up script, run by bash against a server."""

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.config_models import Warmup
from infra.warmup import SCRIPT_FILE, warmup_files

REQUEST = {"instances": [[1.5, "it's ü\n"]]}
VERSION = "/v1/models/inception/versions/3"


class Server(ThreadingHTTPServer):
    """Answers as the test says, and keeps what it was asked."""

    available = True
    refuses_from: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.asked.append(("GET", self.path, None))
        self.answer(200 if self.server.available else 404, b"{}\n\n\n" * 5000)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(("POST", self.path, json.loads(body)))
        posts = sum(method == "POST" for method, _, _ in self.server.asked)
        if self.server.refuses_from is not None and posts >= self.server.refuses_from:
            self.answer(400, b'{ "error": "input must be of rank 4" }')
        else:
            self.answer(200, b'{ "predictions": [1] }')

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as found:
        threading.Thread(target=found.serve_forever, args=(0.01,), daemon=True).start()
        yield found
        found.shutdown()


def warm(server: Server, folder: Path, count: int = 3) -> tuple[subprocess.CompletedProcess[str], str]:
    notice = folder / "termination-log"
    notice.touch()
    wanted = Warmup(request=REQUEST, count=count)
    files = warmup_files("inception", 3, wanted, str(folder), server.server_port, str(notice))
    for name, content in files.items():
        (folder / name).write_text(content)
    done = subprocess.run(
        ["bash", folder / SCRIPT_FILE], capture_output=True, text=True, check=False, timeout=20, env={"PATH": "/bin"}
    )
    return done, notice.read_text()


def test_a_pod_is_ready_after_its_requests_were_answered(server: Server, tmp_path: Path) -> None:
    done, notice = warm(server, tmp_path)
    assert (done.returncode, done.stderr, notice) == (0, "", "")
    assert server.asked == [("GET", f"{VERSION}/metadata", None), *[("POST", f"{VERSION}:predict", REQUEST)] * 3]


def test_a_model_that_loads_is_asked_nothing_yet(server: Server, tmp_path: Path) -> None:
    server.available = False
    done, notice = warm(server, tmp_path)
    assert done.returncode == 1
    assert notice == "", "the server's own last words would be hidden"
    assert [method for method, _, _ in server.asked] == ["GET"]


def test_a_server_that_does_not_listen_yet_is_waited_for(server: Server, tmp_path: Path) -> None:
    server.shutdown()
    server.server_close()
    done, notice = warm(server, tmp_path)
    assert (done.returncode, notice) == (1, "")
    assert "Connection refused" in done.stderr


def test_a_request_that_fails_is_the_reason_that_up_shows(server: Server, tmp_path: Path) -> None:
    server.refuses_from = 2
    done, notice = warm(server, tmp_path)
    assert done.returncode == 1
    assert notice == 'Warm-up request 2 of 3 was answered 400: { "error": "input must be of rank 4" }\n'
    assert done.stderr == notice
    assert len(server.asked) == 3


def test_a_reason_of_before_is_gone_once_all_is_well(server: Server, tmp_path: Path) -> None:
    (tmp_path / "termination-log").write_text("Warm-up request 1 of 3 was answered 503")
    assert warm(server, tmp_path)[1] == ""
