"""How callers from outside come in: what is read of host, certificate and size, and what is said of what cannot be."""

import json
import shlex
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from infra.certificates import KeyPair, make_intermediate, make_root, make_server
from infra.summary import model_summary

Make = Callable[..., Any]
HOST = "models.example.com"
NAME = {"kind": "secret", "secret": "models-tls"}


@pytest.fixture(scope="module")
def authority() -> KeyPair:
    return make_intermediate(make_root())


@pytest.fixture(scope="module")
def pair(authority: KeyPair) -> KeyPair:
    return make_server(authority, HOST)


@pytest.fixture
def outside(stack: Make, inception: dict[str, Any]) -> Make:
    """A stack with a host; a given key is a secret unless said otherwise."""

    def make(*, secret: bool = True, **more: Any) -> Any:
        has_key = secret and "key" in more.get("tls", {})
        return stack({"host": HOST, **more}, models=inception, secrets=("tls",) if has_key else ())

    return make


def given(pair: KeyPair, **more: Any) -> dict[str, Any]:
    return {"kind": "given", "certificate": pair.certificate_pem, "key": pair.key_pem, **more}


def test_a_host_is_let_in_with_a_certificate_or_in_the_clear_by_somebodys_word(outside: Make) -> None:
    for more in ({"plainHttp": "true"}, {"tls": NAME}, {"tls": {"kind": "ca"}}):
        found = outside(**more).parse()
        assert found.host == HOST
        assert found.origin == f"{'http' if 'plainHttp' in more else 'https'}://{HOST}"
    for missing in ({}, {"plainHttp": "false"}, {"tls": {"kind": "none"}}):
        broken = outside(**missing)
        assert broken.only().fix == "pulumi config set --path tls.kind ca"
        assert "encrypted, unless plainHttp" in broken.only().message
        broken.mend()
    broken = outside(plainHttp="true", tls=NAME)
    assert (broken.only().key, broken.only().fix) == ("plainHttp", "pulumi config rm plainHttp")
    broken.mend()


def test_without_a_host_nobody_is_let_in_and_nothing_says_how(stack: Make, inception: Any) -> None:
    found = stack(models=inception).parse()
    assert (found.host, found.origin, found.ingress) == (None, None, None)
    for more, fix in (({"plainHttp": "true"}, "rm plainHttp"), ({"tls": {"kind": "ca"}}, "rm tls")):
        broken = stack(more, models=inception)
        assert broken.only().fix == f"pulumi config {fix}"
        broken.mend()


def test_a_host_needs_a_gateway(outside: Make) -> None:
    broken = outside(plainHttp="true", istio={"gateway": False})
    assert (broken.only().key, broken.only().fix) == ("istio.gateway", "pulumi config rm --path istio.gateway")
    broken.mend()


@pytest.mark.parametrize("host", ["x", "http://models.example.com", "*.example.com", "m.svc.cluster.local", "a.b/c"])
def test_a_host_that_is_none(outside: Make, host: str) -> None:
    broken = outside(host=host, plainHttp="true")
    assert broken.only().key == "host"
    broken.mend()


def test_the_stack_exports_where_a_model_is_reached_from_outside_when_it_is(
    outside: Make, stack: Make, inception: Any
) -> None:
    for more, scheme in (({"plainHttp": "true"}, "http"), ({"tls": {"kind": "ca"}}, "https")):
        found = outside(**more).parse()
        url = f"{scheme}://{HOST}/v1/models/inception"
        assert model_summary(found.models[0], found)["externalUrl"] == url
    plain = {"inception": inception["inception"] | {"mesh": False, "callers": None}}
    for config in (stack(models=inception), stack({"host": HOST, "plainHttp": "true"}, models=plain)):
        found = config.parse()
        assert "externalUrl" not in model_summary(found.models[0], found)


@pytest.mark.parametrize(
    ("tls", "key", "fix"),
    [
        ({"kind": "secrte"}, "tls.kind", "pulumi config set --path tls.kind none"),
        ({"kind": "secret"}, "tls.secret", "pulumi config set --path tls.secret models-tls"),
        ({"kind": "secret", "secret": "Models_TLS"}, "tls.secret", "pulumi config rm --path tls.secret"),
        ({"secret": "models-tls"}, "tls.secret", "pulumi config set --path tls.kind secret"),
        ({"kind": "ca", "secret": "models-tls"}, "tls.secret", "pulumi config rm --path tls.secret"),
        ({"kind": "ca", "days": 3}, "tls.days", "pulumi config rm --path tls.days"),
    ],
)
def test_a_certificate_that_cannot_be_found(outside: Make, tls: dict[str, Any], key: str, fix: str) -> None:
    broken = outside(tls=tls)
    assert (broken.only().key, broken.only().fix) == (key, fix)
    broken.mend()


