"""Runs the Pulumi CLI on a stack: what a change would do, the change, and what the stack exports."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rollout.errors import RolloutError

if TYPE_CHECKING:
    from rollout.review_plan import Plan
    from rollout.stack import Stack

_STREAMING = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}  # lists outputs, and policies that are broken


def preview(stack: Stack) -> Plan:
    """Return what `pulumi up` would do.

    Raises:
        RolloutError: the preview failed, with what it said.
    """
    from rollout.review_reading import UnreadableError, parse

    ran = _run(stack, ["preview", "--json"], _STREAMING)
    try:
        plan = parse(ran.stdout)
    except UnreadableError as error:
        raise RolloutError(f"pulumi preview failed: {ran.stderr.strip() or error}") from error
    if plan.failed or ran.returncode:
        said = "\n".join(message.text for message in plan.errors) or ran.stderr.strip()
        raise RolloutError(f"pulumi preview failed: {said}")
    return plan


def up(stack: Stack, message: str) -> None:
    """Bring the stack to what its config says.

    Args:
        stack: whose.
        message: for Pulumi's own history.

    Raises:
        RolloutError: it failed, with the end of what it said.
    """
    ran = _run(stack, ["up", "--yes", "--skip-preview", "--message", message], {})
    if ran.returncode:
        said = "\n".join((ran.stdout + ran.stderr).strip().splitlines()[-15:])
        raise RolloutError(f"pulumi up failed:\n{said}")


def outputs(stack: Stack) -> dict[str, Any]:
    """Return what the stack exports; nothing when it was never brought up.

    Raises:
        RolloutError: its state cannot be read, with what Pulumi said.
    """
    ran = _run(stack, ["stack", "output", "--json"], {})
    if ran.returncode:
        raise RolloutError(f"pulumi stack output failed: {ran.stderr.strip()}")
    return dict(json.loads(ran.stdout))


def _run(stack: Stack, words: list[str], more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    config = [] if words[0] == "stack" else ["--config-file", str(stack.file)]
    command = ["pulumi", *words, "--stack", stack.name, *config]
    try:
        return subprocess.run(
            [*command, "--non-interactive", "--color", "never"],
            cwd=stack.folder,
            env={**os.environ, **more},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as error:
        raise RolloutError(f"cannot run pulumi: {error.strerror}") from error
