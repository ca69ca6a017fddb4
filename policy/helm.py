"""Which Helm release installs istiod, and the values it is given."""

from pathlib import PurePosixPath
from typing import Final

from policy.resource import Resource

_HELM: Final = frozenset({"kubernetes:helm.sh/v3:Release", "kubernetes:helm.sh/v4:Chart"})


def is_istiod(resource: Resource) -> bool:
    """Whether this installs Istio's control plane: from a registry, a repository, a folder or a packed file."""
    chart = resource.at("chart")
    name = PurePosixPath(chart).name if isinstance(chart, str) else ""
    return resource.token in _HELM and (name == "istiod" or (name.startswith("istiod-") and name.endswith(".tgz")))
