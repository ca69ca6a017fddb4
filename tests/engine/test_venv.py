"""`sandbox/venv.sh`: one Python environment for a checkout, whoever's python starts it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.paths import CHECKOUT

pytestmark = pytest.mark.engine


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    made = tmp_path / "checkout"
    (made / "sandbox").mkdir(parents=True)
    shutil.copy(CHECKOUT / "sandbox" / "venv.sh", made / "sandbox")
    (made / "requirements.txt").touch()  # nothing to install: the environment alone is meant
    return made


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "caches")}


def environments(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "caches" / "tfserving-mesh").glob("venv-*") if path.is_dir()]


def test_a_shell_that_has_the_environment_first_on_its_path_does_not_install_another(
    tmp_path: Path, checkout: Path, environ: dict[str, str]
) -> None:
    for first in ([], [str(checkout / ".venv" / "bin")]):
        environ["PATH"] = os.pathsep.join([*first, environ["PATH"]])
        subprocess.run(["bash", checkout / "sandbox" / "venv.sh"], env=environ, check=True)
    (made,) = environments(tmp_path)
    assert (checkout / ".venv").resolve() == made


def test_two_checkouts_at_once_install_it_once(tmp_path: Path, checkout: Path, environ: dict[str, str]) -> None:
    second = Path(shutil.copytree(checkout, tmp_path / "second"))
    script = ["bash", "sandbox/venv.sh"]
    begun = [
        subprocess.Popen(script, cwd=each, env=environ, stdout=subprocess.PIPE, text=True)
        for each in (checkout, second)
    ]
    said = [each.communicate()[0] for each in begun]
    assert [each.returncode for each in begun] == [0, 0]
    assert sorted(map(bool, said)) == [False, True], said
    (made,) = environments(tmp_path)
    assert (second / ".venv").resolve() == (checkout / ".venv").resolve() == made


def test_an_environment_of_somebody_elses_is_refused_and_kept(checkout: Path, environ: dict[str, str]) -> None:
    (checkout / ".venv" / "bin").mkdir(parents=True)
    done = subprocess.run(["bash", checkout / "sandbox" / "venv.sh"], env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == ".venv is a folder that something else made. Run: rm -r .venv\n"
    assert (checkout / ".venv" / "bin").is_dir()
