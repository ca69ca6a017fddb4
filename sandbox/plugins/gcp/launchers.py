"""The executables that start the stand-ins in Python: the plugin, and the auth plugin that belongs to it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

GCP = "pulumi-resource-gcp"
GKE_AUTH = "gke-gcloud-auth-plugin"
_MODULES = {GCP: "sandbox.plugins.gcp", GKE_AUTH: "sandbox.plugins.gcp.token"}
_SOURCE = Path(__file__).resolve().parents[3]


def write(folder: Path, checkout: Path) -> dict[str, Path]:
    """Write the launchers, where they are not there as they have to be, and return them by name.

    Args:
        folder: theirs alone.
        checkout: the program's; its `.venv`, when there, has the interpreter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    python = checkout / ".venv" / "bin" / "python"
    interpreter = shlex.quote(str(python if python.exists() else sys.executable))
    launchers = {name: folder / name for name in _MODULES}
    for name, launcher in launchers.items():
        # -P: what lies in the folder that it is started in is not meant.
        text = f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(_SOURCE))} exec {interpreter} -P -m {_MODULES[name]} "$@"\n'
        if not launcher.exists() or launcher.read_text() != text:
            staged = launcher.with_name(f".{name}.{os.getpid()}")
            staged.write_text(text)
            staged.chmod(0o755)
            staged.replace(launcher)
    return launchers


def remove(folder: Path) -> None:
    """Take the launchers away."""
    shutil.rmtree(folder, ignore_errors=True)
