"""A kubeconfig is read as kubectl reads it."""

from __future__ import annotations

import base64
import json
import os
import traceback
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import certificates
from rollout.errors import RolloutError
from rollout.kubeconfig import access, contexts

AUTHORITY = certificates.make_root().certificate_pem


def write(path: Path, current: str = "here", **users: dict[str, Any]) -> Path:
    encoded = base64.b64encode(AUTHORITY.encode()).decode()
    names = list(users)
    content = {
        "current-context": current,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in names],
        "clusters": [
            {"name": name, "cluster": {"server": f"https://{name}:6443/", "certificate-authority-data": encoded}}
            for name in names
        ],
        "users": [{"name": name, "user": user} for name, user in users.items()],
    }
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_current_context_is_taken_or_the_one_that_is_named(tmp_path: Path) -> None:
    file = write(tmp_path / "config", here={"token": "t-here"}, there={"token": "t-there"})
    here, there = access(str(file)), access(str(file), "there")
    assert (here.server, here.headers, here.context) == (
        "https://here:6443",
        {"Authorization": "Bearer t-here"},
        "here",
    )
    assert (there.server, there.headers) == ("https://there:6443", {"Authorization": "Bearer t-there"})
    assert here.trust.check_hostname
    with pytest.raises(RolloutError, match="no context nowhere; there are: here, there"):
        access(str(file), "nowhere")


def test_several_files_are_one_and_the_first_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write(tmp_path / "first", here={"token": "first"})
    second = write(tmp_path / "second", "there", here={"token": "second"}, there={"token": "there"})
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(first), str(tmp_path / "none"), str(second)]))
    assert contexts() == ("here", ["here", "there"])
    assert access().headers == {"Authorization": "Bearer first"}
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(RolloutError, match="there is no kubeconfig at"):
        access()


def test_a_token_file_is_beside_its_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("kept\n")
    file = write(tmp_path / "config", here={"tokenFile": "token"})
    assert access(str(file)).headers == {"Authorization": "Bearer kept"}


def test_a_clients_certificate_is_presented_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    root = certificates.make_root()
    pair = certificates.make_intermediate(root)
    (tmp_path / "client.pem").write_text(pair.certificate_pem)
    (tmp_path / "client.key").write_text(pair.key_pem)
    user = {"client-certificate": "client.pem", "client-key": "client.key"}
    assert access(str(write(tmp_path / "config", here=user))).headers == {}
    assert list((tmp_path / "temporary").iterdir()) == []
    (tmp_path / "client.key").write_text("no key")
    with pytest.raises(OSError, match=r"PEM|SSL|key"):
        access(str(write(tmp_path / "config", here=user)))


def helper(tmp_path: Path, script: str) -> dict[str, Any]:
    program = tmp_path / "helper"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": str(program),
            "env": [{"name": "WHO", "value": "me"}],
            "provideClusterInfo": True,
        }
    }


def test_a_credential_helper_is_asked_and_told_of_the_cluster(tmp_path: Path) -> None:
    answer = json.dumps({"status": {"token": "fresh"}})
    user = helper(tmp_path, f"printf '%s' \"$WHO $KUBERNETES_EXEC_INFO\" > {tmp_path}/told; echo '{answer}'")
    assert access(str(write(tmp_path / "config", here=user))).headers == {"Authorization": "Bearer fresh"}
    who, _, info = (tmp_path / "told").read_text().partition(" ")
    assert who == "me"
    assert json.loads(info)["spec"]["cluster"]["server"] == "https://here:6443/"


def test_a_credential_helper_that_fails_says_why(tmp_path: Path) -> None:
    user = helper(tmp_path, "echo 'log in again' >&2; exit 1")
    with pytest.raises(RolloutError, match="failed: log in again"):
        access(str(write(tmp_path / "config", here=user)))
    user = helper(tmp_path, 'echo \'{"status": {"token": "hidden"}}\'; exit 7')
    with pytest.raises(RolloutError, match=r"failed: it ended with 7$"):
        access(str(write(tmp_path / "config", here=user)))
    user["exec"] |= {"command": str(tmp_path / "none"), "installHint": "Install it."}
    with pytest.raises(RolloutError, match=r"cannot be run: No such file or directory\. Install it\."):
        access(str(write(tmp_path / "config", here=user)))


@pytest.mark.parametrize("printed", ["hidden", '["hidden"]', '{"status": "hidden"}'])
def test_what_a_credential_helper_prints_is_never_shown(tmp_path: Path, printed: str) -> None:
    with pytest.raises(RolloutError, match=r"printed no ExecCredential$") as raised:
        access(str(write(tmp_path / "config", here=helper(tmp_path, f"echo '{printed}'"))))
    assert "hidden" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("told", "ends"),
    [
        ('"2026-01-27T07:10:46Z"', 1769497846),
        ('"2026-01-27T08:10:46.123456789+01:00"', 1769497846.123456),
        ("null", None),
        ('"soon"', None),
    ],
)
def test_a_credential_helper_says_when_its_token_ends(tmp_path: Path, told: str, ends: float | None) -> None:
    status = f'{{"status": {{"token": "hidden", "expirationTimestamp": {told}}}}}'
    found = access(str(write(tmp_path / "config", here=helper(tmp_path, f"echo '{status}'"))))
    assert found.ends == ends
    assert "hidden" not in repr(found)


def test_credentials_are_renewed_for_the_same_cluster(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("first\n")
    file = write(tmp_path / "config", here={"tokenFile": "token"}, there={"token": "t-there"})
    first = access(str(file))
    (tmp_path / "token").write_text("second\n")
    write(tmp_path / "config", "there", there={"token": "t-there"})
    second = first.renewed()
    assert (second.server, second.context) == ("https://here:6443", "here")
    assert second.headers == {"Authorization": "Bearer second"}
    (tmp_path / "token").unlink()
    with pytest.raises(RolloutError, match="token, which the kubeconfig names, cannot be read: No such file"):
        second.renewed()


def test_a_kubeconfig_that_is_no_yaml_is_named_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("users:\n- name: here\n  token: hidden\n hidden\n")
    with pytest.raises(RolloutError, match=r"/config, lines 1 to 4, is no YAML: ") as raised:
        access(str(tmp_path / "config"))
    assert "hidden" not in "".join(traceback.format_exception(raised.value))
