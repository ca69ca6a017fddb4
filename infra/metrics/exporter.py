"""Tells Prometheus what only the Kubernetes API knows of the models: the routes' weights, and which pods are ready.

A program of its own, with nothing but Python's library: it runs from a ConfigMap in a plain Python image, as a pod with
a service account that may list the VirtualServices and pods of one namespace. Each scrape asks the API anew.

    python exporter.py NAMESPACE PORT PART_OF
"""

import json
import signal
import ssl
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

API = "https://kubernetes.default.svc"
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PART_OF = "app.kubernetes.io/part-of"
COMPONENT = "app.kubernetes.io/component"
SECONDS = 5  # that an answer of the API may take

Sample = tuple[str, dict[str, str], int]


def route_samples(services: Sequence[Any]) -> Iterator[Sample]:
    """Yield the weights of each VirtualService, and how many of its rules send requests past them.

    Both are those for callers in the mesh; a gateway's rules are the same, once for REST and once for gRPC. The last
    rule splits, and those before it match some requests.
    """
    for service in services:
        metadata, rules = service["metadata"], [rule for rule in service["spec"].get("http", []) if _is_inside(rule)]
        model = {"namespace": metadata["namespace"], "model": metadata["name"]}
        parts = rules[-1].get("route", []) if rules else []
        subsets = [part for part in parts if "subset" in part["destination"]]
        if not subsets:
            continue
        for part in subsets:
            weight = part.get("weight", 0) if len(parts) > 1 else 100
            yield "tfserving_route_weight", {**model, "version": part["destination"]["subset"]}, weight
        yield "tfserving_route_exceptions", model, len(rules) - 1 + ("mirror" in rules[-1])


def _is_inside(rule: Any) -> bool:  # noqa: ANN401 # JSON
    matches = rule.get("match", [])
    return not matches or any("mesh" in match.get("gateways", ["mesh"]) for match in matches)


def pod_samples(pods: Sequence[Any]) -> Iterator[Sample]:
    """Yield the number of each version's pods, and how many of them are ready; those that leave are none."""
    counts: dict[tuple[str, str, str], list[bool]] = {}
    for pod in pods:
        metadata, status = pod["metadata"], pod.get("status", {})
        labels = metadata.get("labels", {})
        if "deletionTimestamp" in metadata or not {"app", "version"} <= labels.keys():
            continue
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))
        counts.setdefault((metadata["namespace"], labels["app"], labels["version"]), []).append(ready)
    for (namespace, model, version), ready_pods in counts.items():
        labels = {"namespace": namespace, "model": model, "version": version}
        yield "tfserving_pods", labels, len(ready_pods)
        yield "tfserving_pods_available", labels, sum(ready_pods)


def page(samples: Sequence[Sample]) -> str:
    """Return the samples, all of them gauges, as Prometheus reads them."""
    lines = []
    for name in dict.fromkeys(name for name, _, _ in samples):
        lines.append(f"# TYPE {name} gauge")
        for labels, value in ((labels, value) for other, labels, value in samples if other == name):
            pairs = ",".join(f"{label}={json.dumps(text)}" for label, text in labels.items())
            lines.append(f"{name}{{{pairs}}} {value}")
    return "".join(f"{line}\n" for line in lines)


def collect(namespace: str, part_of: str) -> str:
    """Return the page of a namespace.

    Raises:
        OSError: the API does not answer, or refuses.
    """
    routes = _items(f"/apis/networking.istio.io/v1/namespaces/{namespace}/virtualservices", f"{PART_OF}={part_of}")
    pods = _items(f"/api/v1/namespaces/{namespace}/pods", f"{PART_OF}={part_of},{COMPONENT}=model-server")
    return page([*route_samples(routes), *pod_samples(pods)])


def _items(path: str, selector: str) -> list[Any]:
    query = urllib.parse.urlencode({"labelSelector": selector})
    token = (ACCOUNT / "token").read_text()  # anew each time: the kubelet replaces it
    request = urllib.request.Request(f"{API}{path}?{query}", headers={"Authorization": f"Bearer {token}"})  # noqa: S310
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=SECONDS, context=trusted) as answer:  # noqa: S310 # the API's, by HTTPS
        return list(json.load(answer)["items"])


def serve(namespace: str, port: int, part_of: str) -> None:
    """Answer scrapes of /metrics, and probes of /healthz, until the pod ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            code, text = 404, "there are /metrics and /healthz\n"
            if self.path == "/healthz":
                code, text = 200, "ok\n"
            elif self.path == "/metrics":
                try:
                    code, text = 200, collect(namespace, part_of)
                except OSError as error:
                    code, text = 503, f"the Kubernetes API: {error}\n"
                    sys.stderr.write(text)
            body = text.encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    # As a container's first process it would heed no signal without a handler, and be killed half a minute later.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ThreadingHTTPServer(("", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), sys.argv[3])
