from __future__ import annotations

import base64
import io
import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from sandbox import environment, external, lifecycle, materials, network, node, node_config, stack, status
from sandbox.errors import SandboxError
from sandbox.paths import CHECKOUT
from sandbox.progress import Step, run_steps
from sandbox.state import State, new_state


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return new_state(None)


def test_the_users_own_tools_come_before_the_sandboxs(state: State, tmp_path: Path) -> None:
    path = environment.variables(state, {"PATH": "/users/bin:/users/sbin"})["PATH"].split(":")
    assert path[0] == str(CHECKOUT / ".venv" / "bin")
    assert path[1:3] == ["/users/bin", "/users/sbin"]
    assert path[-1] == str(tmp_path / "cache" / "tfserving-mesh" / "path")


def test_evaluating_the_environment_twice_changes_nothing(state: State) -> None:
    before = {"PATH": "/usr/bin", "HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost"}
    once = environment.variables(state, before)
    assert environment.variables(state, before | once) == once


def test_a_users_proxy_is_not_asked_for_the_sandbox(state: State) -> None:
    found = environment.variables(
        state, {"PATH": "/usr/bin", "https_proxy": "http://proxy:3128", "no_proxy": "localhost"}
    )
    assert found["NO_PROXY"] == found["no_proxy"] == "localhost,10.243.255.2,10.243.255.1,10.244.0.0/24"
    assert "NO_PROXY" not in environment.variables(state, {"PATH": "/usr/bin"})


def test_pulumi_means_the_sandbox_and_not_the_users_login(state: State) -> None:
    found = environment.variables(state, {"PATH": "/usr/bin"})
    assert found["KUBECONFIG"] == str(state.kubeconfig)
    assert found["PULUMI_BACKEND_URL"].startswith(f"file://{state.root}")


def test_a_gke_cluster_is_the_sandbox_wherever_kubeconfig_points(state: State, tmp_path: Path) -> None:
    found = environment.variables(state, {"PATH": "/users/bin", "KUBECONFIG": "/users/kubeconfig"})
    assert found["SANDBOX_KUBECONFIG"] == str(state.kubeconfig)
    assert Path(found["SANDBOX_CLOUD"]).parent == state.root, "`down` takes it away"
    plugin = tmp_path / "bin" / "pulumi-resource-gcp"
    plugin.parent.mkdir()
    plugin.touch(mode=0o755)
    real = environment.variables(state, {"PATH": str(plugin.parent)})
    assert not {"SANDBOX_KUBECONFIG", "SANDBOX_CLOUD", "SSL_CERT_FILE"} & real.keys()


def _sandbox_with_authority(state: State, authority: bytes) -> None:
    config = _kubeconfig("sandbox", token="t") | {"current-context": "sandbox"}
    encoded = base64.b64encode(authority).decode()
    config["clusters"][0]["cluster"] = {"server": "https://x", "certificate-authority-data": encoded}
    state.root.mkdir(parents=True, exist_ok=True)
    state.kubeconfig.write_text(yaml.safe_dump(config))


def test_the_sandboxs_certificate_is_trusted_beside_those_that_the_user_trusts(state: State, tmp_path: Path) -> None:
    users = tmp_path / "corporate.pem"
    users.write_bytes(b"corporate root\n")
    _sandbox_with_authority(state, b"sandbox root\n")
    before = {"PATH": "/users/bin", "SSL_CERT_FILE": str(users)}
    once = environment.variables(state, before)
    roots = Path(once["SSL_CERT_FILE"])
    assert roots.read_bytes().split(b"\n") == [b"corporate root", b"", b"sandbox root", b""]
    assert users.read_bytes() == b"corporate root\n"
    assert environment.variables(state, before | once) == once, "evaluating it twice changes nothing"
    _sandbox_with_authority(state, b"another sandbox\n")
    environment.variables(state, before | once)
    assert b"corporate root" in roots.read_bytes()
    assert b"another sandbox" in roots.read_bytes()


