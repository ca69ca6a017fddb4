#!/usr/bin/python3
"""Starts Debian's Prometheus and plays the one part of it that Debian leaves out: finding pods in Kubernetes.

Each `kubernetes_sd_configs` of role pod becomes an `http_sd_configs` that asks this program, which lists the pods of
the API and gives each container's port the labels that Prometheus' own discovery does. All else, relabeling included,
is Prometheus' own. Its configuration has to be JSON, which YAML takes in; this image has no YAML.
"""

import json
import os
import re
import ssl
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROMETHEUS = "/usr/bin/prometheus"
PORT = 9089
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
META = "__meta_kubernetes_"


def targets(pod: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a target group for each port of each container of a pod; a pod without an address has none."""
    metadata, status = pod["metadata"], pod["status"]
    address = status.get("podIP")
    if not address:
        return
    ready = next((each["status"] for each in status.get("conditions", []) if each["type"] == "Ready"), "unknown")
    labels = {
        f"{META}namespace": metadata["namespace"],
        f"{META}pod_name": metadata["name"],
        f"{META}pod_ip": address,
        f"{META}pod_phase": status["phase"],
        f"{META}pod_ready": ready.lower(),
    }
    for kind in ("label", "annotation"):
        for name, value in metadata.get(f"{kind}s", {}).items():
            plain = re.sub(r"\W", "_", name)
            labels |= {f"{META}pod_{kind}_{plain}": value, f"{META}pod_{kind}present_{plain}": "true"}
    containers = [(each, "false") for each in pod["spec"]["containers"]]
    containers += [(each, "true") for each in pod["spec"].get("initContainers", [])]
    for container, init in containers:
        own = {**labels, f"{META}pod_container_name": container["name"], f"{META}pod_container_init": init}
        for port in container.get("ports", []):
            number = str(port["containerPort"])
            named = {f"{META}pod_container_port_name": port.get("name", ""), f"{META}pod_container_port_number": number}
            yield {"targets": [f"{address}:{number}"], "labels": {**own, **named}}
        if not container.get("ports"):
            yield {"targets": [address], "labels": own}


def translated(config: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration that asks this program where it asked Kubernetes."""
    for job in config["scrape_configs"]:
        for found in job.pop("kubernetes_sd_configs", []):
            if found["role"] != "pod":
                raise SystemExit(f"{job['job_name']}: the role {found['role']} is not played here")
            namespaces = found.get("namespaces", {}).get("names", [""])
            urls = [f"http://127.0.0.1:{PORT}/{namespace}" for namespace in namespaces]
            job["http_sd_configs"] = [{"url": url, "refresh_interval": "5s"} for url in urls]
    return config


def pods(namespace: str) -> list[Any]:
    """List the pods of a namespace, or ("") of all."""
    path = f"/api/v1/namespaces/{namespace}/pods" if namespace else "/api/v1/pods"
    token = (ACCOUNT / "token").read_text()
    request = urllib.request.Request(
        f"https://kubernetes.default.svc{path}", headers={"Authorization": f"Bearer {token}"}
    )
    trusted = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=5, context=trusted) as answer:  # noqa: S310 # the API's, by HTTPS
        return list(json.load(answer)["items"])


class Discovery(BaseHTTPRequestHandler):
    """Answers with the pods of the namespace that the path names."""

    def do_GET(self) -> None:  # noqa: D102 # the library's name
        try:
            found = [target for pod in pods(urllib.parse.unquote(self.path[1:])) for target in targets(pod)]
            code, body = 200, json.dumps(found).encode()
        except OSError as error:
            code, body = 503, str(error).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


def main() -> None:
    """Become Prometheus, with discovery as its child."""
    given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    config = json.loads(Path(given["--config.file"]).read_text())
    written = Path(given["--storage.tsdb.path"]) / "prometheus.yml"
    written.write_text(json.dumps(translated(config)))
    if os.fork() == 0:
        ThreadingHTTPServer(("127.0.0.1", PORT), Discovery).serve_forever()
    given["--config.file"] = str(written)
    os.execv(PROMETHEUS, [PROMETHEUS, *(f"{name}={value}" for name, value in given.items())])  # noqa: S606 # no shell


if __name__ == "__main__":
    main()
