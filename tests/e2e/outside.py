"""A caller outside the cluster: this machine, which reaches the gateway's pod and knows no more than host and root."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from tests.e2e.conftest import Cluster, Stack


@dataclass(frozen=True)
class Answer:
    """What came back; the names of headers are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Outside:
    """A caller that asks for one host.

    Attributes:
        address: of the gateway's pod.
        root: PEM, what it trusts.
    """

    address: str
    host: str
    root: str

    @classmethod
    def of(cls, stack: Stack, cluster: Cluster, host: str) -> Outside:
        """Find the gateway, and the root that the stack tells callers to trust."""
        (pod,) = cluster.core.list_namespaced_pod("istio-system", label_selector="istio=ingress").items
        return cls(str(pod.status.pod_ip), host, stack.outputs()["rootCertificate"])

    def connect(self, name: str | None = None, protocols: Iterable[str] = ("http/1.1",)) -> ssl.SSLSocket:
        """Make a TLS connection and check the certificate.

        Args:
            name: what to ask for in the handshake, if not the host; "" is nothing.
            protocols: by the names of ALPN.

        Raises:
            OSError: there is no such server, or it is not who it should be.
        """
        context = ssl.create_default_context(cadata=self.root)
        context.set_alpn_protocols(list(protocols))
        if name == "":
            context.check_hostname = False
        plain = socket.create_connection((self.address, 443), timeout=20)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as http.client does: headers and body go apart
        try:
            return context.wrap_socket(plain, server_hostname=(self.host if name is None else name) or None)
        except BaseException:
            plain.close()
            raise

    def open(self) -> http.client.HTTPConnection:
        """Make a connection that is kept between requests."""
        connection = http.client.HTTPConnection(self.address, 443, timeout=20)
        connection.sock = self.connect()
        return connection

    def ask(
        self,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        *,
        host: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request by https; a body that is no bytes goes in chunks, without its length."""
        return asked(self.open(), path, body, {"Host": host or self.host, **(headers or {})})

    def ask_plainly(self, path: str, *, host: str | None = None) -> Answer:
        """Send one request to port 80."""
        connection = http.client.HTTPConnection(self.address, 80, timeout=20)
        return asked(connection, path, None, {"Host": host or self.host})


def asked(
    connection: http.client.HTTPConnection, path: str, body: bytes | Iterable[bytes] | None, headers: Mapping[str, str]
) -> Answer:
    """Send one request, read the answer, and close the connection."""
    try:
        in_chunks = body is not None and not isinstance(body, bytes)
        # Who is refused may not be heard to the end, and is answered all the same.
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            connection.request("GET" if body is None else "POST", path, body, dict(headers), encode_chunked=in_chunks)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
    finally:
        connection.close()