def test_without_a_sandbox_the_users_trust_stays_as_it_is(state: State) -> None:
    assert "SSL_CERT_FILE" not in environment.variables(state, {"PATH": "/users/bin", "SSL_CERT_FILE": "/users/ca"})


def test_a_shell_reads_back_what_env_prints() -> None:
    settings = {"A": "with blank", "B": "quote ' and $HOME", "C": ""}
    script = environment.export_lines(settings) + "".join(f'printf "%s\\n" "${name}"\n' for name in settings)
    shown = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == list(settings.values())
    assert shlex.quote("with blank") in script


def _kubeconfig(name: str, **user: str) -> dict[str, Any]:
    return {
        "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": f"{name}-user"}}],
        "clusters": [
            {"name": f"{name}-cluster", "cluster": {"server": "https://x", "certificate-authority": "ca.pem"}}
        ],
        "users": [{"name": f"{name}-user", "user": user}],
    }


def test_only_the_chosen_context_of_a_kubeconfig_is_used(tmp_path: Path) -> None:
    for name in ("mine", "secret"):
        (tmp_path / name).write_text(yaml.safe_dump(_kubeconfig(name, token=f"token-of-{name}")))
    found = external.minified("mine", [tmp_path / "mine", tmp_path / "secret", tmp_path / "missing"])
    assert found["current-context"] == "mine"
    assert "token-of-secret" not in str(found)
    assert found["clusters"][0]["cluster"]["certificate-authority"] == str(tmp_path / "ca.pem")


def test_an_unknown_context_is_told_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(yaml.safe_dump(_kubeconfig("kind-mine")))
    with pytest.raises(SandboxError, match="no kubeconfig context kind-me; there are: kind-mine"):
        external.minified("kind-me", [tmp_path / "config"])
    (tmp_path / "config").write_text("a: [")
    with pytest.raises(SandboxError, match="cannot be read as a kubeconfig"):
        external.minified("kind-me", [tmp_path / "config"])


def test_addresses_that_the_machine_uses_already_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "interface_exists", lambda: False)
    monkeypatch.setattr(network, "_ip", lambda *_: '[{"dst": "10.244.0.0/16", "dev": "flannel0"}]')
    with pytest.raises(SandboxError, match=r"10\.244\.0\.0/16 on flannel0"):
        network.require_free_addresses(tmp_path)
    monkeypatch.setattr(
        network, "_ip", lambda *_: '[{"dst": "default", "dev": "eth0"}, {"dst": "10.0.0.0/8", "dev": "vpn"}]'
    )
    network.require_free_addresses(tmp_path)


def test_another_users_sandbox_is_named_by_its_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "interface_exists", lambda: True)
    monkeypatch.setattr(network, "_ip", lambda *_: '[{"ifalias": "/home/other/state"}]')
    with pytest.raises(SandboxError, match="/home/other/state"):
        network.require_free_addresses(tmp_path)
    assert not network.owned_by(tmp_path)


def test_the_node_keeps_its_images_and_its_cgroups_to_itself() -> None:
    kubelet = next(part for part in yaml.safe_load_all(node_config.kubeadm()) if part["kind"] == "KubeletConfiguration")
    assert kubelet["imageGCHighThresholdPercent"] == 100
    assert kubelet["cgroupRoot"] == f"/{node_config.CGROUP}"
    assert node_config.NODE_PODS.subnet_of(node_config.PODS)


def _run(steps: list[Step], *, terminal: bool = False) -> str:
    out = io.StringIO()
    run_steps(steps, Console(file=out, force_terminal=terminal, width=200))
    return out.getvalue()


