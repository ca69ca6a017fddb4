"""What callers from outside come in by, as the config describes it: the host, its certificate, the size of a request.

No Pulumi import.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from infra import config_fields as fields
from infra.config_errors import HIDDEN, MISSING, FromFile, Remove, Report, Set
from infra.config_fields import WrongValueError, whole_between
from infra.config_models import body_of
from infra.config_shape import Section

MAX_REQUEST_BYTES: Final = 16 * 2**20
_KINDS: Final = ("none", "secret", "given", "ca")
# Which kind heeds which keys.
_ONLY: Final = {"secret": "secret", "certificate": "given", "key": "given"}
_FILES: Final = {"certificate": "tls.crt", "key": "tls.key"}
_RIGHT: Final = {
    "certificate": "it is the host's certificate and those that signed it, PEM",
    "key": "it is the certificate's private key, PEM without a passphrase",
}


def _text(value: object) -> str:
    if _is_sealed(value):
        return HIDDEN
    if isinstance(value, str):
        return value
    raise WrongValueError("it is PEM text", None)


def _is_sealed(value: object) -> bool:
    """Whether a value is as it stands in the stack's file, encrypted; who has no key to it cannot check it."""
    return isinstance(value, Mapping) and value.keys() == {"secure"}


class TlsSettings(Section):
    """The host's certificate.

    Attributes:
        kind: none; secret, a Secret in the gateway's namespace that somebody else keeps; given, in the config; ca, made
            by the program and signed by the mesh's CA.
        secret: its name, of type kubernetes.io/tls.
        certificate: the host's, then those that signed it, PEM.
        key: PEM.
    """

    kind: Annotated[Literal["none", "secret", "given", "ca"], fields.one_of(*_KINDS)] = "none"
    secret: fields.ObjectName | None = None
    certificate: Annotated[str, BeforeValidator(_text)] | None = None
    key: Annotated[str, BeforeValidator(_text)] | None = Field(default=None, repr=False)


MaxRequestBytes = Annotated[
    int, whole_between(1024, 2**30, "a request has 1024-1073741824 bytes at most", MAX_REQUEST_BYTES)
]


class IngressSettings(Section):
    """How callers from outside come in.

    Attributes:
        host: the name that they use.
        tls: of kind none, requests come and are answered in the clear.
        max_request_bytes: of a request's body; a longer one is refused.
    """

    host: str
    tls: TlsSettings
    max_request_bytes: int

    @property
    def is_encrypted(self) -> bool:
        """Whether requests come by https."""
        return self.tls.kind != "none"

    @property
    def origin(self) -> str:
        """The beginning of the URLs that callers use: https://models.example.com."""
        return f"{'https' if self.is_encrypted else 'http'}://{self.host}"


def check_ingress(report: Report) -> None:
    """Report a host that no gateway could serve, or not safely: without a certificate that fits, or anybody's word."""
    is_plain = report.at(("plainHttp",)) in (True, "true")
    tls = body_of(report.at(("tls",)))
    kind = tls.get("kind", "none")
    if kind not in _KINDS:
        return
    host = report.at(("host",))
    if host in (MISSING, ""):
        if is_plain:
            report.add(("plainHttp",), "there is no host that it could hold for", Remove(("plainHttp",)))
        if kind != "none":
            report.add(("tls", "kind"), "there is no host that it could hold for", Remove(("tls",)))
        return
    unheeded = [key for key, heeds in _ONLY.items() if heeds != kind and tls.get(key) is not None]
    for key in unheeded:
        edit = Set(("tls", "kind"), _ONLY[key]) if kind == "none" else Remove(("tls", key))
        report.add(("tls", key), f"with kind: {kind} nothing heeds it", edit)
    if kind == "none" and not is_plain and not unheeded:
        right = "requests to the host and their answers are encrypted, unless plainHttp is true"
        report.add(("tls", "kind"), right, Set(("tls", "kind"), "ca"))
    if kind != "none" and is_plain:
        right = "with tls, port 80 does nothing but send callers to https"
        report.add(("plainHttp",), right, Remove(("plainHttp",)))
    if kind == "secret" and tls.get("secret") is None:
        right = "it is the name of a Secret of type kubernetes.io/tls in istio-system"
        report.add(("tls", "secret"), right, Set(("tls", "secret"), "models-tls"))
    if kind == "given":
        _check_given(tls, str(host), report)
    if report.at(("istio", "gateway")) in (False, "false"):
        place = ("istio", "gateway")
        report.add(place, "requests to the host come in through it", Remove(place))


def _check_given(tls: Mapping[str, Any], host: str, report: Report) -> None:
    for key, right in _RIGHT.items():
        if tls.get(key) is None:
            report.add(("tls", key), right, _from_file(key))
    certificate, private_key = tls.get("certificate"), tls.get("key")
    if isinstance(private_key, str) and "tls" not in report.secrets:
        right = "a private key is a secret in the config, and this one is to be replaced, as others may have seen it"
        report.add(("tls", "key"), right, _from_file("key"), value="in the clear")
    elif isinstance(certificate, str) and isinstance(private_key, str):
        from infra import given_certificate  # whose library takes long to import

        problem = given_certificate.problem(certificate, private_key, host, datetime.now(UTC))
        if problem is not None:
            report.add(("tls", problem.key), problem.message, _from_file(problem.key))


def _from_file(key: str) -> FromFile:
    return FromFile(("tls", key), _FILES[key], secret=key == "key")
