"""The weights that one proxy really has, read from its Envoy and not from any object in the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api


def execute(api: CoreV1Api, namespace: str, pod: str, container: str, command: list[str], seconds: float = 60) -> str:
    """Run a command in a container and return what it printed on standard output.

    Raises:
        RuntimeError: it ended with another code than 0; the message carries its standard error.
        TimeoutError: it has not ended after `seconds`.
    """
    from kubernetes.stream import stream  # which costs more than all that a reader of dumps needs

    session = stream(
        api.connect_get_namespaced_pod_exec,
        pod,
        namespace,
        container=container,
        command=command,
        stdout=True,
        stderr=True,
        _preload_content=False,
    )
    try:
        session.run_forever(timeout=seconds)
        if session.is_open():
            raise TimeoutError(f"{command[0]} in {namespace}/{pod} has not ended after {seconds:.0f} s")
        output, errors = session.read_stdout() or "", session.read_stderr() or ""
        if session.returncode != 0:
            raise RuntimeError(f"{command[0]} in {namespace}/{pod} ended with {session.returncode}: {errors or output}")
    finally:
        session.sock.shutdown()  # `close` leaves the socket of a session that the server ended first
    return str(output)


def route_weights(dump: Mapping[str, Any], host: str, port: int) -> dict[str, int] | None:
    """Return per cent by subset that a proxy gives requests for `host` on `port`, or None if it has no route for it.

    Args:
        dump: Envoy's config dump of its dynamic route configurations.
        host: full DNS name of the Service.
        port: the Service's port.

    A destination of weight 0 is dropped by Istio before the proxy hears of it, so it is not in the result. A route that
    names no subset (no VirtualService) is given as the subset "".
    """
    for config in dump.get("configs", []):
        for virtual_host in config.get("route_config", {}).get("virtual_hosts", []):
            if f"{host}:{port}" in virtual_host.get("domains", []) or virtual_host.get("name") == f"{host}:{port}":
                return _split(virtual_host["routes"][-1]["route"], host, port)
    return None


def gateway_weights(dump: Mapping[str, Any], outer: str, host: str, port: int) -> dict[str, int] | None:
    """Return per cent by subset that a gateway gives requests for a Service, or None if it has no route to it.

    Args:
        dump: as for `route_weights`.
        outer: the name by which callers outside the mesh ask for it, and for other models too.
        host: full DNS name of the Service.
        port: the Service's port.
    """
    found = None
    for config in dump.get("configs", []):
        for virtual_host in config.get("route_config", {}).get("virtual_hosts", []):
            if any(domain.partition(":")[0] == outer for domain in virtual_host.get("domains", [])):
                for route in virtual_host.get("routes", []):
                    if f"|{port}|" in (cluster := _first_cluster(route)) and cluster.endswith(f"|{host}"):
                        found = route["route"]  # the weights come after all matches
    return None if found is None else _split(found, host, port)


def _first_cluster(route: Mapping[str, Any]) -> str:
    action = route.get("route", {})
    clusters: Iterator[str] = (each["name"] for each in action.get("weighted_clusters", {}).get("clusters", []))
    return str(action.get("cluster") or next(clusters, ""))


def _split(route: Mapping[str, Any], host: str, port: int) -> dict[str, int]:
    if "cluster" in route:
        return {_subset(route["cluster"], host, port): 100}
    clusters = route["weighted_clusters"]["clusters"]
    return {_subset(cluster["name"], host, port): cluster.get("weight", 0) for cluster in clusters}


def _subset(cluster: str, host: str, port: int) -> str:
    """Take the subset from the name Istio gives a cluster: `outbound|PORT|SUBSET|HOST`."""
    direction, cluster_port, subset, cluster_host = cluster.split("|")
    if (direction, cluster_port, cluster_host) != ("outbound", str(port), host):
        raise ValueError(f"a route for {host}:{port} leads to {cluster}")
    return subset


def config_dump(api: CoreV1Api, namespace: str, pod: str, resource: str) -> dict[str, Any]:
    """Return one kind of resource of a sidecar's Envoy, e.g. "dynamic_route_configs" or "dynamic_active_secrets"."""
    command = ["pilot-agent", "request", "GET", f"config_dump?resource={resource}"]
    printed = execute(api, namespace, pod, "istio-proxy", command)
    return dict(json.loads(printed[printed.index("{") :]))  # the agent may print log lines of its own first


def proxy_weights(api: CoreV1Api, namespace: str, pod: str, host: str, port: int) -> dict[str, int] | None:
    """Return `route_weights` of the sidecar of one pod."""
    return route_weights(config_dump(api, namespace, pod, "dynamic_route_configs"), host, port)
