"""Runs the real Pulumi CLI on small programs, each in a folder, a state and a Pulumi home of its own.

    def test_something(project: Project) -> None:
        project.program('''
            import pulumi
            pulumi.export("answer", 42)
        ''')
        outcome = project.up()
        assert outcome.changes == {"create": 1}
        assert project.outputs() == {"answer": 42}

Which language host and plugins that is, `sandbox.pulumi_env` decides (`PLUGINS=real` or `stand-in` overrides it). Where
the CLI is missing, every test of this folder fails and says how to build it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.materials import istio_files
from sandbox.paths import CHECKOUT
from sandbox.plan import pulumi_folder
from sandbox.pulumi_env import KUBERNETES, PluginsError, Tools, find_tools, pulumi_environment

STACK = "test"
TIMEOUT_SECONDS = 180.0


@dataclass(frozen=True)
class Step:
    """What the engine did, or would do, to one resource."""

    op: str
    """same, create, update, delete, replace, create-replacement, delete-replaced, refresh, read, import, ..."""
    urn: str
    type: str
    diffs: list[str]
    """Top-level properties that differ."""
    detailed_diff: dict[str, str]
    """Property path to kind: add, update, delete, and each with "-replace" (the dots of a path are the engine's)."""
    old: dict[str, Any] | None
    """State before: `inputs`, `outputs`, `id`, ...; None for a create."""
    new: dict[str, Any] | None

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return self.urn.rsplit("::", 1)[-1]


@dataclass(frozen=True)
class Outcome:
    """One run of a Pulumi operation that has ended."""

    code: int
    stdout: str
    stderr: str
    events: list[dict[str, Any]] = field(repr=False)

    @property
    def text(self) -> str:
        """All that the user sees."""
        return self.stdout + self.stderr

    @property
    def counts(self) -> dict[str, int]:
        """Pulumi's own summary: operation to number of resources, with `same`; of the last part of the run."""
        for event in reversed(self.events):
            if "summaryEvent" in event:
                return dict(event["summaryEvent"].get("resourceChanges") or {})
        return {}

    @property
    def changes(self) -> dict[str, int]:
        """`counts` without what stayed as it was; empty when nothing changed."""
        return {op: count for op, count in self.counts.items() if op != "same"}

    @property
    def steps(self) -> list[Step]:
        """What was done to each resource, in order."""
        return [_step(event["resourcePreEvent"]["metadata"]) for event in self.events if "resourcePreEvent" in event]

    def step(self, name: str) -> Step:
        """The step of the resource of this name; the first one when it was replaced. AssertionError without one."""
        for step in self.steps:
            if step.name == name:
                return step
        raise AssertionError(f"no step for {name}; there are: {[(step.op, step.name) for step in self.steps]}")

    def ops(self, name: str) -> list[str]:
        """All operations on the resource of this name, in order."""
        return [step.op for step in self.steps if step.name == name]

    def diagnostics(self, severity: str) -> list[str]:
        """Messages of one severity (error, warning, info, info#err, debug), without its word in front."""
        found = (event["diagnosticEvent"] for event in self.events if "diagnosticEvent" in event)
        return [str(entry["message"]).strip() for entry in found if entry["severity"] == severity]

    @property
    def errors(self) -> list[str]:
        """Error messages: `diagnostics("error")`."""
        return self.diagnostics("error")


def _step(metadata: dict[str, Any]) -> Step:
    detailed = metadata.get("detailedDiff") or {}
    return Step(
        op=metadata["op"],
        urn=metadata["urn"],
        type=metadata["type"],
        diffs=list(metadata.get("diffs") or []),
        detailed_diff={path: entry["diffKind"] for path, entry in detailed.items()},
        old=metadata.get("old"),
        new=metadata.get("new"),
    )


class Project:
    """A Pulumi project with one stack, and the real CLI to drive it."""

    def __init__(self, folder: Path, environ: Mapping[str, str], name: str = "engine-test") -> None:
        """Makes the project's folder and its stack; `environ` is the whole environment of the CLI."""
        self.folder, self.name = folder, name
        self.environ = dict(environ)
        self._runs = 0
        folder.mkdir(parents=True, exist_ok=True)
        self.project_file()
        self.run("stack", "init", STACK)

    def project_file(self, *, config: dict[str, Any] | None = None, **more: Any) -> None:
        """Writes Pulumi.yaml: `config` is its schema of config keys, `more` other top-level keys."""
        options = {"virtualenv": sys.prefix} if sys.prefix != sys.base_prefix else {}
        content: dict[str, Any] = {"name": self.name, "runtime": {"name": "python", "options": options}}
        if config:
            content["config"] = config
        self.write("Pulumi.yaml", yaml.safe_dump(content | more, sort_keys=False))

    def program(self, source: str) -> None:
        """Writes `__main__.py`; common indentation is removed."""
        self.write("__main__.py", textwrap.dedent(source))

    def write(self, name: str, content: str) -> Path:
        """Writes a file of the project, with its folders."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def start(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        """Starts `pulumi ARGS` in a process group of its own, with pipes for its output."""
        return subprocess.Popen(
            ["pulumi", *args, "--non-interactive", "--color=never"],
            cwd=self.folder,
            env=self.environ | environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *args: str, check: bool = True, **environ: str) -> Outcome:
        """Runs `pulumi ARGS` to its end, with `environ` on top of the project's. Fails the test unless it succeeds."""
        process = self.start(*args, **environ)
        try:
            stdout, stderr = process.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            pytest.fail(f"pulumi {' '.join(args)} took more than {TIMEOUT_SECONDS:.0f} s\n{stdout}{stderr}")
        outcome = Outcome(process.returncode, stdout, stderr, events=[])
        if check:
            _succeeded(args, outcome)
        return outcome

    def operation(self, *args: str, fails: bool = False, **environ: str) -> Outcome:
        """Runs an operation and reads the engine's events. `fails=True`: the test fails unless the operation does."""
        self._runs += 1
        log = self.folder / f".events-{self._runs}.json"
        outcome = self.run(*args, "--event-log", str(log), check=False, **environ)
        # A line is cut short when the CLI was killed while writing it.
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        outcome = Outcome(outcome.code, outcome.stdout, outcome.stderr, events)
        if fails:
            assert outcome.code != 0, f"pulumi {' '.join(args)} should have failed\n{outcome.text}"
        else:
            _succeeded(args, outcome)
        return outcome

    def up(self, *args: str, fails: bool = False, **environ: str) -> Outcome:
        """`pulumi up --skip-preview`."""
        return self.operation("up", "--yes", "--skip-preview", *args, fails=fails, **environ)

    def preview(self, *args: str, fails: bool = False, **environ: str) -> Outcome:
        """`pulumi preview --diff`: `text` shows property differences as the user sees them."""
        return self.operation("preview", "--diff", *args, fails=fails, **environ)

    def refresh(self, *args: str, fails: bool = False, **environ: str) -> Outcome:
        """`pulumi refresh`."""
        return self.operation("refresh", "--yes", "--skip-preview", *args, fails=fails, **environ)

    def destroy(self, *args: str, fails: bool = False, **environ: str) -> Outcome:
        """`pulumi destroy`."""
        return self.operation("destroy", "--yes", "--skip-preview", *args, fails=fails, **environ)

    def set(self, key: str, value: str, *flags: str) -> None:
        """`pulumi config set KEY VALUE`, e.g. with `--secret` or `--path`."""
        self.run("config", "set", *flags, key, value)

    def outputs(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The stack's outputs; secrets read "[secret]" unless shown."""
        flags = ["--show-secrets"] if show_secrets else []
        found: dict[str, Any] = json.loads(self.run("stack", "output", "--json", *flags).stdout)
        return found

    def export(self, *, show_secrets: bool = False) -> dict[str, Any]:
        """The stack's state; secrets are encrypted unless shown."""
        flags = ["--show-secrets"] if show_secrets else []
        found: dict[str, Any] = json.loads(self.run("stack", "export", *flags).stdout)
        return found

    def resource(self, name: str, *, show_secrets: bool = False) -> dict[str, Any]:
        """One resource of the state by its name in the program: `id`, `inputs`, `outputs`, ..."""
        resources = self.export(show_secrets=show_secrets)["deployment"].get("resources") or []
        found: list[dict[str, Any]] = [entry for entry in resources if entry["urn"].endswith(f"::{name}")]
        assert found, f"no {name} in the state; there are: {[entry['urn'] for entry in resources]}"
        return found[0]


def _succeeded(args: Sequence[str], outcome: Outcome) -> None:
    assert outcome.code == 0, f"pulumi {' '.join(args)} ended with {outcome.code}\n{outcome.text}"


@pytest.fixture(scope="session")
def tools() -> Tools:
    """The Pulumi CLI and language host in use; fails, never skips, where they are missing."""
    try:
        found = find_tools(pulumi_folder(), os.environ)
    except PluginsError as error:
        pytest.fail(str(error), pytrace=False)
    missing = [name for name in found.to_build if name != KUBERNETES]
    if missing:
        pytest.fail(f"{' and '.join(missing)}: neither on PATH nor built. Run: python -m sandbox build", pytrace=False)
    return found


@pytest.fixture(scope="session")
def kubernetes_plugin(tools: Tools) -> Tools:
    """The same, with the Kubernetes plugin: for tests that need it."""
    if KUBERNETES in tools.to_build:
        pytest.fail(f"{KUBERNETES}: neither on PATH nor built. Run: python -m sandbox build", pytrace=False)
    return tools


@pytest.fixture(scope="session")
def pulumi_environ(
    tools: Tools,  # noqa: ARG001 - says what is missing before anything else fails of it
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, str]:
    """The whole environment for the CLI, with a Pulumi home of this test run."""
    inherited = {name: value for name, value in os.environ.items() if name != "PULUMI_STACK"}
    home = tmp_path_factory.mktemp("pulumi")
    settings = pulumi_environment(home, CHECKOUT, pulumi_folder(), inherited)
    return inherited | settings | {
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_DEBUG_COMMANDS": "true",  # for --event-log
        "PULUMI_PYTHON_CMD": sys.executable,  # for projects without a virtual environment
    }  # fmt: skip


@pytest.fixture
def project(pulumi_environ: dict[str, str], tmp_path: Path) -> Project:
    """An empty project with a stack in a file backend of its own; what it creates is the test's to destroy."""
    backend = tmp_path / "state"
    backend.mkdir()
    return Project(tmp_path / "project", pulumi_environ | {"PULUMI_BACKEND_URL": backend.as_uri()})


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The project's own program in a folder of its own, with the charts that `make up` would put there."""
    folder = tmp_path / "checkout"
    shutil.copytree(CHECKOUT, folder, ignore=shutil.ignore_patterns(".*", "__pycache__", "tests"))
    (folder / ".venv").symlink_to((CHECKOUT / ".venv").resolve())
    (folder / ".sandbox").mkdir()
    (folder / ".sandbox" / "charts").symlink_to(istio_files() / "charts")
    return folder


@pytest.fixture
def no_cluster(project: Project, tmp_path: Path) -> None:
    """Hide the cluster: one that can be asked would refuse half of these objects itself, and say less."""
    project.environ["KUBECONFIG"] = str(tmp_path / "no-kubeconfig")
