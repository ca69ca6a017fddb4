"""Each step as a git commit, so that git always says what is live."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.errors import RolloutError
from rollout.stack_file import load

if TYPE_CHECKING:
    from rollout.stack import Stack


def committed(file: Path) -> str | None:
    """Return a file's text in the last commit; None where it is in none, or in no git repository.

    Raises:
        RolloutError: git cannot be run.
    """
    shown = _git(file.parent, "show", f"HEAD:./{file.name}", check=False)
    return None if shown.returncode else shown.stdout


class Commits:
    """Commits of a stack's config and of what goes with it; whatever else is changed or staged stays out of them."""

    def __init__(self, stack: Stack, model: str, *others: Path) -> None:
        """Look whether a commit would hold nothing but the rollout.

        Args:
            stack: whose config is committed.
            model: whose weights change.
            others: files that go with it, there or still to come.

        Raises:
            RolloutError: the config is in no git repository, or has other changes that are not committed.
        """
        self._folder = stack.file.parent
        self._files = [stack.file, *others]
        text = committed(stack.file)
        if text is None:
            raise RolloutError(f"--commit: {stack.file} is in no commit yet. Run: git add {stack.file} && git commit")
        before, now = load(text), load(stack.file.read_text())
        if _without_rollout(before, model) != _without_rollout(now, model):
            raise RolloutError(f"--commit: {stack.file.name} has other changes. Run: git commit {stack.file.name}")

    def commit(self, message: str) -> None:
        """Commit the files as they are; nothing when nothing changed."""
        files = [str(file) for file in self._files if file.exists()]
        _git(self._folder, "add", "--", *files)
        if _git(self._folder, "diff", "--cached", "--quiet", "--", *files, check=False).returncode:
            _git(self._folder, "commit", "--quiet", "--only", "--message", message, "--", *files)


def _git(folder: Path, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    try:
        ran = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        raise RolloutError(f"cannot run git: {error.strerror}") from error
    if check and ran.returncode:
        raise RolloutError(f"git {words[0]} failed: {ran.stderr.strip() or ran.stdout.strip()}")
    return ran


def _without_rollout(content: Any, model: str) -> Any:  # noqa: ANN401 - YAML
    """A stack's config without what a rollout changes: weights, and which version of the model is stable."""
    config = {key: value for key, value in (content.get("config") or {}).items() if not key.endswith("Weight")}
    for key, value in config.items():
        if key.endswith(":models") and isinstance(value, dict) and isinstance(value.get(model), dict):
            kept = {name: entry for name, entry in value[model].items() if name != "stable"}
            config[key] = {**value, model: kept}
    return {**content, "config": config}
