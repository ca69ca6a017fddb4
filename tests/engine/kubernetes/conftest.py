"""The Kubernetes plugin, driven by the engine's own protocol or by the real Pulumi CLI, against a real API server.

    def test_something(plugin: Plugin, namespace: str) -> None:
        inputs = plugin.check(CONFIG_MAP, "settings", {"metadata": {"namespace": namespace}, "data": {"a": "1"}})
        resource = plugin.create(CONFIG_MAP, "settings", inputs)

Which plugin that is, `sandbox.pulumi_env` decides: the same tests have to pass with the real one (`PLUGINS=real`).
The cluster is the one of KUBECONFIG, else the sandbox's. Everything is made in namespaces of the tests' own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.paths import state_root
from sandbox.pulumi_env import Tools
from tests.engine.conftest import Project
from tests.engine.kubernetes.cluster import Cluster
from tests.engine.kubernetes.protocol import Plugin


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The cluster that the tests may write to; fails, never skips, where there is none."""
    kubeconfig = Path(os.environ.get("KUBECONFIG") or state_root() / "kubeconfig")
    if not kubeconfig.is_file():
        pytest.fail("no cluster: KUBECONFIG is unset and no sandbox is up. Run: make up")
    return Cluster(kubeconfig)


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own; it is deleted with all that is in it."""
    with cluster.namespace() as name:
        yield name


@pytest.fixture(scope="session")
def plugin_path(kubernetes_plugin: Tools) -> Path:
    """The plugin's executable."""
    return kubernetes_plugin.kubernetes.path


@pytest.fixture(scope="session")
def configured(plugin_path: Path, cluster: Cluster) -> Iterator[Plugin]:
    """One plugin process for all tests, connected to the cluster."""
    with Plugin(plugin_path) as plugin:
        plugin.configure(kubeconfig=str(cluster.kubeconfig))
        yield plugin


@pytest.fixture
def plugin(configured: Plugin) -> Plugin:
    """The configured plugin, with no log lines from other tests."""
    configured.engine.lines.clear()
    return configured


@pytest.fixture
def on_cluster(project: Project, cluster: Cluster, kubernetes_plugin: Tools) -> Project:  # noqa: ARG001 - must be there
    """A Pulumi project whose ambient cluster is the tests'."""
    project.environ["KUBECONFIG"] = str(cluster.kubeconfig)
    return project
