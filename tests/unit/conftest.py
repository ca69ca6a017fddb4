"""A stack's config as Pulumi keeps it: what it hands to the program, and what `pulumi config set` and `rm` do to it."""

import copy
import json
import re
import shlex
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import pytest

from infra import settings

PROJECT = "tfserving-mesh"
ROUNDS = 4
STEP = re.compile(r'\.?([^.\[\]]+)|\[([0-9]+)\]|\["((?:[^"\\]|\\"|\\)*)"\]')


class StackConfig:
    """Values by key as one types it: text, or an object as YAML holds it."""

    def __init__(self, values: Mapping[str, Any], secrets: tuple[str, ...] = ()) -> None:
        self.values: dict[str, Any] = copy.deepcopy(dict(values))
        self.secrets = secrets

    def texts(self) -> dict[str, str]:
        """What the program is given: Pulumi sorts the keys of objects, and escapes as Go's JSON does."""
        return {self._full(key): self._text(value) for key, value in self.values.items()}

    def parse(self) -> settings.Settings:
        secrets = [self._full(key) for key in self.secrets]
        return settings.parse(self.texts(), project=PROJECT, stack="test", secrets=secrets)

    def problems(self) -> tuple[settings.Problem, ...]:
        try:
            self.parse()
        except settings.SettingsError as error:
            return error.problems
        return ()

    def only(self) -> settings.Problem:
        (problem,) = self.problems()
        return problem

    def mend(self) -> None:
        """Run what the problems say until nothing is wrong; a key that is renamed may bring a wrong value to light."""
        for _ in range(ROUNDS):
            for problem in self.problems():
                self.run(problem.fix)
        self.parse()

    def run(self, line: str) -> None:
        """Run commands as the CLI would, with its refusals."""
        command: list[str] = []
        for word in [*shlex.split(line), "&&"]:
            if word != "&&":
                command.append(word)
                continue
            self._run(command)
            command = []

    def _run(self, command: list[str]) -> None:
        assert command[:2] == ["pulumi", "config"], command
        verb, *words = command[2:]
        by_path = "--path" in words
        key, *value = [word for word in words if word not in {"--path", "--"}]
        steps: list[Any] = self._steps(key) if by_path else [key]
        if verb == "rm":
            assert not value
            self._remove(steps)
        else:
            assert verb == "set"
            (text,) = value
            self._set(steps, self._typed(text) if by_path and len(steps) > 1 else text)

    def _remove(self, steps: list[Any]) -> None:
        inner: Any = self.values
        try:
            for step in steps[:-1]:
                inner = inner[step]
            del inner[steps[-1]]
        except (KeyError, IndexError, TypeError):
            return  # the CLI removes what is not there without a word

    def _set(self, steps: list[Any], value: object) -> None:
        if len(steps) > 1 and not isinstance(self.values.get(steps[0]), dict | list):
            self.values[steps[0]] = {}  # the CLI replaces a text by what the path makes
        inner: Any = self.values
        for step, following in pairwise(steps):
            fresh: Any = [] if isinstance(following, int) else {}
            if isinstance(inner, list) and step == len(inner):
                inner.append(fresh)
            elif isinstance(inner, dict) and inner.get(step) is None:
                inner[step] = fresh
            inner = inner[step]
            assert isinstance(inner, list if isinstance(following, int) else dict), f"expected a map: {steps}"
        if isinstance(inner, list) and steps[-1] == len(inner):
            inner.append(value)
        else:
            inner[steps[-1]] = value

    @staticmethod
    def _steps(path: str) -> list[Any]:
        found = list(STEP.finditer(path))
        assert "".join(match[0] for match in found) == path, path
        return [
            int(match[2]) if match[2] else match[1] if match[1] is not None else match[3].replace('\\"', '"')
            for match in found
        ]

    @staticmethod
    def _typed(text: str) -> object:
        if text in {"true", "false"}:
            return text == "true"
        return int(text) if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", text) else text

    @staticmethod
    def _full(key: str) -> str:
        return key if ":" in key else f"{PROJECT}:{key}"

    @staticmethod
    def _text(value: object) -> str:
        if isinstance(value, str):
            return value
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@pytest.fixture(scope="session")
def stack_of() -> type[StackConfig]:
    """Make a stack's config out of a mapping; for tests that hypothesis runs many times."""
    return StackConfig


@pytest.fixture
def stack() -> Callable[..., StackConfig]:
    """Make a stack's config out of keyword arguments or a mapping."""

    def make(
        values: Mapping[str, Any] | None = None, /, *, secrets: tuple[str, ...] = (), **more: object
    ) -> StackConfig:
        return StackConfig({**(values or {}), **more}, secrets)

    return make


@pytest.fixture
def inception() -> dict[str, Any]:
    """One model of three versions."""
    return {
        "inception": {
            "path": "gs://my-models/inception",
            "callers": "any",
            "versions": {"v1": {"model": 1}, "v2": {"model": 2}, "v3": {"model": 3}},
        }
    }
