"""Runs the Pulumi CLI on a stack: what a change would do, the change, and what the stack exports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from rollout.errors import RolloutError

if TYPE_CHECKING:
    from rollout.review_plan import Plan
    from rollout.stack import Stack

_STREAMING = {"PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true"}  # lists outputs, and policies that are broken
_LOCKED: Final = "the stack is currently locked"
_WAITING: Final = (
    "rollout: waiting for pulumi to end. Ctrl-C again makes it end at once, and it may lose track of what it made"
)


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
        raise _failed(stack, f"pulumi preview failed: {ran.stderr.strip() or error}") from error
    if plan.failed or ran.returncode:
        said = "\n".join(message.text for message in plan.errors) or ran.stderr.strip()
        raise _failed(stack, f"pulumi preview failed: {said}")
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
        raise _failed(stack, f"pulumi up failed:\n{said}")


def outputs(stack: Stack) -> dict[str, Any]:
    """Return what the stack exports; nothing when it was never brought up.

    Raises:
        RolloutError: its state cannot be read, with what Pulumi said.
    """
    ran = _run(stack, ["stack", "output", "--json"], {})
    if ran.returncode:
        raise _failed(stack, f"pulumi stack output failed: {ran.stderr.strip()}")
    return dict(json.loads(ran.stdout))


def _failed(stack: Stack, text: str) -> RolloutError:
    if _LOCKED in text:
        text += (
            f"\nIf no `pulumi up` of {stack.name} runs anywhere, one that was killed has left the lock. "
            f"Run: pulumi cancel --stack {stack.name}"
        )
    return RolloutError(text)


def _run(stack: Stack, words: list[str], more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    config = [] if words[0] == "stack" else ["--config-file", str(stack.file)]
    command = ["pulumi", *words, "--stack", stack.name, *config, "--non-interactive", "--color", "never"]
    with _Interruptions() as interruptions:
        try:
            process = subprocess.Popen(
                command,
                cwd=stack.folder,
                env={**os.environ, **more},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        except OSError as error:
            raise RolloutError(f"cannot run pulumi: {error.strerror}") from error
        with process:
            return interruptions.waited_for(process)


class _Interruptions:
    """What would end the command while Pulumi runs: Pulumi is told, and waited for.

    Told once it saves its state and takes its lock away; told twice it ends at once. In its session of its own it hears
    a terminal's Ctrl-C from here only.
    """

    def __init__(self) -> None:
        self._heard = self._told = False
        self._process: subprocess.Popen[str] | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python lets no other hear signals
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) != signal.SIG_IGN:  # nohup's
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def waited_for(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """Return how it ended.

        Raises:
            KeyboardInterrupt: it was interrupted, and has ended.
        """
        self._process = process
        if self._heard and not self._told:  # while it was started
            self._tell()
        stdout, stderr = process.communicate()
        if self._heard:
            raise KeyboardInterrupt
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    def _tell(self) -> None:
        if self._process is not None:
            self._told = True
            self._process.send_signal(signal.SIGINT)

    def _hear(self, number: int, _frame: object) -> None:
        first, self._heard = not self._heard, True
        # A terminal that closes says so more than once, which is nobody's wish to end at once.
        if first or number == signal.SIGINT:
            self._tell()
        if first:
            with suppress(OSError):  # the terminal may be gone
                print(_WAITING, file=sys.stderr, flush=True)
