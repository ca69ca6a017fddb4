"""Who can call a model: the proxies of a cluster that have its route, and the pods that have no proxy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from infra import naming
from infra.revisions import PLAIN
from rollout.errors import RolloutError
from rollout.proxies import gateway_weights, route_weights

if TYPE_CHECKING:
    from rollout.cluster_api import ClusterApi, Forwarded

PROXY: Final = "istio-proxy"
ADMIN_PORT: Final = 15000  # Envoy's own, on the pod's loopback device only; istioctl asks there too
_DUMP: Final = "/config_dump?resource="
_PORTS: Final = (naming.HTTP_PORT, naming.GRPC_PORT)
_CLUSTERS_OWN: Final = ("kube-", "gke-", "gmp-", naming.ISTIO_NAMESPACE)


@dataclass(frozen=True, order=True)
class Pod:
    """A pod by its name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Callers:
    """Who there is.

    Attributes:
        sidecars: pods in the mesh.
        gateways: pods that are nothing but a proxy.
        outside: pods without a proxy, by namespace and app; those of the cluster itself are left out.
        revisions: how many proxies each of Istio's revisions has, by namespace and app.
    """

    sidecars: tuple[Pod, ...]
    gateways: tuple[Pod, ...]
    outside: Mapping[str, int]
    revisions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def callers(api: ClusterApi) -> Callers:
    """Look through a cluster's running pods."""
    sidecars, gateways, outside = [], [], dict[str, int]()
    revisions: dict[str, dict[str, int]] = {}
    for pod in api.items("/api/v1/pods", fieldSelector="status.phase=Running"):
        metadata, spec = pod["metadata"], pod["spec"]
        if metadata.get("deletionTimestamp"):
            continue
        name = Pod(metadata["namespace"], metadata["name"])
        containers = [each["name"] for each in spec["containers"]]
        workload = f"{name.namespace}/{_workload(metadata)}"
        if containers == [PROXY]:
            gateways.append(name)
        elif PROXY in containers or PROXY in [each["name"] for each in spec.get("initContainers") or []]:
            sidecars.append(name)
        else:
            if not name.namespace.startswith(_CLUSTERS_OWN):
                outside[workload] = outside.get(workload, 0) + 1
            continue
        proxies = revisions.setdefault((metadata.get("annotations") or {}).get(naming.ISTIO_REVISION, PLAIN), {})
        proxies[workload] = proxies.get(workload, 0) + 1
    return Callers(tuple(sidecars), tuple(gateways), outside, revisions)


def _workload(metadata: Mapping[str, Any]) -> str:
    labels = metadata.get("labels") or {}
    return str(labels.get("app.kubernetes.io/name") or labels.get("app") or metadata["name"])


class Proxy:
    """One proxy, with a connection to its Envoy that is kept."""

    def __init__(self, api: ClusterApi, pod: Pod, *, outer: str | None = None) -> None:
        """Connect nowhere yet.

        Args:
            api: the cluster's.
            pod: whose proxy.
            outer: for a gateway: the name that callers outside the mesh use.
        """
        self.pod = pod
        self._api = api
        self._outer = outer
        self._connection: Forwarded | None = None
        self._lock = Lock()

    def weights(self, host: str) -> dict[str, int] | None:
        """Return per cent by version that the proxy gives requests for a model, None where it has no route for it.

        Where the model's two ports are split differently, a step is under way: then all is given to the version "",
        which nobody takes for what was asked for.

        Raises:
            RolloutError: the proxy does not answer.
        """
        with self._lock:
            dump = self._dump("dynamic_route_configs")
        if self._outer is not None:
            return gateway_weights(dump, self._outer, host, naming.HTTP_PORT)
        splits = [split for port in _PORTS if (split := route_weights(dump, host, port)) is not None]
        if not splits:
            return None
        return splits[0] if all(split == splits[0] for split in splits) else {"": 100}

    def secrets(self) -> dict[str, Any]:
        """Return the proxy's dump of its certificates and of what it trusts; Envoy leaves the keys out.

        Raises:
            RolloutError: the proxy does not answer.
        """
        with self._lock:
            return self._dump("dynamic_active_secrets")

    def _dump(self, resource: str) -> dict[str, Any]:
        if self._connection is None:
            self._connection = self._api.forward(self.pod.namespace, self.pod.name, ADMIN_PORT)
        try:
            return dict(json.loads(self._connection.get(_DUMP + resource)))
        except RolloutError:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next question makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
