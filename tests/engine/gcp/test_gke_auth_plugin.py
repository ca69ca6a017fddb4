"""The stand-in for gke-gcloud-auth-plugin: a token that the sandbox takes, and one clear line where there is none."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.engine.gcp.api_server import EXPIRES, TOKEN, ApiServer, issue, serving

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("stand_in")]

ACCOUNT = "/api/v1/namespaces/kube-system/serviceaccounts/gke-user"
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/gke-user"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[ApiServer]:
    """A sandbox's API server, without the account yet."""
    (tmp_path / "server").mkdir()
    with serving(tmp_path / "server") as api:
        yield api


@pytest.fixture
def ask(pulumi_environ: dict[str, str], tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Starts the plugin as a client does, in an environment of just these variables."""
    program = Path(pulumi_environ["PULUMI_HOME"]) / "launchers" / "gke-gcloud-auth-plugin"
    (tmp_path / "empty").mkdir()

    def run(**environ: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: os.environ[name] for name in ("PATH",)}
        folder = str(tmp_path / "empty")
        return subprocess.run(
            [program],
            env={**inherited, "HOME": folder, "TMPDIR": folder, **environ},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    return run


def exec_info(server: str) -> str:
    """What a client says of the cluster that it means."""
    return json.dumps({"kind": "ExecCredential", "spec": {"cluster": {"server": server}, "interactive": False}})


def test_a_client_gets_a_token_with_its_end(api: ApiServer, ask: Callable[..., Any], tmp_path: Path) -> None:
    api.objects = {ACCOUNT, BINDING}
    kubeconfig = api.kubeconfig(tmp_path / "kubeconfig")
    done = ask(SANDBOX_KUBECONFIG=str(kubeconfig), KUBERNETES_EXEC_INFO=exec_info(api.address))
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "kind": "ExecCredential",
        "status": {"token": TOKEN, "expirationTimestamp": EXPIRES},
    }
    assert [path for path, _ in api.requests] == [f"{ACCOUNT}/token"], "one request, as soon as all is there"
    assert api.requests[0][1]["spec"]["expirationSeconds"] == 3600
    assert api.callers == {"admin"}


def test_the_first_one_makes_the_account_that_tokens_are_for(
    api: ApiServer, ask: Callable[..., Any], tmp_path: Path
) -> None:
    done = ask(KUBECONFIG=str(api.kubeconfig(tmp_path / "kubeconfig")))
    assert json.loads(done.stdout)["status"]["token"] == TOKEN
    assert api.objects == {ACCOUNT, BINDING}
    binding = next(body for path, body in api.requests if path.endswith("clusterrolebindings"))
    assert binding["roleRef"]["name"] == "cluster-admin"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "gke-user", "namespace": "kube-system"}]


def test_several_first_ones_do_not_get_in_each_others_way(
    api: ApiServer, ask: Callable[..., Any], tmp_path: Path
) -> None:
    api.raced = True
    kubeconfig = str(api.kubeconfig(tmp_path / "kubeconfig"))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: ask(KUBECONFIG=kubeconfig), range(4)))
    assert [json.loads(done.stdout)["status"]["token"] for done in found] == [TOKEN] * 4


def test_it_costs_little_and_leaves_no_file(api: ApiServer, ask: Callable[..., Any], tmp_path: Path) -> None:
    api.objects = {ACCOUNT, BINDING}
    kubeconfig = str(api.kubeconfig(tmp_path / "kubeconfig"))
    ask(KUBECONFIG=kubeconfig)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ask(KUBECONFIG=kubeconfig).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of a processor's time: how long it takes on a busy machine is not its fault.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_kubeconfig_with_a_token_will_do(api: ApiServer, ask: Callable[..., Any], tmp_path: Path) -> None:
    api.objects = {ACCOUNT, BINDING}
    done = ask(KUBECONFIG=str(api.kubeconfig(tmp_path / "kubeconfig", user={"token": "t"})))
    assert json.loads(done.stdout)["status"]["token"] == TOKEN
    assert api.callers == {"bearer"}


def test_the_sandboxs_kubeconfig_counts_wherever_kubeconfig_points(
    api: ApiServer, ask: Callable[..., Any], tmp_path: Path
) -> None:
    ours = api.kubeconfig(tmp_path / "ours")
    theirs = api.kubeconfig(tmp_path / "theirs", user={"exec": {"command": "gke-gcloud-auth-plugin"}})
    assert ask(SANDBOX_KUBECONFIG=str(ours), KUBECONFIG=str(theirs)).returncode == 0
    refused = ask(KUBECONFIG=str(theirs))
    assert refused.returncode == 1
    assert "is for a cluster on GKE, not the sandbox's" in refused.stderr


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return line


def test_without_a_sandbox_one_line_says_so(ask: Callable[..., Any], tmp_path: Path) -> None:
    assert "no sandbox is running: KUBECONFIG is not set. Run: python3 -m sandbox up" in one_line(ask())
    assert "there is no /nowhere" in one_line(ask(KUBECONFIG="/nowhere"))
    (tmp_path / "broken").write_text("contexts: [")
    assert "is no kubeconfig with a current context" in one_line(ask(KUBECONFIG=str(tmp_path / "broken")))


def test_another_cluster_does_not_get_the_sandboxs_token(
    api: ApiServer, ask: Callable[..., Any], tmp_path: Path
) -> None:
    kubeconfig = str(api.kubeconfig(tmp_path / "kubeconfig"))
    line = one_line(ask(KUBECONFIG=kubeconfig, KUBERNETES_EXEC_INFO=exec_info("https://203.0.113.9")))
    assert "https://203.0.113.9 is not the sandbox's cluster" in line
    assert api.requests == []


def test_a_server_that_is_not_the_sandbox_is_not_trusted(
    api: ApiServer, ask: Callable[..., Any], tmp_path: Path
) -> None:
    kubeconfig = str(api.kubeconfig(tmp_path / "kubeconfig", authority=issue("another")))
    assert "certificate verify failed" in one_line(ask(KUBECONFIG=kubeconfig))
    assert api.requests == []


def test_a_refusal_says_whose_and_why(api: ApiServer, ask: Callable[..., Any], tmp_path: Path) -> None:
    api.refusal = (403, "serviceaccounts is forbidden")
    line = one_line(ask(KUBECONFIG=str(api.kubeconfig(tmp_path / "kubeconfig"))))
    assert f"{api.address} gives no token: serviceaccounts is forbidden" in line
    api.refusal = (500, "overloaded")
    assert "overloaded" in one_line(ask(KUBECONFIG=str(tmp_path / "kubeconfig")))
