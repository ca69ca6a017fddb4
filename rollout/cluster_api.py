"""The few things that a rollout asks of a cluster's API: read, apply, and a connection into a pod.

Each thread may use it; every request has a connection of its own. Credentials are renewed when they end: a rollout may
well take longer than a token lives.
"""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

from rollout.errors import RolloutError
from rollout.kubeconfig import Access, access

if TYPE_CHECKING:
    import websocket

SECONDS: Final = 20
_PAGE: Final = 500
_FORWARDING: Final = "v4.channel.k8s.io"
_AHEAD: Final = 60  # seconds before the credentials end
_PAUSE: Final = 10  # seconds until a credential helper that had nothing newer is asked again
_T = TypeVar("_T")


class ApiError(RolloutError):
    """The API server refused a request.

    Attributes:
        status: HTTP's.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ClusterApi:
    """One cluster's API."""

    def __init__(self, known: Access) -> None:
        """Take how the cluster is reached."""
        self._lock = Lock()
        self._take(known)

    @classmethod
    def of(cls, kubeconfig: str | None, context: str | None) -> ClusterApi:
        """Reach the cluster that a kubeconfig and a context name; see `rollout.kubeconfig.access`."""
        return cls(access(kubeconfig, context))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """Read an object, or whatever JSON is at a path."""
        return self._json("GET", path, query)

    def items(self, path: str, **query: str) -> list[dict[str, Any]]:
        """Read a whole list, page by page."""
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self.get(path, limit=str(_PAGE), **query, **({"continue": token} if token else {}))
            found += page["items"]
            token = page["metadata"].get("continue") or ""
            if not token:
                return found

    def apply(self, path: str, manager: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """Apply an object on the server under a field manager's name, and take from others the fields it has."""
        query = {"fieldManager": manager, "force": "true"}
        return self._json("PATCH", path, query, json.dumps(manifest), "application/apply-patch+yaml")

    def forward(self, namespace: str, pod: str, port: int) -> Forwarded:
        """Connect to a port of a pod as seen from inside it.

        Raises:
            RolloutError: the pod is gone, or nothing listens there.
        """
        return self._asked(lambda known: self._forward(known, namespace, pod, port))

    def _take(self, known: Access) -> None:
        self._access = known
        # A helper may hand out a token that it has kept, with less than that left.
        self._due = math.inf if known.ends is None else max(known.ends - _AHEAD, time.time() + _PAUSE)

    def _asked(self, ask: Callable[[Access], _T]) -> _T:
        """Ask with the credentials there are, and once more with new ones if the cluster does not take these."""
        with self._lock:
            if time.time() >= self._due:
                self._due = time.time() + _PAUSE
                with suppress(RolloutError):  # the old ones are good until the cluster says otherwise
                    self._take(self._access.renewed())
            known = self._access
        try:
            return ask(known)
        except ApiError as error:
            if error.status != http.client.UNAUTHORIZED:
                raise
        with self._lock:
            if self._access is known:  # else another thread has renewed them meanwhile
                self._take(known.renewed())
            known = self._access
        return ask(known)

    @staticmethod
    def _forward(known: Access, namespace: str, pod: str, port: int) -> Forwarded:
        import websocket

        server = urlsplit(known.server)
        scheme = "wss" if server.scheme == "https" else "ws"
        path = f"{server.path}/api/v1/namespaces/{namespace}/pods/{pod}/portforward?ports={port}"
        wanted = f"port {port} of {namespace}/{pod}"
        try:
            connection = websocket.create_connection(
                f"{scheme}://{server.netloc}{path}",
                timeout=SECONDS,
                header=[f"{name}: {value}" for name, value in known.headers.items()],
                sslopt={"context": known.trust},
                subprotocols=[_FORWARDING],
                http_no_proxy=[server.hostname],
                enable_multithread=False,
                skip_utf8_validation=True,
            )
        except websocket.WebSocketBadStatusException as error:
            raise ApiError(error.status_code, f"cannot connect to {wanted}: {error}") from error
        except (OSError, websocket.WebSocketException) as error:
            raise RolloutError(f"cannot connect to {wanted}: {error}") from error
        return Forwarded(connection, wanted)

    def _json(
        self, method: str, path: str, query: Mapping[str, str], body: str | None = None, kind: str = "application/json"
    ) -> dict[str, Any]:
        return self._asked(lambda known: self._once(known, method, path, query, body, kind))

    @staticmethod
    def _once(
        known: Access, method: str, path: str, query: Mapping[str, str], body: str | None, kind: str
    ) -> dict[str, Any]:
        server = urlsplit(known.server)
        make = http.client.HTTPSConnection if server.scheme == "https" else http.client.HTTPConnection
        trust: dict[str, Any] = {"context": known.trust} if server.scheme == "https" else {}
        connection = make(server.netloc, timeout=SECONDS, **trust)
        target = server.path + path + (f"?{urlencode(query)}" if query else "")
        headers = {**known.headers, "Accept": "application/json", "Content-Type": kind}
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise RolloutError(f"the cluster at {known.server} cannot be asked: {error}") from error
        finally:
            connection.close()
        if answer.status >= http.client.BAD_REQUEST:
            raise ApiError(answer.status, f"{method} {path} was answered {answer.status}: {_reason(text)}")
        try:
            return dict(json.loads(text))
        except ValueError as error:
            raise RolloutError(f"{method} {path} was answered without JSON: {text[:200]!r}") from error


def _reason(text: str) -> str:
    try:
        return str(json.loads(text).get("message") or text[:200])
    except (ValueError, AttributeError):
        return text[:200].strip()


class Forwarded:
    """A connection to a port of a pod, which speaks HTTP/1.1 and is kept between requests."""

    def __init__(self, connection: websocket.WebSocket, name: str) -> None:
        self._connection = connection
        self._name = name
        self._received = b""
        self._headers_left = {0, 1}  # the first frame of each of the two channels repeats the port

    def get(self, path: str) -> bytes:
        """Ask for a path and return the answer's body.

        Raises:
            RolloutError: the connection broke, or the answer was not 200.
        """
        import websocket

        try:
            self._connection.send_binary(b"\0" + f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = self._chunks() if fields.get("transfer-encoding") == "chunked" else self._exactly(fields)
        except (OSError, ValueError, websocket.WebSocketException) as error:
            raise RolloutError(f"{self._name} does not answer: {error}") from error
        if head[0].split(" ")[1:2] != ["200"]:
            raise RolloutError(f"{self._name} answered {path} with {head[0]}")
        return body

    def close(self) -> None:
        """End the connection, without waiting for the other side."""
        self._connection.shutdown()  # type: ignore[no-untyped-call]

    def _exactly(self, fields: Mapping[str, str]) -> bytes:
        return self._take(int(fields.get("content-length", "0")))

    def _chunks(self) -> bytes:
        parts = []
        while size := int(self._until(b"\r\n").split(b";")[0], 16):
            parts.append(self._take(size))
            self._until(b"\r\n")
        self._until(b"\r\n")
        return b"".join(parts)

    def _until(self, end: bytes) -> bytes:
        while end not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(end)
        return found

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._receive()
        found, self._received = self._received[:size], self._received[size:]
        return found

    def _receive(self) -> None:
        frame = self._connection.recv()
        data = frame if isinstance(frame, bytes) else frame.encode()
        if not data:
            raise ValueError("the connection was closed")
        channel, content = data[0], data[1:]
        if channel in self._headers_left:
            self._headers_left.discard(channel)
            content = content[2:]
        if channel == 1 and content:
            raise ValueError(content.decode(errors="replace").strip())
        if channel == 0:
            self._received += content
