"""No Secret's value, and no private key anywhere, that state and previews would show.

What counts is the engine's own mark: what it knows as secret, it encrypts. The Kubernetes plugin marks the data of
every Secret that it is given as a resource, whatever the program said of it; this finds what is not one by itself (a
Secret among the values of a Helm chart, a key in a ConfigMap or a Stash).
"""

from collections.abc import Iterator, Mapping
from typing import Final

from policy.resource import Resource, Sealed, walk

_PRIVATE_KEYS: Final = ("PRIVATE KEY-----", "client-key-data:")
_MEND: Final = "Make it secret where it first appears: pulumi.Output.secret(value), or Config().require_secret(key)"


def violations(resource: Resource) -> Iterator[str]:
    """Yield what is not marked as secret and has to be; the resource's inputs are `Sealed` where they are marked."""
    for path, value in walk(resource.props):
        if isinstance(value, str) and any(sign in value for sign in _PRIVATE_KEYS):
            yield resource.wrong(path, "a private key in the clear", "it would stand so in state and previews", _MEND)
        elif isinstance(value, Mapping) and value.get("kind") == "Secret" and value.get("apiVersion") == "v1":
            for field in ("data", "stringData"):
                for key in _unsealed(value.get(field)):
                    inner = ".".join(part for part in (path, field, key) if part)
                    yield resource.wrong(inner, "in the clear", "it would stand so in state and previews", _MEND)


def secret_values(resource: Resource) -> Iterator[tuple[str, str]]:
    """Yield the values of a Secret by path, sealed or not: text in stringData, base64 in data."""
    if resource.is_kind("core", "Secret"):
        for field in ("data", "stringData"):
            content = _opened(resource.at(field))
            for key, value in content.items() if isinstance(content, Mapping) else ():
                if isinstance(text := _opened(value), str) and text:
                    yield f"{field}.{key}", text


def _unsealed(content: object) -> list[str]:
    given = content if isinstance(content, Mapping) else {}
    return [key for key, value in given.items() if isinstance(value, str) and value]


def _opened(value: object) -> object:
    return value.value if isinstance(value, Sealed) else value
