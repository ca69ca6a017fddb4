"""Programs run in a pod's network from outside its containers: the images have no shell, and a process that goes around
the proxy needs no more than a user of its choice."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sandbox.commands import system_environment
from tests.e2e.conftest import own_node

HERE = Path(__file__).parent
# Istio's capture lets the proxy's own user pass.
APPLICATION, PROXY, ROOT_USER = 1000, 1337, 0


def process_of(pod: Any) -> int:
    """Return the number of a process in the pod.

    Args:
        pod: as the API has it.
    """
    for file in Path("/proc").glob("[0-9]*/cgroup"):
        try:
            if f"pod{pod.metadata.uid}" in file.read_text():
                return int(file.parent.name)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
    own_node("pods are entered")
    pytest.fail(f"no process of the pod {pod.metadata.name} is found on this machine")


def start(pod: Any, user: int, script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python script of this folder, which needs the standard library alone, in a pod's network."""
    enter = ["nsenter", "--target", str(process_of(pod)), "--net"]
    become = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    # The text by way of the command line: users without rights do not see into every checkout.
    python = [os.path.realpath(sys.executable), "-I", "-c", (HERE / script).read_text()]
    return subprocess.Popen(
        [*enter, *become, *python, *arguments], stdout=subprocess.PIPE, text=True, env=system_environment(), cwd="/"
    )


def ended(started: subprocess.Popen[str]) -> Any:
    """Return the JSON that a script printed."""
    printed, _ = started.communicate(timeout=120)
    assert started.returncode == 0, printed
    return json.loads(printed)


def reached(pod: Any, user: int, tries: Sequence[tuple[str, str, int]]) -> list[bool]:
    """Try what `knock.py` can, from a pod and as a user; return for each whether somebody answered."""
    return list(ended(start(pod, user, "knock.py", json.dumps(tries))))
