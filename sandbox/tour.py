"""What `up` ends with: each model's split as configured, as the calling pod's proxy has it, and as requests find it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from kubernetes.client import CoreV1Api

REQUESTS = 1000
STEP = 25  # the next canary step that is proposed, per cent


@dataclass(frozen=True)
class VersionView:
    """One version as seen from three sides.

    Attributes:
        model: TF Serving's version number.
        pods: "ready/wanted".
        configured, in_proxy: per cent; None where the proxy has no route for the model.
        answered: how many of `REQUESTS` this version answered.
    """

    name: str
    model: int
    pods: str
    configured: int
    in_proxy: int | None
    answered: int


def answered_by(answers: Mapping[str, int]) -> dict[int, int]:
    """Count answers of `GET .../metadata` by the model version that each names; those that name none count as 0.

    TF Serving's metadata begins with the model's name and version; the rest may be cut off.
    """
    counts: dict[int, int] = {}
    for body, count in answers.items():
        named = re.match(r'\{"model_spec":\{[^}]*"version":"(\d+)"', body)
        number = int(named[1]) if named else 0
        counts[number] = counts.get(number, 0) + count
    return counts


def measure(api: CoreV1Api, pod: str, url: str, requests: int) -> dict[int, int]:
    """Send requests from the calling pod and count, by model version, who answered."""
    from rollout.proxies import execute

    command = ["/caller", "load", "--url", f"{url}/metadata", "--requests", str(requests), "--connections", "8"]
    report = json.loads(execute(api, "callers", pod, "caller", command))
    return answered_by({answer["body"]: answer["count"] for answer in report["answers"] if answer["status"] == 200})


def view(
    api: CoreV1Api, deployments: Mapping[str, Any], pod: str, name: str, model: Mapping[str, Any], namespace: str
) -> list[VersionView]:
    """Look at one model, as the stack's outputs give it, from the calling pod."""
    from infra import naming
    from rollout.proxies import proxy_weights

    host = naming.service_host(name, namespace)
    in_proxy = proxy_weights(api, "callers", pod, host, naming.HTTP_PORT)
    counts = measure(api, pod, model["url"], REQUESTS)
    views = []
    for version, number in model["versions"].items():
        deployment = deployments[naming.version_name(name, version)]
        views.append(
            VersionView(
                name=version,
                model=int(number),
                pods=f"{deployment.status.ready_replicas or 0}/{deployment.spec.replicas}",
                configured=int(model["weights"][version]),
                in_proxy=None if in_proxy is None else in_proxy.get(version, 0),
                answered=counts.get(int(number), 0),
            )
        )
    return views


def table(models: Mapping[str, list[VersionView]]) -> Table:
    """Lay the views out, a row for each version."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("Model", "Version", "TF Serving version", "Pods ready"):
        shown.add_column(heading)
    for heading in ("Weight configured", "Weight in the proxy", f"Share of {REQUESTS:,} requests"):
        shown.add_column(heading, justify="right")
    for name, views in models.items():
        for row, each in enumerate(views):
            shown.add_row(
                name if row == 0 else "",
                each.name,
                str(each.model),
                each.pods,
                f"{each.configured} %",
                "no route" if each.in_proxy is None else f"{each.in_proxy} %",
                f"{100 * each.answered / REQUESTS:.1f} %",
            )
    return shown


def next_step(models: Mapping[str, list[VersionView]]) -> list[str]:
    """Return the two commands of the next canary step: the first version below `STEP` that is not the stable one."""
    for name, views in models.items():
        stable = max(views, key=lambda each: each.configured)
        for each in views:
            if each is not stable and each.configured < STEP:
                key = f"{each.name}Weight" if len(models) == 1 else f"{name}:{each.name}Weight"
                return [f"pulumi config set {key} {STEP}", "pulumi up"]
    return []


def show(outputs: Mapping[str, Any]) -> None:
    """Print the table and the next step, for the cluster that KUBECONFIG names."""
    from kubernetes import client, config

    from rollout.injector import untrusting

    config.load_kube_config()  # type: ignore[no-untyped-call]
    api, namespace = client.CoreV1Api(), outputs["namespace"]
    # The client's types have every field optional; those read here are never absent from a live object.
    pods: list[Any] = api.list_namespaced_pod("callers", label_selector="app=caller").items
    pod = next(p.metadata.name for p in pods if p.status.phase == "Running" and p.metadata.deletion_timestamp is None)
    found: list[Any] = client.AppsV1Api().list_namespaced_deployment(namespace).items
    deployments = {each.metadata.name: each for each in found}
    models = {name: view(api, deployments, pod, name, model, namespace) for name, model in outputs["models"].items()}
    console = Console()
    console.print()
    console.print(table(models))
    strangers = untrusting(client.AdmissionregistrationV1Api(), outputs["rootCertificate"])
    if strangers:
        console.print(f"\n[red]These webhooks do not trust the stack's CA, so no pod gets a sidecar: {strangers}[/red]")
    commands = next_step(models)
    if commands:
        console.print("\nThe next canary step:\n")
        for command in ['eval "$(python3 -m sandbox env)"', *commands]:
            console.print(f"    {command}", highlight=False)
