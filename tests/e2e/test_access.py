"""Who may call: real requests of listed callers, others, and callers without a sidecar, by REST and gRPC, with tokens.

One deployment serves all of these tests. Its models differ in what they say of their callers; the caller is the same.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.naming import METRICS_PATH
from rollout.proxies import execute
from tests.e2e.calls import PREDICT, RELOAD, STATUS, answered, call, channel, message
from tests.e2e.conftest import MODEL, NAMESPACE, Cluster, Stack, borrowed, models, wait_for
from tests.e2e.test_routing import pod
from tests.e2e.tokens import Issuer

pytestmark = pytest.mark.e2e

OUTSIDE = "models.test"
ISSUER = Issuer("https://issuer.test")
RULE = {"issuer": ISSUER.name, "audiences": ["mine"], "jwks": ISSUER.key_set()}
TOKENS = {
    "good": ISSUER.token("mine"),
    "expired": ISSUER.token("mine", seconds=-120),
    "early": ISSUER.token("mine", nbf=2**32),
    "for another": ISSUER.token("another"),
    "of another": Issuer("https://other.test").token("mine"),
    "forged": Issuer(ISSUER.name).token("mine"),
    "broken": "no.to.ken",
}


def served() -> dict[str, Any]:
    """Three models that differ in who may call them; the tests' caller is callers/default."""
    one = {**models(["v1"])[MODEL], "timeoutSeconds": 5}  # so that its pods are gone soon
    return {
        MODEL: {**models(["v1", "v2"])[MODEL], "strictCallers": False},
        "mine": {**one, "callers": ["callers/default"], "jwt": RULE},
        "theirs": {**one, "callers": ["callers/somebody-else", "elsewhere/default"]},
    }


@pytest.fixture(scope="module")
def guarded(deployed: Stack, cluster: Cluster) -> Iterator[Stack]:
    with borrowed(deployed, cluster) as stack:
        stack.set(models=served(), host=OUTSIDE, plainHttp=True, v2Weight=None)
        stack.set(**{f"{MODEL}:v2Weight": 0})
        stack.up()
        wait_for(lambda: rest(cluster, cluster.caller(), "mine") == 200, "the caller's proxy to know the models")
        yield stack


@pytest.fixture(scope="module")
def outsider(cluster: Cluster) -> Iterator[str]:
    """A pod without a sidecar."""
    with pod(cluster, "outsider", "callers", {"app": "outsider"}) as made:
        yield made.metadata.name


def ask(cluster: Cluster, caller: str, *words: str) -> dict[str, Any]:
    return dict(json.loads(execute(cluster.core, "callers", caller, "caller", ["/caller", *words])))


def bearer(token: str) -> list[str]:
    return ["--header", f"Authorization=Bearer {TOKENS[token]}"] if token else []


def rest(cluster: Cluster, caller: str, model: str, path: str = "~:predict", token: str = "") -> int | str:
    """Send a prediction, or ask for a path, ~ is the model; return the status, or what became of the connection."""
    body = ["--body", '{"instances": [1.0]}'] if ":" in path else []
    url = f"http://{model}.{NAMESPACE}.svc.cluster.local:8501{path.replace('~', f'/v1/models/{model}')}"
    answer = ask(cluster, caller, "get", url, *body, *bearer(token))
    return int(answer["status"]) or str(answer["outcome"])


def grpc(cluster: Cluster, caller: str, model: str, method: str = PREDICT, token: str = "") -> int | str:
    """Make a gRPC call; return gRPC's status, 0 when it was answered rightly, or what became of the connection."""
    url = f"http://{model}.{NAMESPACE}.svc.cluster.local:8500{method}"
    encoded = base64.b64encode(message(model, method)).decode()
    answer = ask(cluster, caller, "grpc", url, "--message", encoded, *bearer(token))
    if method == PREDICT and answer["code"] == 0:
        answered(base64.b64decode(answer["message"]), model)
    assert answer["status"] or answer["kind"] in {"reset", "closed"}, answer
    return int(answer["code"]) if answer["status"] else "cut off"


