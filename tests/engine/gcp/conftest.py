"""The GCP plugin, driven by the engine's own protocol or by the real Pulumi CLI. No test needs a Google account.

Which plugin that is, `sandbox.pulumi_env` decides. With a real one (`PLUGINS=real`), those tests run that ask for a
check or a preview; what creates something runs with the stand-in alone, which keeps it in a made-up cloud.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.pulumi_env import Tools
from tests.engine.conftest import Project
from tests.engine.gcp.protocol import CONFIG, ENVIRON, Plugin

SERVER = "https://10.0.0.9:6443"
AUTHORITY = b"-----BEGIN CERTIFICATE-----\nmade up\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="session")
def gcp_plugin(tools: Tools) -> Tools:
    """The tools, with a GCP plugin; fails, never skips, where there is none."""
    if tools.gcp is None:
        pytest.fail("pulumi-resource-gcp: PLUGINS is real, and there is none on PATH or under ~/.pulumi", pytrace=False)
    return tools


@pytest.fixture(scope="session")
def stand_in(gcp_plugin: Tools) -> None:
    """For tests that create something: the real plugin would do that at Google."""
    if gcp_plugin.gcp is not None and gcp_plugin.gcp.real:
        pytest.skip("the real plugin creates things at Google")


@pytest.fixture(scope="session")
def plugin_path(gcp_plugin: Tools, pulumi_environ: dict[str, str]) -> Path:
    """The plugin's executable."""
    assert gcp_plugin.gcp is not None
    if gcp_plugin.gcp.real:
        return gcp_plugin.gcp.path
    return next((Path(pulumi_environ["PULUMI_HOME"]) / "plugins").glob("resource-gcp-v*")) / "pulumi-resource-gcp"


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the sandbox's kubeconfig would be; nobody listens at its address."""
    cluster = {"server": SERVER, "certificate-authority-data": base64.b64encode(AUTHORITY).decode()}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": "t"}}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": "admin"}}],
    }
    file = tmp_path_factory.mktemp("sandbox") / "kubeconfig"
    file.write_text(json.dumps(config))
    return file


@pytest.fixture(scope="session")
def checker(plugin_path: Path) -> Iterator[Plugin]:
    """One plugin for all checks and plans: it has no cloud."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    with Plugin(plugin_path, environ=environ | ENVIRON) as plugin:
        plugin.configure(**CONFIG)
        yield plugin


@pytest.fixture
def plugin(plugin_path: Path, kubeconfig: Path, tmp_path: Path, stand_in: None) -> Iterator[Plugin]:  # noqa: ARG001
    """A plugin with an empty cloud."""
    environ = {**os.environ, "SANDBOX_CLOUD": str(tmp_path / "cloud.json"), "SANDBOX_KUBECONFIG": str(kubeconfig)}
    with Plugin(plugin_path, environ=environ) as plugin:
        plugin.configure(**CONFIG)
        yield plugin


def configured(project: Project, kubeconfig: Path, cloud: Path) -> Project:
    """A project whose provider is configured with a made-up token, and whose cloud is empty."""
    project.environ |= ENVIRON | {"SANDBOX_CLOUD": str(cloud), "SANDBOX_KUBECONFIG": str(kubeconfig)}
    for name, value in CONFIG.items():
        project.set(f"gcp:{name}", value, *(["--secret"] if name == "accessToken" else []))
    return project


@pytest.fixture
def gcp(project: Project, kubeconfig: Path, tmp_path: Path, gcp_plugin: Tools) -> Project:  # noqa: ARG001 - must be there
    """A Pulumi project for resources of Google's."""
    return configured(project, kubeconfig, tmp_path / "cloud.json")
