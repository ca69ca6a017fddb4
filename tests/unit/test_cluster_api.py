"""The connection into a pod carries HTTP whatever the frames it comes in."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.cluster_api import Forwarded
from rollout.errors import RolloutError

PORTS = [b"\0\x98\x3a", b"\1\x98\x3a"]  # both channels begin with the port, low byte first
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 7\r\nserver: envoy\r\n\r\n{"a":1}'
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n":1}\r\n0\r\n\r\n'


class Connection:
    """A WebSocket that has these frames to give."""

    def __init__(self, *frames: bytes) -> None:
        self.frames = list(frames)
        self.sent: list[bytes] = []

    def send_binary(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self) -> bytes:
        return self.frames.pop(0) if self.frames else b""


def forwarded(*frames: bytes) -> tuple[Forwarded, Connection]:
    connection: Any = Connection(*frames)
    return Forwarded(connection, "port 15000 of a/b"), connection


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED])
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_an_answer_is_put_together_from_its_frames(answer: bytes, size: int) -> None:
    twice = answer + answer
    frames = [b"\0" + twice[at : at + size] for at in range(0, len(twice), size)]
    connected, connection = forwarded(*PORTS, *frames)
    assert connected.get("/x") == b'{"a":1}'
    assert connected.get("/y") == b'{"a":1}'
    assert connection.sent[0] == b"\0GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_the_channels_may_begin_in_any_order() -> None:
    assert forwarded(PORTS[1], PORTS[0], b"\0" + ANSWER)[0].get("/") == b'{"a":1}'


def test_what_the_other_end_complains_of_is_told() -> None:
    with pytest.raises(RolloutError, match="port 15000 of a/b does not answer: connection refused"):
        forwarded(*PORTS, b"\1connection refused\n")[0].get("/")


@pytest.mark.parametrize("frames", [(), tuple(PORTS), (*PORTS, b"\0" + ANSWER[:-1])])
def test_a_connection_that_ends_early_is_an_error(frames: tuple[bytes, ...]) -> None:
    with pytest.raises(RolloutError, match="does not answer: the connection was closed"):
        forwarded(*frames)[0].get("/")


def test_an_answer_that_is_no_200_is_an_error() -> None:
    with pytest.raises(RolloutError, match=r"answered / with HTTP/1\.1 404 Not Found"):
        forwarded(*PORTS, b"\0HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")[0].get("/")
