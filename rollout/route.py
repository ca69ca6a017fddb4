"""A model's route in the cluster, read, and moved without Pulumi but in its name."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from infra import naming
from infra.weights import WHOLE
from rollout.errors import RolloutError

if TYPE_CHECKING:
    from rollout.cluster_api import ClusterApi

# The Kubernetes plugin applies each object under a name of its own, this and a few random characters.
_MANAGER: Final = "pulumi-kubernetes-"
_CONFLICT: Final = 409
_TRIES: Final = 3


@dataclass(frozen=True)
class Route:
    """A VirtualService as the cluster has it."""

    path: str
    live: Mapping[str, Any]

    @property
    def weights(self) -> dict[str, int]:
        """Percent by version, those at 0 too, that the last rule gives to callers in the mesh."""
        return _weights(_rollouts(self.live["spec"])[0])

    @property
    def manager(self) -> str:
        """The field manager that owns the route.

        Raises:
            RolloutError: it is not one of Pulumi's, so the route is not this program's.
        """
        for entry in self.live["metadata"].get("managedFields") or []:
            if entry["operation"] == "Apply" and entry["manager"].startswith(_MANAGER):
                return str(entry["manager"])
        raise RolloutError(f"{self.path} was not applied by Pulumi, so it is left alone. Run: pulumi up --refresh")

    def moved(self, weights: Mapping[str, int]) -> dict[str, Any]:
        """Return what to apply for the route to have these weights: all that the manager owns, or the rest would go.

        Raises:
            RolloutError: the route does not list one of the versions.
        """
        spec = deepcopy(self.live["spec"])
        for rule in _rollouts(spec):
            listed = _weights(rule)
            if missing := [version for version, weight in weights.items() if weight and version not in listed]:
                raise RolloutError(f"the route has no {' and no '.join(missing)}; it has {', '.join(listed)}")
            for destination in rule["route"]:
                destination["weight"] = weights.get(destination["destination"]["subset"], 0)
        metadata = self.live["metadata"]
        kept = {key: metadata[key] for key in ("name", "namespace", "resourceVersion")}
        for key in ("labels", "annotations"):
            owned = self._owned(key)
            kept[key] = {name: value for name, value in (metadata.get(key) or {}).items() if name in owned}
        return {"apiVersion": naming.ISTIO_NETWORKING, "kind": "VirtualService", "metadata": kept, "spec": spec}

    def _owned(self, key: str) -> set[str]:
        fields: set[str] = set()
        for entry in self.live["metadata"]["managedFields"]:
            if entry["manager"].startswith(_MANAGER):
                fields |= entry["fieldsV1"].get("f:metadata", {}).get(f"f:{key}", {}).keys()
        return {field.removeprefix("f:") for field in fields}


def read(api: ClusterApi, model: str, namespace: str) -> Route:
    """Read a model's route."""
    path = f"/apis/{naming.ISTIO_NETWORKING}/namespaces/{namespace}/virtualservices/{model}"
    return Route(path, api.get(path))


def move(api: ClusterApi, route: Route, weights: Mapping[str, int]) -> None:
    """Give a route other weights, under the name by which Pulumi applied it, so that the next `up` finds its own.

    Raises:
        RolloutError: the cluster refuses.
    """
    from rollout.cluster_api import ApiError

    for attempt in range(_TRIES):
        try:
            api.apply(route.path, route.manager, route.moved(weights))
        except ApiError as error:
            if error.status != _CONFLICT or attempt == _TRIES - 1:
                raise
            route = Route(route.path, api.get(route.path))  # somebody else changed it meanwhile
        else:
            return


def _rollouts(spec: Mapping[str, Any]) -> list[Any]:
    """The rules that have the weights: the last for callers in the mesh, and a gateway's last by REST and by gRPC.

    The rules before each, one for each match, send everything to one version and name no weight.
    """
    found = [rule for rule in spec.get("http", []) if any("weight" in each for each in rule.get("route", []))]
    rules = found or spec.get("http", [])[-1:]
    if not rules:
        raise RolloutError("the route has no rule. Run: pulumi up --refresh")
    return rules


def _weights(rule: Mapping[str, Any]) -> dict[str, int]:
    route = rule["route"]
    alone = WHOLE if len(route) == 1 else 0
    return {each["destination"]["subset"]: int(each.get("weight", alone)) for each in route}
