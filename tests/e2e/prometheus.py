"""Prometheus on the sandbox: the config that brings it, and questions to it."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

INTERVAL: Final = 5
NAMESPACE: Final = "tfserving-monitoring"
# Small, quick, with Debian's Prometheus and Python, and without Grafana, which no registry here carries. The sandbox's
# proxies are plain Envoys, so Envoy's own statistics are counted by.
MONITORING: Final[Mapping[str, Any]] = {
    "kind": "bundled",
    "telemetry": "envoy",
    "intervalSeconds": INTERVAL,
    "exporterImage": "python:3.11-slim",
    "prometheus": {
        "image": "prom/prometheus:v2.42.0",
        "persistent": False,
        "storage": "1Gi",
        "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
    },
    "grafana": {"enabled": False},
}

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Prometheus:
    """The server; the sandbox's host reaches pods by their addresses."""

    url: str

    def get(self, path: str, **parameters: str) -> Any:
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}{query}", timeout=10) as answer:  # noqa: S310 # its API
            return json.load(answer)["data"]

    def query(self, expression: str) -> dict[Labels, float]:
        """Return the samples of an instant query by their labels, the name left out."""
        found = self.get("query", query=expression)["result"]
        return {
            frozenset((key, value) for key, value in each["metric"].items() if key != "__name__"): float(
                each["value"][1]
            )
            for each in found
        }

    def by(self, label: str, expression: str) -> dict[str, float]:
        """Return the samples of an instant query by one label, which tells them apart."""
        found = [(dict(labels)[label], value) for labels, value in self.query(expression).items()]
        assert len(dict(found)) == len(found), f"{label} does not tell {found} apart"
        return dict(found)

    def targets(self) -> dict[str, list[str]]:
        """Return the health of all targets by job."""
        health: dict[str, list[str]] = {}
        for target in self.get("targets", state="active")["activeTargets"]:
            health.setdefault(target["labels"]["job"], []).append(target["health"])
        return health
