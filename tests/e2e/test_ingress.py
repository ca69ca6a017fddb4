"""The door for callers from outside, by https with a certificate of the mesh's CA."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from cryptography import x509

from tests.e2e.calls import answered, call, channel
from tests.e2e.conftest import ANSWERS, MODEL, Cluster, Stack, borrowed, bounds, settle, wait_for
from tests.e2e.outside import Outside

pytestmark = pytest.mark.e2e
HOST = "models.test"
PATH = f"/v1/models/{MODEL}"
PREDICT = f"{PATH}:predict"
QUESTION = b'{"instances": [1.0]}'
REQUESTS = 1_000
MOST = 16 * 2**20
UNKNOWN, RESOURCE_EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE = 2, 8, 12, 14  # gRPC's


@pytest.fixture(scope="module")
def door(deployed: Stack, cluster: Cluster) -> Iterator[Outside]:
    with borrowed(deployed, cluster) as stack:
        stack.set(host=HOST, tls={"kind": "ca"}, v2Weight=25)
        stack.up()
        settle(cluster, {"v1": 75, "v2": 25})
        outside = Outside.of(stack, cluster, HOST)
        wait_for(lambda: answers(outside), "the gateway to answer by https")
        yield outside


def answers(outside: Outside) -> bool:
    try:
        return outside.ask(PATH).status == 200
    except OSError:
        return False


def test_who_trusts_the_stacks_root_is_answered_by_each_version_as_in_the_mesh(door: Outside) -> None:
    versions = {answer: version for version, answer in ANSWERS.items()}
    counts: Counter[str] = Counter()
    connection = door.open()
    for _ in range(REQUESTS):
        connection.request("POST", PREDICT, QUESTION, {"Host": HOST})
        counts[versions[json.load(connection.getresponse())["predictions"][0]]] += 1
    connection.close()
    low, high = bounds(25, REQUESTS)
    assert low <= counts["v2"] <= high
    assert counts["v1"] + counts["v2"] == REQUESTS


def test_http_2_is_spoken_to_who_asks_for_it(door: Outside) -> None:
    with door.connect(protocols=["h2", "http/1.1"]) as connection:
        assert connection.selected_alpn_protocol() == "h2"
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        assert connection.recv(9)[3] == 4, "the first frame is the server's settings"


def test_grpc_is_answered_by_each_version_to_who_trusts_the_stacks_root(door: Outside, cluster: Cluster) -> None:
    counts: Counter[str] = Counter()
    with channel(door.address, HOST, door.root) as opened:
        for _ in range(REQUESTS):
            code, answer = call(opened, MODEL)
            assert code == 0
            counts[answered(answer, MODEL)] += 1
        assert call(opened, MODEL, named=None)[0] == UNIMPLEMENTED
        assert call(opened, MODEL, content=bytes(MOST))[0] == RESOURCE_EXHAUSTED, "5 bytes stand before a message"
    low, high = bounds(25, REQUESTS)
    assert low <= counts["v2"] <= high
    other = cluster.core.read_namespaced_config_map("kube-root-ca.crt", "default").data["ca.crt"]
    with channel(door.address, HOST, other) as opened:
        assert call(opened, MODEL)[0] == UNAVAILABLE


def test_in_the_clear_callers_are_sent_to_https(door: Outside) -> None:
    answer = door.ask_plainly(PATH)
    assert (answer.status, answer.headers["location"]) == (301, f"https://{HOST}{PATH}")
    assert "strict-transport-security" not in answer.headers
    assert door.ask_plainly(PATH, host="other.test").status == 404
    with channel(door.address, HOST) as opened:
        assert call(opened, MODEL)[0] == UNKNOWN


def test_nothing_else_is_answered(door: Outside) -> None:
    for path in ("/", "/v1/models/other", "/v1/models", "/grafana/", "/stats", "/healthz/ready"):
        assert door.ask(path).status == 404, path
    assert door.ask(PATH, host="other.test").status == 404
    for name in ("other.test", ""):
        with pytest.raises((ssl.SSLError, ConnectionError)) as refused:
            door.connect(name)
        assert not isinstance(refused.value, ssl.SSLCertVerificationError), "it is not even told the certificate"


def test_answers_show_nothing_of_the_proxies(door: Outside) -> None:
    for answer in (door.ask(PREDICT, QUESTION), door.ask("/")):
        assert not [name for name in answer.headers if name == "server" or name.startswith(("x-envoy", "x-istio"))]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


def test_a_request_is_as_long_as_it_may_be(door: Outside) -> None:
    assert door.ask(PREDICT, QUESTION.ljust(MOST)).status == 200
    for body in (QUESTION.ljust(MOST + 1), iter([QUESTION.ljust(MOST), b" "])):
        assert door.ask(PREDICT, body).status == 413


def test_a_renewed_certificate_ends_no_connection(deployed: Stack, door: Outside) -> None:
    def served() -> x509.Certificate:
        with door.connect() as connection:
            return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")

    before, ended = served(), threading.Event()
    lost: list[str] = []

    def call() -> None:
        kept = door.open()
        try:
            while not ended.wait(0.01):
                kept.request("POST", PREDICT, QUESTION, {"Host": HOST})
                answer = kept.getresponse()
                answer.read()
                if answer.status != 200 or answer.will_close:
                    lost.append(f"{answer.status}, and the connection ends: {answer.will_close}")
                if not answers(door):
                    lost.append("a new connection")
        except (OSError, http.client.HTTPException) as error:
            lost.append(repr(error))
        finally:
            kept.close()

    caller = threading.Thread(target=call)
    caller.start()
    try:
        deployed.set(caGeneration=2)
        deployed.up()
        wait_for(lambda: served() != before, "the new certificate")
    finally:
        ended.set()
        caller.join()
        deployed.set(caGeneration=None)
    assert lost == []
