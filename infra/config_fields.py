"""What a single value of the stack's config may be: one type per kind of value, each saying what would be right.

Numbers arrive as text from `pulumi config set` and as numbers from YAML; both are taken. No Pulumi import.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Final

from pydantic import BeforeValidator

from infra.roots import roots_of

MODEL_NAME_LIMIT: Final = 40
VERSION_NAME_LIMIT: Final = 20  # after the model's name and a dash it still fits into the 63 characters of a label
REVISION_NAME_LIMIT: Final = 46  # after `istiod-` it still fits into the 53 characters of a Helm release's name

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_OBJECT_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,17}")
_HOST: Final = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_REPOSITORY: Final = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_RELEASE: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?")
_BUCKET: Final = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"
# A bucket alone will not do: to look into its root TensorFlow asks for the bucket itself, which readers may not.
_MODEL_PATH: Final = re.compile(rf"((gs|s3)://{_BUCKET})?(/[^\s/]+)+/?")
_S3_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_S3_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")
_AZURE_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_CHARTS: Final = re.compile(r"(oci|https)://[^\s/]+(/[^\s/]+)*/?|(?!-)(?!.*://)\S+")
_HEADER: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,126}")
# Istio takes these for parts of the request line, or leaves them out without a word; cookies have a key of their own.
_NO_HEADERS: Final = frozenset({"authority", "cookie", "host", "method", "scheme", "uri"})
_COOKIE: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,127}")  # RFC 6265, a token
COOKIE_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]+")  # RFC 6265, cookie-octets
_QUANTITY: Final = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([A-Za-z]*)")
_CPU_UNITS: Final = {"m": Decimal("0.001"), "": Decimal(1)}
_MEMORY_UNITS: Final = {"": Decimal(1)} | {
    unit + binary: Decimal(1024 if binary else 1000) ** power
    for power, letter in enumerate("kMGTP", start=1)
    for unit, binary in ((letter, ""), (letter.upper(), "i"))
}


class WrongValueError(ValueError):
    """A value that cannot be.

    Attributes:
        right: what would be right, a clause to put behind the value.
        example: a value that would be right, as one types it or as JSON has it; None when leaving the key out is
            the way.
        inside: where in the value, when it is an object.
    """

    def __init__(self, right: str, example: object, inside: tuple[str, ...] = ()) -> None:
        super().__init__(right)
        self.right = right
        self.example = example
        self.inside = inside


def whole_number(value: object) -> int | None:
    """Read a whole number from config; None for all else (`true`, 2.0 and "25.5" among them)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    return None


def is_name(value: str, limit: int = 63, *, letter_first: bool = False) -> bool:
    """Whether this is a DNS label; a Service's name has to begin with a letter as well."""
    return bool(_NAME.fullmatch(value)) and len(value) <= limit and not (letter_first and value[0].isdigit())


def has_version(image: str) -> bool:
    """Whether an image reference is pinned: by a tag other than latest, or by a digest."""
    rest, at, digest = image.partition("@")
    repository, tag = split_tag(rest)
    return (
        bool(_REPOSITORY.fullmatch(repository))
        and (not at or bool(_DIGEST.fullmatch(digest)))
        and (tag is None or bool(_TAG.fullmatch(tag)))
        and (bool(at) or tag not in {None, "latest"})
    )


def split_tag(image: str) -> tuple[str, str | None]:
    """Part an image reference into repository and tag; the colon of `registry:5000/name` begins no tag."""
    head, colon, tag = image.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (image, None)


def cores(quantity: str) -> Decimal:
    """Read a Kubernetes CPU quantity, in cores."""
    return _amount(quantity, _CPU_UNITS)


def octets(quantity: str) -> Decimal:
    """Read a Kubernetes memory quantity, in bytes."""
    return _amount(quantity, _MEMORY_UNITS)


def _amount(quantity: str, units: dict[str, Decimal]) -> Decimal:
    match = _QUANTITY.fullmatch(quantity)
    if match is None or match[2] not in units:
        raise ValueError(f"{quantity!r} is no quantity")
    return Decimal(match[1]) * units[match[2]]


def text(matches: Callable[[str], object], right: str, example: str | None) -> BeforeValidator:
    """A text that matches; for `right` and `example` see `WrongValueError`."""

    def check(value: object) -> str:
        if isinstance(value, str) and matches(value):
            return value
        raise WrongValueError(right, example)

    return BeforeValidator(check)


def whole_between(low: int, high: int, right: str, example: int) -> BeforeValidator:
    """A whole number from `low` to `high`; for `right` and `example` see `WrongValueError`."""

    def check(value: object) -> int:
        number = whole_number(value)
        if number is None or not low <= number <= high:
            raise WrongValueError(right, str(example))
        return number

    return BeforeValidator(check)