def gateway(cluster: Cluster) -> str:
    (found,) = cluster.core.list_namespaced_pod("istio-system", label_selector="istio=ingress").items
    return str(found.status.pod_ip)


def outside(cluster: Cluster, model: str, path: str = "~:predict", headers: dict[str, str] | None = None) -> int:
    """Do the same through the gateway."""
    connection = http.client.HTTPConnection(gateway(cluster), timeout=10)
    method, body = ("POST", '{"instances": [1.0]}') if ":" in path else ("GET", None)
    try:
        connection.request(method, path.replace("~", f"/v1/models/{model}"), body, {"Host": OUTSIDE, **(headers or {})})
        answer = connection.getresponse()
        assert answer.status != 200 or ":" not in path or json.loads(answer.read())["predictions"] == [2.5]
        return answer.status
    finally:
        connection.close()


def outside_by_grpc(cluster: Cluster, model: str, method: str, named: str | None, headers: dict[str, str]) -> int:
    """Do the same by gRPC; `named` is the model that the header names, None for no header."""
    with channel(gateway(cluster), OUTSIDE) as opened:
        code, answer = call(opened, model, method, named=named, metadata=headers)
    assert code != 0 or method != PREDICT or answered(answer, model) == "v1"
    return code


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    ("model", "path", "token", "status"),
    [
        ("mine", "~:predict", "", 200),
        ("mine", "~/metadata", "", 200),
        ("mine", "~", "", 200),
        ("mine", "~/versions/1:predict", "", 200),
        ("mine", "~:predict", "good", 200),
        ("mine", "~:predict", "expired", 401),
        ("mine", "~:reload", "", 403),
        ("mine", "~/labels/stable:predict", "", 403),
        ("mine", "~/versions/1:reload", "", 400),  # the server's own answer, as to any verb behind a version
        ("mine", "~/versions/1/metadata", "", 200),
        ("mine", "~/versions/1/x", "", 403),
        ("mine", "~/versions/1/metadata/x", "", 403),
        ("mine", "~/metadata/x", "", 403),
        ("mine", METRICS_PATH, "", 403),
        ("mine", f"~/../../..{METRICS_PATH}", "", 403),
        ("mine", f"/{METRICS_PATH}", "", 403),
        ("mine", "/v1/models/theirs/metadata", "", 403),
        ("theirs", "~:predict", "", 403),
        ("theirs", "~/metadata", "", 403),
        (MODEL, "~:predict", "", 200),
        (MODEL, METRICS_PATH, "", 403),
    ],
)
def test_a_pod_in_the_mesh_by_rest(cluster: Cluster, model: str, path: str, token: str, status: int) -> None:
    assert rest(cluster, cluster.caller(), model, path, token) == status


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    ("model", "method", "token", "code"),
    [
        ("mine", PREDICT, "", 0),
        ("mine", STATUS, "", 0),
        ("mine", PREDICT, "good", 0),
        ("mine", PREDICT, "expired", 16),  # UNAUTHENTICATED
        ("mine", RELOAD, "", 7),  # PERMISSION_DENIED
        ("mine", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "", 7),
        ("theirs", PREDICT, "", 7),
        ("theirs", STATUS, "", 7),
        (MODEL, PREDICT, "", 0),
        (MODEL, RELOAD, "", 7),
    ],
)
def test_a_pod_in_the_mesh_by_grpc(cluster: Cluster, model: str, method: str, token: str, code: int) -> None:
    assert grpc(cluster, cluster.caller(), model, method, token) == code