def test_a_log_without_a_terminal_shows_each_step_and_that_it_still_runs() -> None:
    out = io.StringIO()

    def work() -> None:
        while "running" not in out.getvalue():
            time.sleep(0.01)

    run_steps([Step("first [x]", lambda: None), Step("second", work)], Console(file=out, width=200), heartbeat=0.05)
    lines = re.sub(r"\d+ s$", "N s", out.getvalue(), flags=re.MULTILINE).splitlines()
    assert lines[:3] == ["[1/2] first [x] ...", "[1/2] first [x]: done in N s", "[2/2] second ..."]
    assert set(lines[3:-1]) == {"[2/2] second: running for N s"}
    assert lines[-1] == "[2/2] second: done in N s"


def test_a_terminal_keeps_one_line_per_finished_step() -> None:
    assert "[1/1] only: done in 0 s" in _run([Step("only", lambda: None)], terminal=True)


def test_a_failed_step_ends_the_work_and_its_heartbeat() -> None:
    def fail() -> None:
        raise SandboxError("the reason")

    with pytest.raises(SandboxError, match="the reason"):
        _run([Step("fails", fail), Step("never", lambda: pytest.fail("ran"))])


def test_a_pod_that_cannot_start_is_shown_with_its_reason() -> None:
    waiting = {"name": "server", "state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}
    pod = {"status": {"phase": "Pending", "conditions": [], "containerStatuses": [waiting]}}
    assert not status.pod_ready(pod)
    assert status.pod_reason(pod) == "server: no such image"
    assert status.pod_ready({"status": {"phase": "Succeeded"}})


def test_a_rebuilt_image_restarts_the_pods_that_run_its_former_self_and_no_others() -> None:
    def pod(name: str, image: str, owner: str | None = "ReplicaSet", **spec: Any) -> dict[str, Any]:
        owners = [{"kind": owner}] if owner else []
        metadata = {"name": name, "namespace": "models", "ownerReferences": owners}
        return {"metadata": metadata, "spec": {"containers": [{"image": image}], **spec}}

    serving, proxy = "docker.io/tensorflow/serving:2.20.0", "docker.io/istio/proxyv2:1.31-sandbox"
    pods = [
        pod("short", "tensorflow/serving:2.20.0"),
        pod("sidecar", "another:1", initContainers=[{"image": proxy}]),
        pod("other", "another:1"),
        pod("static", serving, owner="Node"),
        pod("bare", serving, owner=None),
    ]
    assert node.former(pods, [serving, proxy]) == {"models": ["short", "sidecar"]}
    assert node.former(pods, []) == {}


def test_the_calling_pod_is_made_anew_for_a_mesh_with_another_root_and_for_no_other_reason() -> None:
    first, again, other = (stack.caller(root) for root in ("one", "one", "two"))
    assert first == again
    assert first != other
    assert [each["kind"] for each in yaml.safe_load_all(first)] == ["Namespace", "Deployment"]


def test_a_state_folder_that_somebody_removed_does_not_stop_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "gone"))
    monkeypatch.setattr(materials, "remove_charts", lambda _: None)
    lifecycle.clear(None)
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("command", ["env", "exec -- true", "status"])
def test_outside_a_sandbox_a_command_says_so_in_one_line(command: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", *command.split()],
        cwd=CHECKOUT,
        env={"XDG_STATE_HOME": str(tmp_path), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stdout + done.stderr).strip()
    assert done.returncode == 1
    assert "`python -m sandbox up`" in said
    assert len(said.splitlines()) == 1


def test_a_state_of_a_users_cluster_needs_no_proxy_settings(state: State) -> None:
    own = replace(state, context="kind-mine")
    assert "NO_PROXY" not in environment.variables(own, {"PATH": "/usr/bin", "HTTPS_PROXY": "http://proxy:3128"})


def test_a_mistyped_context_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "missing"))
    monkeypatch.setattr(lifecycle, "build", lambda *_: pytest.fail("built"))
    with pytest.raises(SandboxError, match="no kubeconfig context kind-mine; there are: none"):
        lifecycle.up("kind-mine", Console())
    assert not (tmp_path / "state").exists()