def _quantity(read: Callable[[str], Decimal], least: Decimal, right: str, example: str) -> BeforeValidator:
    def check(value: object) -> str:
        # YAML reads `cpu: 2` and `cpu: 0.5` as numbers
        text = str(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
        try:
            if read(text) >= least:
                return text
        except ValueError:
            pass
        raise WrongValueError(right, example)

    return BeforeValidator(check)


def _image(value: object) -> str:
    if isinstance(value, str) and has_version(value):
        return value
    right = "an image is pinned by a tag other than latest, or by a digest, so that two pods never differ"
    repository = split_tag(value.partition("@")[0])[0] if isinstance(value, str) else ""
    example = f"{repository}:2.20.0"
    raise WrongValueError(right, example if has_version(example) else "tensorflow/serving:2.20.0")


def _switch(value: object) -> bool:
    for flag in (True, False):
        if value is flag or value == str(flag).lower():
            return flag
    raise WrongValueError("it is true or false", None)


def one_of(*choices: str) -> BeforeValidator:
    """A value out of a few; the first is the example."""
    return text(choices.__contains__, f"it is one of {', '.join(choices)}", choices[0])


def _namespace_is_free(value: str) -> bool:
    # the program makes the namespace, and these are there already
    return is_name(value) and value not in {"default", "istio-system"} and not value.startswith("kube-")


def is_revision_name(value: str) -> bool:
    """Whether a revision of Istio can have this name."""
    return is_name(value, REVISION_NAME_LIMIT)


def is_outer_host(value: str) -> bool:
    """Whether this is a full lower-case DNS name that is none of the cluster's own."""
    return bool(_HOST.fullmatch(value)) and not value.endswith(".cluster.local")


Switch = Annotated[bool, BeforeValidator(_switch)]
Image = Annotated[str, BeforeValidator(_image)]
NamespaceName = Annotated[
    str,
    text(
        _namespace_is_free,
        "the namespace is a DNS label (a-z, 0-9 and -, 63 at most), and none of default, istio-system and kube-*",
        "models",
    ),
]
ModelPath = Annotated[
    str,
    text(
        _MODEL_PATH.fullmatch,
        "a model's base path is gs://BUCKET/FOLDER, s3://BUCKET/FOLDER or an absolute path in the image",
        "gs://my-bucket/my-model",
    ),
]
Cpu = Annotated[str, _quantity(cores, Decimal("0.001"), "a CPU quantity is cores or thousandths: 2, 0.5, 500m", "500m")]
Memory = Annotated[
    str, _quantity(octets, Decimal(2**20), "a memory quantity is bytes with a unit, 1Mi at least: 512Mi, 2Gi", "2Gi")
]
Generation = Annotated[int, whole_between(1, 10**9, "the CA's generation is an integer, 1 or more", 1)]
RootNumbers = Annotated[
    str,
    text(
        roots_of,
        "it is the number of the CA's root, or of two that follow each other, the signing one first: 1, 1+2, 2+1, 2",
        "1",
    ),
]
RootDays = Annotated[int, whole_between(180, 7300, "a root is valid for 180-7300 days", 3650)]
IntermediateDays = Annotated[int, whole_between(30, 3650, "an intermediate is valid for 30-3650 days", 365)]
# Istio's proxies renew after half of it; istiod signs none that is longer than 90 days.
WorkloadHours = Annotated[int, whole_between(1, 2160, "a proxy's certificate is valid for 1-2160 hours", 24)]
ModelNumber = Annotated[
    int, whole_between(1, 2**63 - 1, "it is the number of the model's folder under its path, an integer, 1 or more", 1)
]
Replicas = Annotated[
    int, whole_between(1, 1000, "a version has 1-1000 replicas; one that gets no traffic has weight 0", 2)
]
LoadTimeout = Annotated[int, whole_between(10, 7200, "the time a model may take to load is 10-7200 seconds", 600)]
Charts = Annotated[
    str,
    text(
        _CHARTS.fullmatch,
        "charts come from oci://..., https://... or a folder that holds base, istiod and gateway",
        "oci://ghcr.io/istio/release/charts",
    ),
]
Release = Annotated[str, text(_RELEASE.fullmatch, "a chart's version is one exact release", "1.30.4")]
Hub = Annotated[str, text(_REPOSITORY.fullmatch, "a hub is a registry and path without a tag", "docker.io/istio")]
Tag = Annotated[str, text(_TAG.fullmatch, "it is the tag of Istio's images", None)]
ObjectName = Annotated[
    str,
    text(_OBJECT_NAME.fullmatch, "an object's name has a-z, 0-9, - and ., with a letter or digit at both ends", None),
]
REVISION_NAME: Final = f"a revision's name is a DNS label (a-z, 0-9 and -, {REVISION_NAME_LIMIT} at most)"
RevisionName = Annotated[str, text(is_revision_name, REVISION_NAME, None)]
OuterHost = Annotated[
    str,
    text(
        lambda host: host == "" or is_outer_host(host),
        "a host is a full lower-case DNS name outside the cluster: no scheme, port, path, address or wildcard",
        "models.example.com",
    ),
]
S3Region = Annotated[str, text(_S3_REGION.fullmatch, "it is an AWS region", "us-east-1")]
S3BucketName = Annotated[str, text(_S3_BUCKET.fullmatch, "it is an S3 bucket's name", "my-bucket")]
AzureAccountName = Annotated[
    str, text(_AZURE_ACCOUNT.fullmatch, "a storage account's name is 3-24 lower-case letters and digits", "myaccount")
]
HeaderName = Annotated[
    str,
    text(
        lambda name: _HEADER.fullmatch(name) and name not in _NO_HEADERS,
        "a header's name has a-z, 0-9, - and _, and is none of " + ", ".join(sorted(_NO_HEADERS)),
        "x-version",
    ),
]
CookieName = Annotated[
    str, text(_COOKIE.fullmatch, "a cookie's name has no space, comma, semicolon, quote or =", "version")
]
FilePath = Annotated[str, text(lambda path: path.strip() == path != "", "it is the path of a file", None)]
ContextName = Annotated[
    str, text(lambda name: name.strip() == name != "", "it is the name of a context in the kubeconfig", None)
]