@pytest.mark.usefixtures("guarded")
def test_a_pod_without_a_sidecar(cluster: Cluster, outsider: str) -> None:
    for model in ("mine", "theirs"):
        assert rest(cluster, outsider, model) == rest(cluster, outsider, model, token="good") == "blocked"
        assert grpc(cluster, outsider, model) == "cut off"
    assert (rest(cluster, outsider, MODEL), grpc(cluster, outsider, MODEL)) == (200, 0)
    assert (rest(cluster, outsider, MODEL, METRICS_PATH), grpc(cluster, outsider, MODEL, RELOAD)) == (403, 7)


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    ("model", "path", "token", "status"),
    [
        ("mine", "~:predict", "", 403),
        ("mine", "~/metadata", "", 403),
        ("mine", "~:predict", "good", 200),
        ("mine", "~/metadata", "good", 200),
        ("mine", "~/metadata/x", "good", 403),
        *(("mine", "~:predict", token, 401) for token in ("expired", "early", "of another", "forged", "broken")),
        ("mine", "~:predict", "for another", 403),
        ("theirs", "~:predict", "", 200),  # which asks for no token
        ("theirs", "~/labels/stable:predict", "", 403),
    ],
)
def test_from_outside_by_rest(cluster: Cluster, model: str, path: str, token: str, status: int) -> None:
    assert outside(cluster, model, path, {"Authorization": f"Bearer {TOKENS[token]}"} if token else {}) == status


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    ("model", "method", "token", "named", "code"),
    [
        ("mine", PREDICT, "", "mine", 7),  # PERMISSION_DENIED
        ("mine", STATUS, "", "mine", 7),
        ("mine", PREDICT, "good", "mine", 0),
        ("mine", STATUS, "good", "mine", 0),
        ("mine", RELOAD, "good", "mine", 7),
        *(
            ("mine", PREDICT, token, "mine", 16)  # UNAUTHENTICATED
            for token in ("expired", "early", "of another", "forged", "broken")
        ),
        ("mine", PREDICT, "for another", "mine", 7),
        ("theirs", PREDICT, "", "theirs", 0),  # which asks for no token
        ("theirs", RELOAD, "", "theirs", 7),
        # Nobody is asked: UNIMPLEMENTED.
        ("mine", PREDICT, "good", None, 12),
        ("mine", PREDICT, "good", "nobody", 12),
        ("mine", PREDICT, "good", "Mine", 12),
        ("mine", "/grpc.health.v1.Health/Check", "good", "mine", 12),
        # The model that the header names is asked for another, by its own rules: NOT_FOUND.
        ("mine", PREDICT, "", "theirs", 5),
        ("theirs", PREDICT, "good", "mine", 5),
        ("theirs", PREDICT, "", "mine", 7),
    ],
)
def test_from_outside_by_grpc(
    cluster: Cluster, model: str, method: str, token: str, named: str | None, code: int
) -> None:
    headers = {"authorization": f"Bearer {TOKENS[token]}"} if token else {}
    assert outside_by_grpc(cluster, model, method, named, headers) == code


@pytest.mark.usefixtures("guarded")
def test_from_outside_neither_a_query_nor_a_header_is_an_identity(cluster: Cluster) -> None:
    assert outside(cluster, "mine", f"~:predict?access_token={TOKENS['good']}") == 403
    claimed = "By=spiffe://x;URI=spiffe://cluster.local/ns/callers/sa/default"
    assert outside(cluster, "mine", headers={"X-Forwarded-Client-Cert": claimed}) == 403
    assert outside_by_grpc(cluster, "mine", PREDICT, "mine", {"x-forwarded-client-cert": claimed}) == 7


def test_a_change_of_the_rules_refuses_nobody_who_may_call_before_and_after(guarded: Stack, cluster: Cluster) -> None:
    url = f"http://mine.{NAMESPACE}.svc.cluster.local:8501/v1/models/mine:predict"
    steps: list[dict[str, Any]] = [
        {"callers": "any", "jwt": None, "strictCallers": False},
        {"callers": ["elsewhere/default", "callers/default"], "jwt": None},
        {},  # as it was
    ]
    for step in steps:
        changed = served()
        changed["mine"].update(step)
        guarded.set(models=changed)
        with ThreadPoolExecutor() as pool:
            requests = pool.submit(cluster.send, 800, "--rate", "100", url=url)
            guarded.up()
            assert requests.result()["status"] == {"200": 800}, requests.result()
