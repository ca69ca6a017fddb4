"""helm.v3.Release: what Helm installs, what is kept of it, and how it recovers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.kubernetes.cluster import Cluster, unique
from tests.engine.kubernetes.protocol import (
    UNKNOWN,
    Failed,
    Plugin,
    Resource,
    Tree,
    is_secret,
    plain_text,
    reveal,
    secret,
)

pytestmark = pytest.mark.engine

RELEASE = "kubernetes:helm.sh/v3:Release"
TEMPLATES = {
    "settings.yaml": """\
apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-settings"}
data: {greeting: {{ .Values.greeting | quote }}}
""",
    "hidden.yaml": """\
apiVersion: v1
kind: Secret
metadata: {name: "{{ .Release.Name }}-hidden"}
stringData: {password: {{ .Values.password | quote }}}
""",
    "server.yaml": """\
{{- if .Values.image }}
apiVersion: apps/v1
kind: Deployment
metadata: {name: "{{ .Release.Name }}"}
spec:
  selector: {matchLabels: {app: "{{ .Release.Name }}"}}
  template:
    metadata: {labels: {app: "{{ .Release.Name }}"}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: server, image: {{ .Values.image | quote }}, imagePullPolicy: Never}]
{{- end }}
""",
}
PAUSE = "registry.k8s.io/pause:3.10.1"


def write_chart(folder: Path, version: str) -> None:
    """Writes a chart named demo."""
    chart = folder / "demo"
    (chart / "templates").mkdir(parents=True, exist_ok=True)
    (chart / "Chart.yaml").write_text(f"apiVersion: v2\nname: demo\nversion: {version}\nappVersion: '7'\n")
    (chart / "values.yaml").write_text('greeting: hello\npassword: ""\nimage: ""\n')
    for name, text in TEMPLATES.items():
        (chart / "templates" / name).write_text(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_chart(tmp_path, "1.2.3")
    return tmp_path


@pytest.fixture
def helm(plugin_path: Path, cluster: Cluster, folder: Path) -> Iterator[Plugin]:
    """A plugin whose program lies beside the chart."""
    with Plugin(plugin_path, folder=folder) as plugin:
        plugin.configure(kubeconfig=str(cluster.kubeconfig))
        yield plugin


def arguments(namespace: str, **more: Any) -> Tree:
    return {"chart": "./demo", "name": unique("demo"), "namespace": namespace, "timeout": 60, **more}


def settings(cluster: Cluster, resource: Resource) -> dict[str, str]:
    namespace, name = resource.id.split("/")
    return dict(cluster.live("configmap", f"{name}-settings", namespace)["data"])


def test_a_chart_beside_the_program_is_installed(helm: Plugin, cluster: Cluster, namespace: str) -> None:
    inputs = helm.check(RELEASE, "demo", arguments(namespace, values={"greeting": "hi"}))
    resource = helm.create(RELEASE, "demo", inputs)
    name = inputs["name"]
    assert resource.id == f"{namespace}/{name}"
    assert settings(cluster, resource) == {"greeting": "hi"}
    assert resource.state["status"] == {
        "appVersion": "7",
        "chart": "demo",
        "name": name,
        "namespace": namespace,
        "revision": 1.0,
        "status": "deployed",
        "version": "1.2.3",
    }
    assert resource.state["resourceNames"] == {
        "ConfigMap/v1": [f"{name}-settings"],
        "Secret/v1": [f"{name}-hidden"],
    }


def test_a_release_is_named_after_the_resource_and_keeps_its_name(helm: Plugin) -> None:
    first = helm.check(RELEASE, "demo", {"chart": "./demo"})
    assert re.fullmatch(r"demo-[0-9a-f]{8}", first["name"])
    assert first["namespace"] == "default"
    assert first["timeout"] == 300
    assert helm.check(RELEASE, "demo", {"chart": "./demo"}, olds=first)["name"] == first["name"]


def test_a_preview_installs_nothing_and_leaves_the_outputs_unknown(
    helm: Plugin, cluster: Cluster, namespace: str
) -> None:
    inputs = helm.check(RELEASE, "demo", arguments(namespace))
    resource = helm.create(RELEASE, "demo", inputs, preview=True)
    assert resource.state["status"] == resource.state["resourceNames"] == UNKNOWN
    assert cluster.get("configmap", f"{inputs['name']}-settings", namespace) is None


def test_secret_values_are_secret_in_the_state_and_in_no_line(helm: Plugin, cluster: Cluster, namespace: str) -> None:
    password = unique("hunter")
    values = {"password": secret(password), "greeting": "hi"}
    inputs = helm.check(RELEASE, "demo", arguments(namespace, values=values))
    assert is_secret(inputs["values"]["password"])
    assert inputs["values"]["greeting"] == "hi"
    resource = helm.create(RELEASE, "demo", inputs)
    assert is_secret(resource.state["__inputs"])
    refreshed = helm.read(resource)
    assert refreshed is not None
    for tree in (resource.state, refreshed.state, refreshed.inputs):
        assert password not in json.dumps(plain_text(tree))
    assert password not in json.dumps([line.message for line in helm.engine.lines])
    assert cluster.get("secret", f"{inputs['name']}-hidden", namespace) is not None
    assert not helm.diff(resource, inputs).changes


def test_a_value_changes_in_place_and_the_diff_names_it(helm: Plugin, cluster: Cluster, namespace: str) -> None:
    program = arguments(namespace, values={"greeting": "hi"})
    resource = helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
    inputs = helm.check(RELEASE, "demo", program | {"values": {"greeting": "salut"}}, olds=resource.inputs)
    difference = helm.diff(resource, inputs)
    assert difference.kinds == {"values.greeting": "update"}
    assert difference.replaces == []
    updated = helm.update(resource, inputs)
    assert settings(cluster, updated) == {"greeting": "salut"}
    assert updated.state["status"]["revision"] == 2
    assert not helm.diff(updated, inputs).changes


def test_a_new_chart_version_is_noticed_without_a_change_of_the_program(
    helm: Plugin, folder: Path, namespace: str
) -> None:
    program = arguments(namespace)
    resource = helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
    assert not helm.diff(resource, helm.check(RELEASE, "demo", program, olds=resource.inputs)).changes
    write_chart(folder, "1.3.0")
    inputs = helm.check(RELEASE, "demo", program, olds=resource.inputs)
    assert helm.diff(resource, inputs).kinds == {"version": "update"}


def test_another_namespace_is_a_replacement(helm: Plugin, namespace: str) -> None:
    program = arguments(namespace)
    resource = helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
    inputs = helm.check(RELEASE, "demo", program | {"namespace": "elsewhere"}, olds=resource.inputs)
    assert helm.diff(resource, inputs).replaces == ["namespace"]


def test_value_files_come_before_values(helm: Plugin, cluster: Cluster, folder: Path, namespace: str) -> None:
    (folder / "more.yaml").write_text("greeting: from a file\npassword: too\n")
    content = {"4dabf18193072939515e22adb298388d": "c44067f5952c0a294b673a41bacd8c17", "path": "more.yaml"}
    program = arguments(namespace, valueYamlFiles=[content], values={"greeting": "from values"})
    inputs = helm.check(RELEASE, "demo", program)
    assert inputs["values"] == {"greeting": "from values", "password": "too"}
    assert settings(cluster, helm.create(RELEASE, "demo", inputs)) == {"greeting": "from values"}


def test_a_missing_chart_is_said_at_check(helm: Plugin) -> None:
    answer = helm.check_answer(RELEASE, "demo", {"chart": "./nowhere"})
    assert [failure.property for failure in answer.failures] == ["chart"]
    assert 'path "./nowhere" not found' in answer.failures[0].reason


def test_a_release_whose_pods_do_not_start_fails_and_the_next_update_mends_it(
    helm: Plugin, cluster: Cluster, namespace: str
) -> None:
    program = arguments(namespace, timeout=4, values={"image": "example.com/absent:1"})
    with pytest.raises(Failed) as failed:
        helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
    assert "was created, but failed to initialize completely" in failed.value.message
    assert failed.value.id == f"{namespace}/{program['name']}"
    assert failed.value.state is not None
    assert failed.value.state["status"]["status"] == "failed"

    broken = Resource(RELEASE, "demo", failed.value.id, failed.value.state, reveal(failed.value.state["__inputs"]))
    mended = helm.check(RELEASE, "demo", program | {"timeout": 60, "values": {"image": PAUSE}}, olds=broken.inputs)
    resource = helm.update(broken, mended)
    assert resource.state["status"]["status"] == "deployed"
    assert cluster.live("deployment", program["name"], namespace)["status"]["readyReplicas"] == 1


def test_an_atomic_release_that_fails_leaves_nothing_behind(helm: Plugin, cluster: Cluster, namespace: str) -> None:
    program = arguments(namespace, atomic=True, timeout=4, values={"image": "example.com/absent:1"})
    with pytest.raises(Failed) as failed:
        helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
    assert failed.value.state is None
    assert cluster.get("configmap", f"{program['name']}-settings", namespace) is None


def test_a_release_that_someone_uninstalled_is_gone_after_a_refresh(
    helm: Plugin, cluster: Cluster, namespace: str
) -> None:
    resource = helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", arguments(namespace)))
    assert helm.read(resource) is not None
    cluster.kubectl("delete", "secret", "-n", namespace, "-l", f"owner=helm,name={resource.inputs['name']}")
    assert helm.read(resource) is None


def test_a_release_is_imported_by_namespace_and_name(helm: Plugin, namespace: str) -> None:
    program = arguments(namespace, values={"greeting": "hi"})
    created = helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
    imported = helm.read(Resource(RELEASE, "demo", created.id, {}))
    assert imported is not None
    assert imported.inputs["values"] == {"greeting": "hi"}
    assert (imported.inputs["chart"], imported.inputs["version"]) == ("demo", "1.2.3")


def test_a_deleted_release_takes_its_objects_with_it(helm: Plugin, cluster: Cluster, namespace: str) -> None:
    program = arguments(namespace, values={"image": PAUSE})
    resource = helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
    helm.delete(resource)
    assert cluster.get("configmap", f"{program['name']}-settings", namespace) is None
    assert cluster.get("deployment", program["name"], namespace) is None


def test_the_namespace_is_made_when_asked_for(helm: Plugin, cluster: Cluster) -> None:
    name = unique("plugin-test")
    program = arguments(name, createNamespace=True)
    try:
        resource = helm.create(RELEASE, "demo", helm.check(RELEASE, "demo", program))
        assert settings(cluster, resource) == {"greeting": "hello"}
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")
