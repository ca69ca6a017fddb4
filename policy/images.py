"""No image that may be another tomorrow: a tag other than latest, or a digest.

Looks at every Kubernetes object that holds containers, whatever its kind. What a Helm chart makes of its values is not
seen, Istio's `auto` image among it, which the injector replaces.
"""

from collections.abc import Iterator
from typing import Final

from infra.config_fields import has_version
from policy.resource import Resource, at, entries, walk

_CONTAINERS: Final = ("containers", "initContainers", "ephemeralContainers")


def violations(resource: Resource) -> Iterator[str]:
    """Yield the images of containers and volumes that are not pinned."""
    if not resource.token.startswith("kubernetes:"):
        return
    for path, image in _images(resource):
        if isinstance(image, str) and not has_version(image):
            yield resource.wrong(
                path,
                image,
                "an image is pinned by a tag other than latest, or by a digest, so that two pods never differ",
                "For a model server, run: pulumi config set image tensorflow/serving:2.20.0; else give it a tag where "
                "the container is made",
            )


def _images(resource: Resource) -> Iterator[tuple[str, object]]:
    for path, value in walk(resource.props):
        *_, key = path.split(".")
        for index, item in enumerate(entries(value)):
            if key in _CONTAINERS:
                yield f"{path}[{index}].image", at(item, "image")
            elif key == "volumes":
                yield f"{path}[{index}].image.reference", at(item, "image", "reference")
