"""Running other programs: the output goes to a log, a failure becomes one line with its remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from sandbox.errors import SandboxError, explain

# An ordinary user's PATH often lacks the sbin folders where ip, iptables and containerd's helpers lie.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def which(name: str) -> str | None:
    """The program of that name on PATH or in the system's own folders."""
    return shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)


def system_environment() -> dict[str, str]:
    """The environment for what runs inside the node: the system's folders on PATH and no proxy of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"}


def tail(log: Path, lines: int = 12) -> str:
    """The last non-empty lines of a log, for an error message."""
    text = log.read_text(errors="replace") if log.exists() else ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def run_logged(
    what: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> None:
    """Run `command` with all its output in `log`.

    Raises:
        SandboxError: it failed; the message has the known remedy, or else the last lines, and the log's path.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as out:
        try:
            code = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env, cwd=cwd, check=False
            ).returncode
        except FileNotFoundError as error:
            raise SandboxError(f"{what}: `{command[0]}` is not installed") from error
    if code != 0:
        last = tail(log)
        remedy = explain(last)
        detail = f"{remedy} (log: {log})" if remedy else f"exit code {code}, log: {log}\n{last}"
        raise SandboxError(f"{what} failed: {detail}")


def output_of(what: str, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> str:
    """What `command` prints.

    Raises:
        SandboxError: it failed; the message has what it said.
    """
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env, check=False)
    except FileNotFoundError as error:
        raise SandboxError(f"{what}: `{command[0]}` is not installed") from error
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise SandboxError(f"{what} failed: {explain(said) or said or f'exit code {done.returncode}'}")
    return done.stdout
