"""The test levels that need a cluster, as `make test` runs them, and the machine left as it was found."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rich.console import Console

from sandbox import environment, lifecycle, stack
from sandbox.paths import CHECKOUT
from sandbox.state import Health, State, exclusive, load_state, running_state

LIFECYCLE_SWITCH = "SANDBOX_LIFECYCLE"
"""Set to 1, it lets those tests run that destroy the sandbox's stack, or end the sandbox and start it again."""
_ENVIRONMENTS = "tests/e2e/test_environments.py"
_LIFECYCLE = "tests/e2e/test_sandbox_lifecycle.py"
# Each engine test has a stack, and on the cluster a namespace, of its own; a file's tests share what is slow to make.
_SIDE_BY_SIDE = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")


def run(console: Console, arguments: Sequence[str]) -> int:
    """Run the engine and end-to-end tests, then those that take the sandbox for themselves or end and start it.

    With pytest arguments of one's own only those tests run, on the sandbox as it is.

    Returns:
        0 when all passed, otherwise pytest's exit code of the first level that failed.

    Raises:
        SandboxError: the sandbox did not come up.
    """
    if arguments:
        return _pytest(running_state(), arguments, {})
    before = load_state()
    was_running = before is not None and before.health is Health.RUNNING
    # One that runs, too, is to have what the checkout holds now.
    state = _up(console, before.context if was_running else os.environ.get("SANDBOX_CONTEXT") or None)
    codes = [
        _pytest(state, ["tests/engine", *_SIDE_BY_SIDE], {}),
        _pytest(state, ["tests/e2e", f"--ignore={_ENVIRONMENTS}", f"--ignore={_LIFECYCLE}"], {}),
    ]
    if state.context is None:
        codes.append(_pytest(state, [_ENVIRONMENTS, _LIFECYCLE], {LIFECYCLE_SWITCH: "1"}))
        if was_running:
            _up(console, None)
    elif not was_running:
        with exclusive():
            lifecycle.down(console)
    return next((code for code in codes if code), 0)


def _up(console: Console, context: str | None) -> State:
    with exclusive():
        state = lifecycle.up(context, console)
        stack.deploy(state)
    return state


def _pytest(state: State, arguments: Sequence[str], more: Mapping[str, str]) -> int:
    settings = {**os.environ, **environment.variables(state, os.environ), **more}
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments], cwd=CHECKOUT, env=settings, check=False
    ).returncode
