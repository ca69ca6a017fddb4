"""`sandbox/venv.sh`: one Python environment for a checkout, whoever's python starts it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from sandbox.paths import CHECKOUT

pytestmark = pytest.mark.engine


def test_a_shell_that_has_the_environment_first_on_its_path_does_not_install_another(tmp_path: Path) -> None:
    checkout, caches = tmp_path / "checkout", tmp_path / "caches"
    (checkout / "sandbox").mkdir(parents=True)
    script = Path(shutil.copy(CHECKOUT / "sandbox" / "venv.sh", checkout / "sandbox"))
    (checkout / "requirements.txt").touch()  # nothing to install: the environment alone is meant
    environ = {**os.environ, "XDG_CACHE_HOME": str(caches)}
    for first in ([], [str(checkout / ".venv" / "bin")]):
        environ["PATH"] = os.pathsep.join([*first, environ["PATH"]])
        subprocess.run(["bash", str(script)], env=environ, check=True)
    (made,) = (caches / "tfserving-mesh").glob("venv-*")
    assert (checkout / ".venv").resolve() == made
