"""Monitoring: what counts each version's requests, records and shows them, and says when something is wrong.

What is recorded, shown and alerted on is in `infra.metrics`; here are the objects that carry it. A bundled stack brings
Prometheus and Grafana; with an operator's Prometheus only the exporter of weights runs here.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from infra import naming
from infra.component import Component, after
from infra.config_monitoring import MonitoringSettings
from infra.metrics import alerts, exporter, operator, rules, scrape, workloads
from infra.metrics.dashboards import dashboards
from infra.metrics.rules import EXPORTER_JOB
from infra.objects import KubernetesObject

_RBAC = "rbac.authorization.k8s.io/v1"
_FIXED = pulumi.ResourceOptions(delete_before_replace=True)  # others find it by this name


@dataclass(frozen=True)
class MonitoringArgs:
    """What is measured, and by what.

    Attributes:
        settings: from the stack's config; of kind bundled or operator.
        models: the models' namespace.
        host: the name at which browsers find Grafana by https; None where its password would travel in the clear.
    """

    settings: MonitoringSettings
    models: str
    host: str | None


class MonitoringNamespace(Component):
    """The namespace of all that measures; nothing in it has a sidecar."""

    namespace: pulumi.Output[str]

    def __init__(self, name: str, namespace: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("MonitoringNamespace", name, opts)
        manifest = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": namespace, "labels": naming.part_of()},
        }
        made = KubernetesObject(f"{name}-namespace", manifest, opts=self.child(_FIXED))
        self.namespace = made.object_name
        self.register_outputs({})


class _Objects(Component):
    """A component whose objects are all in one namespace."""

    def __init__(self, kind: str, name: str, namespace: str, opts: pulumi.ResourceOptions | None) -> None:
        super().__init__(kind, name, opts)
        self._namespace = namespace

    def _object(self, suffix: str, kind: str, body: Mapping[str, Any], **metadata: object) -> KubernetesObject:
        """Make an object with the name of its component, or with another; "" is one that Kubernetes makes up."""
        api_version, _, kind = kind.rpartition(".")
        given = {"name": self._name, "namespace": self._namespace, "labels": naming.part_of(), **metadata}
        manifest = {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {key: value for key, value in given.items() if value},
            **body,
        }
        return KubernetesObject(f"{self._name}-{suffix}", manifest, opts=self.child(_FIXED if given["name"] else None))

    def _reader(self, grants: list[dict[str, Any]], namespace: str) -> KubernetesObject:
        """Make a service account that may read these; in a namespace, or ("") in all of them."""
        account = self._object("service-account", "v1.ServiceAccount", {})
        name = "Role" if namespace else "ClusterRole"
        # In the whole cluster the name is this program's alone.
        where = {"namespace": namespace, "name": self._name if namespace else f"{naming.PROJECT}-{self._name}"}
        role = self._object("role", f"{_RBAC}.{name}", {"rules": grants}, **where)
        binding = {
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": name, "name": role.object_name},
            "subjects": [{"kind": "ServiceAccount", "name": account.object_name, "namespace": self._namespace}],
        }
        self._object("role-binding", f"{_RBAC}.{name}Binding", binding, **where)
        return account

    def _files(self, suffix: str, files: Mapping[str, str]) -> KubernetesObject:
        """Make a ConfigMap without a fixed name: a change makes a new one, and the pods roll to it."""
        return self._object(suffix, "v1.ConfigMap", {"data": dict(files)}, name="")

    def _service(self, port: int) -> KubernetesObject:
        labels = {**naming.part_of(), **workloads.selector(self._name)}
        return self._object("service", "v1.Service", {"spec": workloads.service(self._name, port)}, labels=labels)


class WeightsExporter(_Objects):
    """What tells the routes' weights, and how many of each version's pods are ready."""

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("WeightsExporter", EXPORTER_JOB, args.settings.namespace, opts)
        grants = [
            {"apiGroups": ["networking.istio.io"], "resources": ["virtualservices"], "verbs": ["list"]},
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        ]
        account = self._reader(grants, args.models)
        config = self._files("config", {"exporter.py": Path(exporter.__file__).read_text()})
        spec = workloads.exporter(args.settings.exporter_image, args.models, config.object_name, account.object_name)
        self._object("deployment", "apps/v1.Deployment", {"spec": spec})
        self._service(scrape.EXPORTER_PORT)
        self.register_outputs({})


class Prometheus(_Objects):
    """A Prometheus with the rules, that finds by itself what to scrape."""

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Prometheus", workloads.PROMETHEUS, args.settings.namespace, opts)
        account = self._reader([{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}], "")
        interval = args.settings.interval_seconds
        config = scrape.prometheus_config(args.models, args.settings.namespace, interval)
        files = {"prometheus.yml": json.dumps(config, indent=2), "rules.yml": json.dumps(rule_file(args), indent=2)}
        spec = workloads.prometheus(
            args.settings.prometheus, self._files("config", files).object_name, account.object_name
        )
        self._object("statefulset", "apps/v1.StatefulSet", {"spec": spec})
        self._service(workloads.PROMETHEUS_PORT)
        self.register_outputs({})


def rule_file(args: MonitoringArgs) -> dict[str, Any]:
    """Return Prometheus' rule file, which is an operator's PrometheusRule as well."""
    settings = args.settings
    recorded = rules.groups(args.models, settings.telemetry, settings.interval_seconds)
    return {"groups": [*recorded, *alerts.groups(settings.interval_seconds)]}


class Grafana(_Objects):
    """A Grafana with the dashboards; its one user is admin, with a password made here.

    Attributes:
        password: admin's; secret.
    """

    password: pulumi.Output[str]

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Grafana", workloads.GRAFANA, args.settings.namespace, opts)
        # A new one is offered on every run; the stash keeps its first one.
        kept = pulumi.Stash(
            f"{self._name}-password",
            input=pulumi.Output.secret(secrets.token_urlsafe(24)),
            opts=self.child(pulumi.ResourceOptions(ignore_changes=["input"])),
        )
        self.password = pulumi.Output.secret(kept.output)
        secret = self._object("admin", "v1.Secret", {"stringData": {"password": self.password}}, name="")
        provisioning = {name: json.dumps(content) for name, content in workloads.grafana_provisioning().items()}
        spec = workloads.grafana(
            args.settings.grafana,
            grafana_url(args.host),
            provisioning=self._files("provisioning", provisioning).object_name,
            dashboards=self._files("dashboards", dashboards()).object_name,
            password=secret.object_name,
        )
        self._object("deployment", "apps/v1.Deployment", {"spec": spec})
        self._service(workloads.GRAFANA_PORT)
        if args.host is not None:
            route = workloads.grafana_route(args.host, args.settings.namespace)
            # The gateway takes routes from its own namespace alone.
            self._object("route", f"{naming.ISTIO_NETWORKING}.VirtualService", {"spec": route}, namespace=args.models)
        self.register_outputs({})


def grafana_url(host: str | None) -> str:
    """Return where browsers find Grafana: through the gateway, or else by a port-forward."""
    origin = f"https://{host}" if host else f"http://localhost:{workloads.GRAFANA_PORT}"
    return f"{origin}{workloads.GRAFANA_PATH}"


class OperatorObjects(_Objects):
    """What an operator's Prometheus and Grafana find by their labels."""

    def __init__(self, args: MonitoringArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("OperatorObjects", naming.PROJECT, args.settings.namespace, opts)
        labels = {**naming.part_of(), **args.settings.labels}
        for kind, name, spec in operator.monitors(args.models, args.settings.interval_seconds):
            self._object(name, f"{operator.API}.{kind}", {"spec": spec}, name=name, labels=labels)
        self._object("rules", f"{operator.API}.PrometheusRule", {"spec": rule_file(args)}, labels=labels)
        shown = {**labels, **operator.DASHBOARD_LABELS}
        self._object("dashboards", "v1.ConfigMap", {"data": dashboards()}, labels=shown)
        self.register_outputs({})


class Monitoring(Component):
    """All that measures, in its own namespace.

    Attributes:
        access: what an operator needs to look at it, by name.
    """

    access: dict[str, pulumi.Input[Any]]

    def __init__(
        self, name: str, args: MonitoringArgs, opts: pulumi.ResourceOptions, new_only: pulumi.ResourceOptions
    ) -> None:
        super().__init__("Monitoring", name, opts)
        namespace = MonitoringNamespace(f"{name}-home", args.settings.namespace, new_only)
        inside = after(self.child(), namespace)
        WeightsExporter(args, inside)
        self.access = {"kind": args.settings.kind, "namespace": args.settings.namespace}
        if args.settings.kind == "operator":
            OperatorObjects(args, inside)
        else:
            Prometheus(args, inside)
            self.access["prometheus"] = port_forward(
                args.settings.namespace, workloads.PROMETHEUS, workloads.PROMETHEUS_PORT
            )
            if args.settings.grafana.enabled:
                self._show(args, inside)
        self.register_outputs({})

    def _show(self, args: MonitoringArgs, opts: pulumi.ResourceOptions) -> None:
        self.access |= {
            "grafana": port_forward(args.settings.namespace, workloads.GRAFANA, workloads.GRAFANA_PORT),
            "grafanaUrl": grafana_url(args.host),
            "grafanaUser": "admin",
            "grafanaPassword": Grafana(args, opts).password,
        }


def port_forward(namespace: str, service: str, port: int) -> str:
    """Return the command that brings a Service to this machine."""
    return f"kubectl --namespace {namespace} port-forward service/{service} {port}"
