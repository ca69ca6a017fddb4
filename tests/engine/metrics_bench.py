"""Traffic as either kind of proxies counts it, for the rules under promtool."""

from __future__ import annotations

from pathlib import Path

from infra.metrics import alerts, rules, series
from infra.metrics.rules import Telemetry
from tests.engine.promtool import INTERVAL, Rules

SERVICE = 'destination_service="inception.models.svc.cluster.local", destination_service_name="inception"'


def recorded(metric: str, version: str, side: str | None = "source", **more: str) -> str:
    labels = {"namespace": "models", "model": "inception", "version": version}
    return series.selector(metric, **labels, **({"side": side} if side else {}), **more)


def counter(per_second: float, start: float = 0) -> str:
    return f"{start:g}+{per_second * INTERVAL:g}x60"


class Bench(Rules):
    """Rules, and traffic as either kind of proxies counts it."""

    def __init__(self, telemetry: Telemetry, folder: Path) -> None:
        groups = [*rules.groups("models", telemetry, INTERVAL), *alerts.groups(INTERVAL)]
        super().__init__(groups, folder)
        self.telemetry = telemetry

    def route(self, exceptions: int = 0, **weights: int) -> None:
        for version, weight in weights.items():
            labels = f'namespace="models", model="inception", version="{version}"'
            self.feed(f"tfserving_route_weight{{{labels}}}", f"{weight}x60")
        self.feed('tfserving_route_exceptions{namespace="models", model="inception"}', f"{exceptions}x60")

    def called(self, version: str, values: str, code: str = "200", grpc: str = "", pod: str = "caller-1") -> None:
        """Count requests in the proxy of a caller."""
        own = f'namespace="callers", pod="{pod}", instance="{pod}:15020"'
        if self.telemetry == "istio":
            labels = f'{own}, {self.istio("source", version)}, response_code="{code}", grpc_response_status="{grpc}"'
            self.feed(f"istio_requests_total{{{labels}}}", values)
            return
        self.envoy(
            own, f"outbound|{8500 if grpc else 8501}|{version}|inception.models.svc.cluster.local", values, code, grpc
        )

    def unanswered(self, revision: str, values: str, code: str, flags: str, grpc: str = "") -> None:
        """Count requests that ended in the proxy of a caller, as Istio does it.

        Args:
            revision: of the pod that they were sent to, "latest" where they found none.
            values: how many there are.
            code, grpc: what the proxy answered.
            flags: why, in Envoy's letters.
        """
        where = "unknown" if revision == "latest" else "models"
        labels = (
            f'namespace="callers", pod="caller-1", instance="caller-1:15020", reporter="source", {SERVICE}, '
            f'destination_service_namespace="{where}", destination_version="unknown", '
            f'destination_canonical_revision="{revision}", response_code="{code}", response_flags="{flags}", '
            f'grpc_response_status="{grpc}"'
        )
        self.feed(f"istio_requests_total{{{labels}}}", values)

    def answered(self, version: str, values: str, code: str = "200", grpc: str = "") -> None:
        """Count requests in the proxy of a version's pod."""
        own = f'{self.pod(version)}, job="tfserving-proxies"'
        if self.telemetry == "istio":
            labels = (
                f'{own}, {self.istio("destination", version)}, response_code="{code}", grpc_response_status="{grpc}"'
            )
            self.feed(f"istio_requests_total{{{labels}}}", values)
            return
        self.envoy(own, f"inbound|{8500 if grpc else 8501}||", values, code, grpc)

    def envoy(self, own: str, cluster: str, values: str, code: str, grpc: str) -> None:
        labels = f'{own}, cluster_name="{cluster}"'
        self.feed(f'envoy_cluster_upstream_rq{{{labels}, response_code="{code}"}}', values)
        self.feed(f'envoy_cluster_upstream_rq{{{labels}, response_code_class="{code[0]}xx"}}', values)
        if grpc:
            self.feed(f"envoy_cluster_grpc_{grpc}{{{labels}}}", values)

    def took(self, version: str, le: str, values: str) -> None:
        own = 'namespace="callers", pod="caller-1", instance="caller-1:15020"'
        if self.telemetry == "istio":
            labels = f'{own}, {self.istio("source", version)}, le="{le}"'
            self.feed(f"istio_request_duration_milliseconds_bucket{{{labels}}}", values)
            return
        cluster = f"outbound|8501|{version}|inception.models.svc.cluster.local"
        self.feed(f'envoy_cluster_upstream_rq_time_bucket{{{own}, cluster_name="{cluster}", le="{le}"}}', values)

    def pods(self, version: str, number: int, available: int) -> None:
        """Have the exporter tell of a version's pods."""
        labels = f'namespace="models", model="inception", version="{version}"'
        self.feed(f"tfserving_pods{{{labels}}}", f"{number}x60")
        self.feed(f"tfserving_pods_available{{{labels}}}", f"{available}x60")

    @staticmethod
    def istio(reporter: str, version: str) -> str:
        return (
            f'reporter="{reporter}", {SERVICE}, destination_service_namespace="models", '
            f'destination_version="{version}", destination_canonical_revision="{version}"'
        )

    @staticmethod
    def pod(version: str, name: str = "1") -> str:
        pod = f"inception-{version}-{name}"
        return f'namespace="models", model="inception", version="{version}", pod="{pod}", instance="{pod}:15020"'
