"""A stack of this project as its files have it: its name, its config, and changes of its weights."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from infra import naming
from rollout.errors import RolloutError
from rollout.stack_file import drop, load, put

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.settings import ModelSettings, Settings


@dataclass(frozen=True)
class Stack:
    """One stack.

    Attributes:
        name: without organization and project.
        folder: the project's.
        file: its config.
    """

    name: str
    folder: Path
    file: Path

    @cached_property
    def settings(self) -> Settings:
        """The config, checked and complete, as it was when first asked for.

        Raises:
            RolloutError: what is wrong with it.
        """
        return self.read(self._text())

    def refresh(self) -> None:
        """Have `settings` read the file again when they are next asked for."""
        self.__dict__.pop("settings", None)

    def read(self, text: str) -> Settings:
        """Check a text of the config's file; see `settings`."""
        from infra.settings import SettingsError, parse

        try:
            content = load(text)
        except yaml.YAMLError as error:
            raise RolloutError(f"{self.file.name} is no YAML: {error}") from error
        values = self._defaults | ((content.get("config") if isinstance(content, dict) else None) or {})
        plain = {key: _text(value) for key, value in values.items() if not _is_secret(value)}
        try:
            return parse(plain, project=naming.PROJECT, stack=self.name)
        except SettingsError as error:
            raise RolloutError(f"{self.file.name}: {error}") from error

    @cached_property
    def _defaults(self) -> dict[str, Any]:
        declared = load((self.folder / "Pulumi.yaml").read_text())["config"]
        return {_full(key): entry["default"] for key, entry in declared.items() if "default" in entry}

    def model(self, name: str | None) -> ModelSettings:
        """Return a model by its name, or the only one.

        Raises:
            RolloutError: there is none of that name, it has no route, or several are there and none is named.
        """
        models = {model.name: model for model in self.settings.models}
        if name is None and len(models) > 1:
            raise RolloutError(f"the stack has several models; say which: {', '.join(models)}")
        found = models.get(name) if name is not None else next(iter(models.values()))
        if found is None:
            raise RolloutError(f"there is no model {name}; there are: {', '.join(models)}")
        if not found.mesh:
            raise RolloutError(f"{found.name} has mesh: false, so there are no weights and nothing to roll out")
        return found

    def weighted(self, model: str, weights: Mapping[str, int], stable: str | None = None) -> str:
        """Return the file's text with other weights of a model.

        Args:
            model: its name.
            weights: percent by version; those of versions that are not named are taken out.
            stable: the stable version from now on; None leaves it. It gets what the weights leave.
        """
        text = self._text()
        given = load(text)["config"]
        for version in (version.name for version in self.model(model).versions):
            keys = [f"{model}:{version}Weight"]
            if len(self.settings.models) == 1:
                keys.append(f"{naming.PROJECT}:{version}Weight")
            present = [key for key in keys if key in given]
            if version not in weights:
                for key in present:
                    text = drop(text, ("config", key))
            elif present or weights[version]:
                text = put(text, ("config", present[0] if present else keys[-1]), weights[version])
        if stable is not None:
            text = put(text, ("config", f"{naming.PROJECT}:models", model, "stable"), stable)
        return text

    def write(self, text: str) -> None:
        """Write the file as a whole or not at all, however the command ends."""
        self.read(text)
        if text == self._text():
            return
        handle, temporary = tempfile.mkstemp(prefix=f".{self.file.name}-", dir=self.file.parent)
        try:
            with os.fdopen(handle, "w") as out:
                out.write(text)
            Path(temporary).chmod(self.file.stat().st_mode)
            Path(temporary).replace(self.file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self.refresh()

    def _text(self) -> str:
        try:
            return self.file.read_text()
        except OSError as error:
            raise RolloutError(f"{self.file} cannot be read: {error.strerror}; --stack names another stack") from error


def find(name: str | None, file: Path | None, folder: Path | None = None) -> Stack:
    """Find a stack of the project in the current folder.

    Args:
        name: the stack's; None is the one that Pulumi has selected.
        file: its config, where it is not Pulumi.NAME.yaml.
        folder: the project's, where it is not the current one.

    Raises:
        RolloutError: there is no project, or no stack is selected.
    """
    folder = folder or Path.cwd()
    if not (folder / "Pulumi.yaml").exists():
        raise RolloutError(f"{folder} has no Pulumi.yaml; run this in the project's folder")
    name = name or os.environ.get("PULUMI_STACK") or _selected(folder)
    name = name.rsplit("/", 1)[-1]
    return Stack(name, folder, file or folder / f"Pulumi.{name}.yaml")


def _selected(folder: Path) -> str:
    """The stack that Pulumi has selected: from the file in which it keeps that, or else by asking."""
    digest = hashlib.sha1(str(folder / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    home = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    try:
        kept = json.loads((home / "workspaces" / f"{naming.PROJECT}-{digest}-workspace.json").read_text())
        if kept.get("stack"):
            return str(kept["stack"])
    except (OSError, ValueError):
        pass
    try:
        asked = subprocess.run(
            ["pulumi", "stack", "--show-name"], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise RolloutError(f"cannot run pulumi: {error.strerror}") from error
    if asked.returncode or not asked.stdout.strip():
        raise RolloutError("no stack is selected; name one with --stack. Run: pulumi stack select NAME")
    return asked.stdout.strip()


def _full(key: str) -> str:
    return key if ":" in key else f"{naming.PROJECT}:{key}"


def _is_secret(value: object) -> bool:
    return isinstance(value, dict) and value.keys() == {"secure"}


def _text(value: Any) -> str:  # noqa: ANN401 - YAML
    """A value as Pulumi hands it to the program."""
    if isinstance(value, str):
        return value
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