def test_a_given_certificate_is_read_and_its_key_is_in_no_text(outside: Make, pair: KeyPair) -> None:
    found = outside(tls=given(pair)).parse()
    assert found.ingress.tls.key == pair.key_pem
    assert pair.key_pem.splitlines()[1] not in repr(found)


def test_a_key_that_is_missing_comes_from_a_file_and_stays_hidden(outside: Make, pair: KeyPair) -> None:
    (problem,) = outside(tls={"kind": "given", "certificate": pair.certificate_pem}).problems()
    assert (problem.key, problem.value) == ("tls.key", "missing")
    assert problem.fix == "pulumi config set --secret --path tls.key < tls.key"
    certificate, key = outside(tls={"kind": "given"}).problems()
    assert certificate.fix == "pulumi config set --path tls.certificate < tls.crt"
    assert key.fix == problem.fix


def test_what_was_set_as_one_text_becomes_an_object_before_a_file_goes_into_it(stack: Make, inception: Any) -> None:
    text = json.dumps({"kind": "given", "certificate": "x"})
    (problem,) = stack({"host": HOST, "tls": text}, models=inception).problems()
    assert problem.fix == (
        "pulumi config set --path tls.kind given && pulumi config set --path tls.certificate x"
        " && pulumi config set --secret --path tls.key < tls.key"
    )


def test_a_key_in_the_clear_is_refused_and_not_shown(outside: Make, pair: KeyPair) -> None:
    problem = outside(secret=False, tls=given(pair)).only()
    assert (problem.key, problem.value) == ("tls.key", "in the clear")
    assert shlex.split(problem.fix)[:4] == ["pulumi", "config", "set", "--secret"]
    assert pair.key_pem.splitlines()[1] not in str(problem)


def test_a_certificate_and_key_that_do_not_fit_the_host_or_each_other(
    outside: Make, authority: KeyPair, pair: KeyPair
) -> None:
    other = make_server(authority, HOST)
    elsewhere = make_server(authority, "models.example.org")
    over = make_server(authority, HOST, now=datetime.now(UTC) - timedelta(days=91))
    rows = [
        (given(pair, key=other.key_pem), "tls.key", "this is another's"),
        (given(pair, key="-----BEGIN"), "tls.key", "PEM without a passphrase"),
        (given(pair, certificate="-----BEGIN"), "tls.certificate", "PEM"),
        (given(elsewhere), "tls.certificate", "this one is for models.example.org"),
        (given(over), "tls.certificate", "this one has ended on 20"),
    ]
    for tls, key, message in rows:
        problem = outside(tls=tls).only()
        assert (problem.key, problem.value) == (key, "[secret]")
        assert message in problem.message
        assert problem.fix.endswith({"tls.key": "tls.key < tls.key"}.get(key, "tls.certificate < tls.crt"))


def test_who_cannot_decrypt_a_key_does_not_judge_it(outside: Make, authority: KeyPair) -> None:
    """As `python -m rollout` reads the file: a certificate that has ended is no reason not to roll back."""
    over = make_server(authority, HOST, now=datetime.now(UTC) - timedelta(days=91))
    found = outside(secret=False, tls=given(over, key={"secure": "AAABAK"})).parse()
    assert found.ingress.tls.key == "[secret]"


@pytest.mark.parametrize(("size", "good"), [("1024", True), (2**30, True), ("1023", False), (2**30 + 1, False)])
def test_a_request_has_a_size_at_most(outside: Make, size: Any, good: bool) -> None:  # noqa: FBT001
    sized = outside(tls=NAME, maxRequestBytes=size)
    if good:
        assert sized.parse().ingress.max_request_bytes == int(size)
    else:
        assert sized.only().fix == "pulumi config set maxRequestBytes 16777216"
        sized.mend()
    assert outside(tls=NAME).parse().ingress.max_request_bytes == 16 * 2**20
