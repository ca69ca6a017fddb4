"""The door for callers from outside: which ports, which certificate, and who keeps it."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from infra import certificates
from infra.certificates import make_intermediate, make_root, make_server
from infra.settings import parse
from tests.components.conftest import Program, Record, Registered
from tests.components.test_program import (
    CONFIG,
    DEPLOYMENT,
    SECRET,
    STASH,
    VIRTUAL_SERVICE,
    deploy,
    main_module,
    needs,
    release,
    strings,
)

ENVOY_FILTER = "kubernetes:networking.istio.io/v1alpha3:EnvoyFilter"
GATEWAY = "kubernetes:networking.istio.io/v1:Gateway"
HOST = "models.example.com"
PLAIN = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [f"./{HOST}"]}


def servers(program: Program) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = program.one(GATEWAY).inputs["spec"]["servers"]
    return found


def certificate(program: Program) -> Registered:
    (kept,) = [each for each in program.of(STASH) if each.name == "ingress-certificate"]
    return kept


def by_ca(record: Record, **more: Any) -> Program:
    return deploy(record, **{"host": HOST, "tls": {"kind": "ca"}, **more})


def test_in_the_clear_the_gateway_listens_for_the_host_alone_and_goes_after_the_routes(record: Record) -> None:
    program = deploy(record, host=HOST, plainHttp=True)
    gateway = program.one(GATEWAY)
    assert gateway.inputs["metadata"] == gateway.inputs["metadata"] | {"name": "ingress", "namespace": "models"}
    assert gateway.inputs["spec"] == {"selector": {"istio": "ingress"}, "servers": [PLAIN]}
    assert gateway.name in needs(program, program.one(VIRTUAL_SERVICE))


@pytest.mark.parametrize(("longest", "seconds"), [(5, 30), (20, 30), (90, 100)])
def test_a_removed_pod_of_the_gateway_stays_for_the_longest_request_and_leaves_when_none_is_left(
    record: Record, longest: int, seconds: int
) -> None:
    more = {"path": "/models/bert", "callers": "any", "timeoutSeconds": longest, "versions": {"v1": {"model": 1}}}
    models = {"bert": more, "resnet": {**more, "timeoutSeconds": 1}}
    program = deploy(record, models=models, v2Weight=None)
    values = release(program, "istio-ingress").inputs["values"]
    stays = [each.inputs["spec"]["template"]["spec"] for each in program.of(DEPLOYMENT)]
    assert values["terminationGracePeriodSeconds"] == seconds
    assert seconds >= max(each["terminationGracePeriodSeconds"] for each in stays)
    assert values["env"] == {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true"}, "it would leave 5 seconds after it is told to"


def test_the_stacks_own_values_of_the_gateway_win(record: Record) -> None:
    given = {"terminationGracePeriodSeconds": 7, "env": {"EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "false"}}
    program = deploy(record, istio={"values": {"gateway": given}})
    assert release(program, "istio-ingress").inputs["values"] == given


def test_nobody_is_let_in_unasked(record: Record) -> None:
    program = deploy(record)
    assert program.of(GATEWAY) == program.of(ENVOY_FILTER) == []
    assert program.one(VIRTUAL_SERVICE).inputs["spec"]["hosts"] == ["inception.models.svc.cluster.local"]
    assert "gateways" not in program.one(VIRTUAL_SERVICE).inputs["spec"]


def test_with_a_certificate_port_80_sends_callers_to_https_and_no_more(record: Record) -> None:
    encrypted, plain = servers(deploy(record, host=HOST, tls={"kind": "secret", "secret": "models-tls"}))
    assert plain == PLAIN | {"tls": {"httpsRedirect": True}}
    assert encrypted == {
        "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
        "hosts": [f"./{HOST}"],
        "tls": {"mode": "SIMPLE", "credentialName": "models-tls", "minProtocolVersion": "TLSV1_2"},
    }


def test_a_secret_that_somebody_else_keeps_is_left_to_them(record: Record) -> None:
    program = deploy(record, host=HOST, tls={"kind": "secret", "secret": "models-tls"})
    assert [each.inputs["metadata"]["name"] for each in program.of(SECRET)] == ["cacerts"]
    assert not [each for each in program.resources if each.name == "ingress-certificate"]


def test_the_filter_is_the_gateways_and_there_before_the_gateway_lets_anybody_in(record: Record) -> None:
    program = by_ca(record, maxRequestBytes=4096)
    made = program.one(ENVOY_FILTER)
    assert made.inputs["metadata"]["namespace"] == "istio-system", "where the gateway is, or it would hold for none"
    assert made.inputs["spec"]["workloadSelector"] == {"labels": {"istio": "ingress"}}
    text = json.dumps(made.inputs["spec"])
    assert 'max_request_bytes": 4096' in text
    assert "strict-transport-security" in text
    assert made.name in needs(program, program.one(GATEWAY))
    plain = json.dumps(deploy(record, host=HOST, plainHttp=True).one(ENVOY_FILTER).inputs["spec"])
    assert "strict-transport-security" not in plain


def test_a_certificate_of_the_programs_own_is_secret_kept_and_below_the_meshs_ca(record: Record) -> None:
    program = by_ca(record)
    kept, secret = certificate(program), program.one(SECRET, "ingress-tls")
    assert kept.ignore_changes == ("input",)
    assert "input" in kept.secrets
    assert secret.inputs["type"] == "kubernetes.io/tls"
    assert secret.inputs["metadata"]["namespace"] == "istio-system"
    assert "data" in secret.secrets
    files = {name: base64.b64decode(content).decode() for name, content in secret.inputs["data"].items()}
    assert files == {"tls.crt": kept.inputs["input"]["certificate"], "tls.key": kept.inputs["input"]["key"]}
    leaf, above = x509.load_pem_x509_certificates(files["tls.crt"].encode())
    (signer,) = [each for each in program.of(STASH) if each.name == "injector-intermediate"]
    assert above == x509.load_pem_x509_certificate(signer.inputs["input"]["certificate"].encode())
    leaf.verify_directly_issued_by(above)
    assert servers(program)[0]["tls"]["credentialName"] == "ingress-tls"
    assert secret.name in needs(program, program.one(GATEWAY))


def test_its_key_is_in_nothing_but_the_two_that_hold_it(record: Record) -> None:
    program = by_ca(record)
    key = certificate(program).inputs["input"]["key"].splitlines()[1]
    encoded = base64.b64encode(certificate(program).inputs["input"]["key"].encode()).decode()
    holding = {
        (each.name, path.split(".")[0])
        for each in program.resources
        for path, text in strings(each.inputs)
        if key in text or encoded in text
    }
    assert holding == {("ingress-certificate", "input"), ("ingress-tls", "data")}


def test_it_is_renewed_by_the_calendar_with_its_signer_and_with_its_host(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = certificates.renewal_number(datetime.now(UTC))

    def trigger(**more: Any) -> Any:
        return certificate(by_ca(record, **more)).replacement_trigger

    triggers = [trigger(), trigger(caGeneration=2), trigger(caRoot="2+1"), trigger(host="other.example.com")]
    monkeypatch.setattr(certificates, "renewal_number", lambda _: number + 1)
    triggers.append(trigger())
    assert len(set(triggers)) == len(triggers)
    assert trigger(v2Weight=50) == triggers[-1], "a step renews nothing"


def test_a_given_certificate_and_its_key_are_what_the_gateway_gets(record: Record) -> None:
    pair = make_server(make_intermediate(make_root()), HOST)
    tls = {"kind": "given", "certificate": pair.certificate_pem, "key": pair.key_pem}
    config = {**CONFIG, "tfserving-mesh:host": HOST, "tfserving-mesh:tls": tls}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    settings = parse(texts, project="tfserving-mesh", stack="test", secrets=["tfserving-mesh:tls"])
    program = record(lambda: main_module().deploy(settings))
    secret = program.one(SECRET, "ingress-tls")
    assert "data" in secret.secrets
    assert base64.b64decode(secret.inputs["data"]["tls.key"]).decode() == pair.key_pem
    assert base64.b64decode(secret.inputs["data"]["tls.crt"]).decode() == pair.certificate_pem
    assert not [each for each in program.resources if each.name == "ingress-certificate"]
