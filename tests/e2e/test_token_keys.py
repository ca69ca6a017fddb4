"""An issuer's public keys that istiod fetches: what tokens get while it can, and while it cannot."""

from __future__ import annotations

import copy
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sandbox import authority
from sandbox.node_config import HOST_ADDRESS
from tests.e2e.conftest import MODEL, Cluster, Stack, models, own_node, wait_for
from tests.e2e.google import names
from tests.e2e.pods import restart
from tests.e2e.test_access import OUTSIDE, outside
from tests.e2e.tokens import Issuer

pytestmark = pytest.mark.e2e

HOST, PORT, PATH = "issuer.test", 8443, "/keys.json"
ISSUER = Issuer(f"https://{HOST}")


@contextmanager
def issuer(pem: Path) -> Iterator[None]:
    """Serve the issuer's keys on the host's end of the link, outside the cluster."""

    class Keys(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = ISSUER.key_set().encode() if self.path == PATH else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with ThreadingHTTPServer((HOST_ADDRESS, PORT), Keys) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def trusting(stack: Stack) -> Iterator[Stack]:
    """The stack, with an istiod that trusts the issuer's certificate."""
    before = stack.get("istio")
    istio = copy.deepcopy(before)
    istio["values"]["istiod"]["jwksResolverExtraRootCA"] = authority.certificate().read_text()
    # By itself: what the API server asks of an istiod that is just being replaced may reach nobody.
    stack.set(istio=istio)
    stack.up()
    yield stack
    stack.set(istio=before)
    stack.up()


def status(cluster: Cluster, token: str) -> int:
    try:
        return outside(cluster, MODEL, headers={"Authorization": f"Bearer {token}"})
    except OSError:  # the gateway does not listen yet
        return 0


def test_keys_are_fetched_and_without_them_every_token_is_refused(
    trusting: Stack, cluster: Cluster, tmp_path: Path
) -> None:
    own_node("an issuer is played")
    pem = tmp_path / "server.pem"
    authority.issue([HOST], pem)
    served = models(["v1", "v2"])
    served[MODEL]["jwt"] = {"issuer": ISSUER.name, "audiences": ["mine"], "jwksUri": f"{ISSUER.name}:{PORT}{PATH}"}
    good, forged = ISSUER.token("mine"), Issuer(ISSUER.name).token("mine")
    with names(cluster, {HOST_ADDRESS: (HOST,)}):
        with issuer(pem):
            trusting.set(models=served, host=OUTSIDE, plainHttp=True, v2Weight=None)
            trusting.up()
            wait_for(lambda: status(cluster, good) == 200, "a good token to be taken")
            assert status(cluster, forged) == 401
            assert outside(cluster, MODEL) == 403
        # The keys that it has serve on, whatever becomes of the issuer; an istiod that starts now gets none.
        assert status(cluster, good) == 200
        restart(cluster, "istio-system", "istiod")
        wait_for(lambda: status(cluster, good) == 401, "the proxies to hear of it")
        with issuer(pem):
            restart(cluster, "istio-system", "istiod")
            wait_for(lambda: status(cluster, good) == 200, "a good token to be taken again")
            assert status(cluster, forged) == 401
