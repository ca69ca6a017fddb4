"""A small API server over TLS, which knows service accounts and their tokens, and whom it may believe."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "short-lived-token-81d3"
EXPIRES = "2026-01-31T04:00:00Z"


@dataclass
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def issue(name: str, issuer: Pair | None = None) -> Pair:
    """A certificate for 127.0.0.1, signed by the issuer, or a new authority."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = issuer or Pair(None, key)  # type: ignore[arg-type]  # only its key is used
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
    )
    return Pair(builder.sign(signer.key, hashes.SHA256()), key)


@dataclass
class ApiServer:
    """What the server has, and what it was asked."""

    authority: Pair
    address: str = ""
    admin: Pair = field(init=False)
    objects: set[str] = field(default_factory=set)
    requests: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    callers: set[str] = field(default_factory=set)
    refusal: tuple[int, str] | None = None
    """Answers every request."""
    raced: bool = False
    """Another client makes everything a moment before."""

    def __post_init__(self) -> None:
        self.admin = issue("admin", self.authority)

    def answer(self, path: str, body: dict[str, Any], caller: str) -> tuple[int, dict[str, Any]]:
        """What the server says to a POST."""
        self.requests.append((path, body))
        self.callers.add(caller)
        if self.refusal:
            return self.refusal[0], {"kind": "Status", "message": self.refusal[1]}
        if path.endswith("/token"):
            if path.removesuffix("/token") not in self.objects:
                return 404, {"kind": "Status", "message": "serviceaccounts not found"}
            return 201, {"status": {"token": TOKEN, "expirationTimestamp": EXPIRES}}
        made = f"{path}/{body['metadata']['name']}"
        there = made in self.objects
        self.objects.add(made)
        return (409, {"message": "already exists"}) if there or self.raced else (201, body)

    def kubeconfig(self, file: Path, authority: Pair | None = None, user: dict[str, Any] | None = None) -> Path:
        """Writes a kubeconfig for the server, by default the administrator's."""

        def encoded(content: bytes) -> str:
            return base64.b64encode(content).decode()

        admin = {
            "client-certificate-data": encoded(self.admin.pem),
            "client-key-data": encoded(self.admin.key_pem),
        }
        cluster = {
            "server": self.address,
            "certificate-authority-data": encoded((authority or self.authority).pem),
        }
        config = {
            "current-context": "sandbox",
            "clusters": [{"name": "sandbox", "cluster": cluster}],
            "users": [{"name": "admin", "user": admin if user is None else user}],
            "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "admin"}}],
        }
        file.write_text(json.dumps(config))
        return file


@contextmanager
def serving(folder: Path) -> Iterator[ApiServer]:
    """A server that believes certificates of its own authority, and the bearer of the token `t`."""
    api = ApiServer(issue("authority"))
    own = issue("server", api.authority)
    (folder / "server.pem").write_bytes(own.pem + own.key_pem)
    trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=api.authority.pem.decode())
    trust.verify_mode = ssl.CERT_OPTIONAL
    trust.load_cert_chain(folder / "server.pem")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            presented = self.connection.getpeercert()
            bearer = self.headers.get("Authorization") == "Bearer t"
            if not presented and not bearer:
                status, answer = 401, {"message": "Unauthorized"}
            else:
                caller = "bearer" if bearer else presented["subject"][0][0][1]
                status, answer = api.answer(self.path, body, caller)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a client that does not trust us

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = trust.wrap_socket(server.socket, server_side=True)
    api.address = f"https://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
