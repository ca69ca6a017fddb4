"""A certificate and its key on their way from files into a stack: by the commands that the program prints."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from infra.certificates import make_intermediate, make_root, make_server
from tests.engine.conftest import Project
from tests.engine.test_environments import preview, stack

pytestmark = pytest.mark.engine

__all__ = ["stack"]  # a fixture


@pytest.mark.parametrize("stack", ["dev"], indirect=True)
def test_a_given_certificate_is_set_by_the_printed_commands_and_its_key_is_read_by_nobody(
    project: Project, checkout: Path, stack: str
) -> None:
    pair = make_server(make_intermediate(make_root()), "models.example.com")
    (checkout / "tls.crt").write_text(pair.certificate_pem)
    (checkout / "tls.key").write_text(pair.key_pem)

    def run(command: str) -> None:
        subprocess.run(command, cwd=checkout, env=project.environ, check=True, shell=True)  # noqa: S602 # as printed

    run("pulumi config set host models.example.com && pulumi config set --path tls.kind given")
    ended = preview(project, checkout, stack)
    assert ended.returncode != 0
    said = ended.stdout + ended.stderr
    fixes = set(re.findall(r"tls\.(?:certificate|key) is missing; .*? Run: (.+)", said))
    assert len(fixes) == 2, said
    for fix in fixes:
        run(fix)
    kept = (checkout / f"Pulumi.{stack}.yaml").read_text()
    ended = preview(project, checkout, stack, "--diff")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "ingress-tls" in ended.stdout
    for text in (kept, ended.stdout, ended.stderr):
        assert pair.key_pem.splitlines()[1] not in text
        assert "PRIVATE KEY" not in text
