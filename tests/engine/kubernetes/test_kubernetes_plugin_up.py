"""Whole runs of `pulumi up`, `preview` and `destroy` with the Kubernetes plugin."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterator

import pytest

from tests.engine.conftest import Project
from tests.engine.kubernetes.cluster import Cluster, Definition, eventually, unique

pytestmark = pytest.mark.engine

IMPORTS = "import pulumi\nimport pulumi_kubernetes as k8s\n"
PAUSE = "registry.k8s.io/pause:3.10.1"


@pytest.fixture
def definition(cluster: Cluster) -> Iterator[Definition]:
    with cluster.definition() as made:
        made.create(cluster)
        yield made


def route(definition: Definition, namespace: str, *weights: int) -> str:
    """A program with one weighted route, as an Istio VirtualService has it."""
    destinations = [{"destination": {"subset": f"v{i}"}, "weight": weight} for i, weight in enumerate(weights, 1)]
    return (
        IMPORTS
        + f"""
k8s.apiextensions.CustomResource(
    "route",
    api_version={definition.version!r},
    kind={definition.kind!r},
    metadata={{"namespace": {namespace!r}, "name": "route", "annotations": {{"pulumi.com/patchForce": "true"}}}},
    spec={{"http": [{{"route": {destinations!r}}}]}},
)
"""
    )


def test_a_weight_change_is_one_update_and_its_preview_shows_the_weights_alone(
    on_cluster: Project, cluster: Cluster, namespace: str, definition: Definition
) -> None:
    on_cluster.program(route(definition, namespace, 95, 5))
    assert on_cluster.up().changes == {"create": 2}
    on_cluster.program(route(definition, namespace, 75, 25))
    preview = on_cluster.preview()
    assert preview.step("route").detailed_diff == {
        "spec.http[0].route[0].weight": "update",
        "spec.http[0].route[1].weight": "update",
    }
    assert "weight: 95 => 75" in preview.text
    assert "weight: 5 => 25" in preview.text
    assert on_cluster.up().changes == {"update": 1}
    live = cluster.live(definition.name, "route", namespace)
    assert [entry["weight"] for entry in live["spec"]["http"][0]["route"]] == [75, 25]
    assert on_cluster.up().changes == {}


def test_a_weight_edited_by_hand_shows_in_a_refreshing_preview_and_is_put_back(
    on_cluster: Project, cluster: Cluster, namespace: str, definition: Definition
) -> None:
    on_cluster.program(route(definition, namespace, 90, 10))
    on_cluster.up()
    assert on_cluster.up("--refresh").changes == {}
    edited = [{"destination": {"subset": f"v{i}"}, "weight": weight} for i, weight in ((1, 46), (2, 54))]
    cluster.patch(definition.name, "route", namespace, {"spec": {"http": [{"route": edited}]}})

    assert on_cluster.up().changes == {}, "without a refresh nobody looks"
    preview = on_cluster.preview("--refresh")
    assert re.search(r"weight *: 10 => 54", preview.text)
    assert on_cluster.up("--refresh").changes == {"update": 1}
    live = cluster.live(definition.name, "route", namespace)
    assert [entry["weight"] for entry in live["spec"]["http"][0]["route"]] == [90, 10]
    assert on_cluster.up("--refresh").changes == {}


def test_a_cluster_that_is_still_to_be_created_can_be_previewed(on_cluster: Project, namespace: str) -> None:
    on_cluster.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\nversion: 1.2.3\n")
    on_cluster.program(
        IMPORTS
        + f"""
import os, pathlib
kubeconfig = pathlib.Path(os.environ["KUBECONFIG"]).read_text()

async def later():
    return kubeconfig

async def known():
    return not pulumi.runtime.is_dry_run()

provider = k8s.Provider("cluster", kubeconfig=pulumi.Output(set(), later(), known()))
options = pulumi.ResourceOptions(provider=provider)
k8s.helm.v3.Release("demo", chart="./demo", namespace={namespace!r}, opts=options)
k8s.apiextensions.CustomResource("r", api_version="absent.example.com/v1", kind="Route", spec={{"a": 1}}, opts=options)
"""
    )
    preview = on_cluster.preview()
    assert preview.changes == {"create": 4}


def test_a_replaced_object_with_a_generated_name_comes_before_the_old_one_goes(
    on_cluster: Project, cluster: Cluster, namespace: str
) -> None:
    program = """
data = {{"a": "{value}"}}
settings = k8s.core.v1.ConfigMap("settings", metadata={{"namespace": {namespace!r}}}, data=data)
fixed = k8s.core.v1.ConfigMap("fixed", metadata={{"namespace": {namespace!r}, "name": "fixed"}}, data=data)
pulumi.export("name", settings.metadata["name"])
"""
    on_cluster.program(IMPORTS + program.format(namespace=namespace, value=1))
    on_cluster.up()
    first = on_cluster.outputs()["name"]
    assert first.startswith("settings-")
    on_cluster.program(IMPORTS + program.format(namespace=namespace, value=2))
    outcome = on_cluster.up()
    assert outcome.ops("settings") == ["create-replacement", "replace", "delete-replaced"]
    assert outcome.ops("fixed")[0] == "delete-replaced"
    second = on_cluster.outputs()["name"]
    assert second != first
    assert cluster.get("configmap", first, namespace) is None
    assert cluster.live("configmap", second, namespace)["data"] == {"a": "2"}
    assert cluster.live("configmap", "fixed", namespace)["data"] == {"a": "2"}


def server(namespace: str, command: str) -> str:
    """A program with a server and something that has to come after it."""
    return (
        IMPORTS
        + f"""
