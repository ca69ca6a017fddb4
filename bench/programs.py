"""Pulumi programs that a benchmark runs again and again, and how commands are run and timed."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

_Result = TypeVar("_Result")

ROOT = Path(__file__).resolve().parents[1]
# Python keeps what it compiled unless told not to; a shell that tells it so would have every run compile the program.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
PROJECT = """\
name: {name}
runtime: {{name: python, options: {{toolchain: pip, virtualenv: {venv}}}}}
"""


def run(command: list[str], folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Run a command and return its output; exit with what it printed when it fails."""
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        sys.exit(failed(command, ended.stdout + ended.stderr))
    return ended.stdout


def failed(command: list[str], output: str) -> str:
    """Say that a command failed, and what it printed."""
    return f"{' '.join(command)} failed:\n{output}"


def timed(action: Callable[[], _Result]) -> tuple[float, _Result]:
    """Return how many seconds something took, and what it returned."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def changes(output: str) -> dict[str, int]:
    """Return Pulumi's own summary of an `up`, without what stayed as it was: {"updated": 1}."""
    return {what: int(count) for count, what in re.findall(r"(\d+) (created|updated|deleted|replaced)", output)}


class Program:
    """One Pulumi program whose only change from run to run is a weight."""

    def __init__(
        self,
        folder: Path,
        stack: str,
        config_file: Path,
        key: str = "v2Weight",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Take a program that is there.

        Args:
            folder: the project's.
            stack: which of its stacks.
            config_file: the stack's config.
            key: of the weight.
            environ: the whole environment of the CLI; the caller's own when not given.
        """
        self.folder, self.key, self.environ = folder, key, environ
        self.where = ["--stack", stack, "--config-file", str(config_file), "--non-interactive", "--color", "never"]

    @classmethod
    def write(cls, folder: Path, name: str, source: str, environ: Mapping[str, str] | None = None) -> "Program":
        """Make a project of one file and its stack, `bench`; only Pulumi's own packages are there to import."""
        folder.mkdir()
        (folder / "Pulumi.yaml").write_text(PROJECT.format(name=name, venv=(ROOT / ".venv").resolve()))
        (folder / "__main__.py").write_text(source)
        run(["pulumi", "stack", "init", "bench", "--non-interactive"], folder, environ)
        return cls(folder, "bench", folder / "Pulumi.bench.yaml", environ=environ)

    def set(self, weight: int) -> None:
        """Write the weight into the config."""
        run(["pulumi", "config", "set", self.key, str(weight), *self.where[:4]], self.folder, self.environ)

    def command(self, *words: str) -> list[str]:
        """Return the command line of an operation, such as `preview`."""
        return ["pulumi", *words, *self.where]

    @property
    def up_command(self) -> list[str]:
        """The command line of an `up` that asks nothing."""
        return self.command("up", "--yes", "--skip-preview")

    def up(self) -> str:
        """Apply the config; return what Pulumi printed."""
        return run(self.up_command, self.folder, self.environ)

    def step(self, weight: int) -> float:
        """Set a weight, return the seconds `up` takes, and see that it was a step and nothing more."""
        self.set(weight)
        seconds, output = timed(self.up)
        require_step(output)
        return seconds


def require_step(output: str) -> None:
    """Exit unless an `up` changed one resource and nothing more."""
    if changes(output) != {"updated": 1}:
        sys.exit(f"not one updated resource but {changes(output)}:\n{output}")