labels = {{"app": "server"}}
deployment = k8s.apps.v1.Deployment(
    "server",
    metadata={{"namespace": {namespace!r}, "annotations": {{"pulumi.com/timeoutSeconds": "8"}}}},
    spec={{
        "selector": {{"match_labels": labels}},
        "template": {{
            "metadata": {{"labels": labels}},
            "spec": {{
                "termination_grace_period_seconds": 0,
                "containers": [{{
                    "name": "server",
                    "image_pull_policy": "Never",
                    "termination_message_policy": "FallbackToLogsOnError",
                    {command}
                }}],
            }},
        }},
    }},
)
k8s.core.v1.ConfigMap(
    "after",
    metadata={{"namespace": {namespace!r}, "name": "after"}},
    opts=pulumi.ResourceOptions(depends_on=deployment),
)
"""
    )


def test_a_server_that_does_not_start_fails_the_run_with_its_reason_and_the_next_run_goes_on(
    on_cluster: Project, cluster: Cluster, namespace: str
) -> None:
    reason = "no versions of servable half-plus found"
    broken = f'"image": "registry.k8s.io/coredns/coredns:v1.13.1", "args": ["-conf", "/{reason}"], '
    broken += '"readiness_probe": {"tcp_socket": {"port": 1}}'
    on_cluster.program(server(namespace, broken))
    outcome = on_cluster.up(fails=True)
    assert reason in outcome.text
    assert "timed out waiting to be Ready" in outcome.text
    assert cluster.get("configmap", "after", namespace) is None

    on_cluster.program(server(namespace, f'"image": "{PAUSE}"'))
    assert on_cluster.up().changes == {"create": 1, "update": 1}
    assert cluster.get("configmap", "after", namespace) is not None


def test_an_interrupted_run_is_picked_up_by_the_next(on_cluster: Project, cluster: Cluster, namespace: str) -> None:
    on_cluster.program(server(namespace, '"image": "example.com/absent:1"').replace('"8"', '"100"'))
    process = on_cluster.start("up", "--yes", "--skip-preview")
    eventually(
        lambda: cluster.kubectl("get", "pods", "-n", namespace, "-l", "app=server", "-o", "name"), "a pod of the server"
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    on_cluster.program(server(namespace, f'"image": "{PAUSE}"'))
    assert on_cluster.up().changes == {"create": 1, "update": 1}


def test_no_secret_stands_in_the_state_or_on_the_screen(on_cluster: Project, namespace: str) -> None:
    password = unique("hunter")
    on_cluster.set("password", password, "--secret")
    on_cluster.program(
        IMPORTS
        + f"""
password = pulumi.Config().require_secret("password")
metadata = {{"namespace": {namespace!r}}}
key = k8s.core.v1.Secret("key", metadata=metadata, string_data={{"password": password}})
k8s.core.v1.ConfigMap("settings", metadata=metadata, data={{"password": password}})
pulumi.export("data", key.data)
"""
    )
    shown = on_cluster.preview().text + on_cluster.up().text + on_cluster.up("--refresh", "--diff").text
    assert password not in shown
    assert password not in json.dumps(on_cluster.export())
    assert on_cluster.outputs()["data"] == "[secret]"


def test_a_release_brings_the_definition_of_what_comes_after_it(
    on_cluster: Project, cluster: Cluster, namespace: str
) -> None:
    with cluster.definition() as definition:
        on_cluster.write("demo/Chart.yaml", "apiVersion: v2\nname: demo\nversion: 1.2.3\n")
        on_cluster.write("demo/templates/definition.yaml", json.dumps(definition.manifest))
        on_cluster.program(
            IMPORTS
            + f"""
release = k8s.helm.v3.Release("demo", chart="./demo", namespace={namespace!r})
# in the background, since it takes the garbage collector a while to look after objects of a new kind
annotations = {{"pulumi.com/deletionPropagationPolicy": "background"}}
k8s.apiextensions.CustomResource(
    "route", api_version={definition.version!r}, kind={definition.kind!r}, spec={{"a": 1}},
    metadata={{"namespace": {namespace!r}, "annotations": annotations}},
    opts=pulumi.ResourceOptions(depends_on=release),
)
"""
        )
        assert on_cluster.preview().changes == {"create": 3}
        assert on_cluster.up().changes == {"create": 3}
        assert on_cluster.up("--refresh").changes == {}
        assert on_cluster.destroy().changes == {"delete": 3}
        assert cluster.get("crd", definition.name) is None


def test_an_object_of_someone_else_can_be_read_and_taken_over(
    on_cluster: Project, cluster: Cluster, namespace: str
) -> None:
    cluster.kubectl("create", "configmap", "theirs", "-n", namespace, "--from-literal=a=1")
    on_cluster.program(
        IMPORTS
        + f"""
found = k8s.core.v1.ConfigMap.get("found", "{namespace}/theirs")
taken = k8s.core.v1.ConfigMap(
    "taken", metadata={{"namespace": {namespace!r}, "name": "theirs"}}, data={{"a": "1"}},
    opts=pulumi.ResourceOptions(import_="{namespace}/theirs"),
)
pulumi.export("data", found.data)
"""
    )
    assert on_cluster.up().counts.get("import") == 1
    assert on_cluster.outputs() == {"data": {"a": "1"}}
