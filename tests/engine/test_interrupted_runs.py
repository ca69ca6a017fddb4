"""What is left of a run that is cancelled or killed, and how the next one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.paths import CHECKOUT
from sandbox.pulumi_env import Tools
from tests.engine.conftest import STACK, Project

pytestmark = pytest.mark.engine

PROGRAM = """
    import os, time, pulumi
    from pathlib import Path

    before = pulumi.Stash("before", input=1)

    def linger(_):
        Path("reached").touch()
        time.sleep(float(os.environ.get("LINGER", "0")))
        return 2

    pulumi.Stash("after", input=before.output.apply(linger))
"""

DYNAMIC = """
    import os, time, pulumi
    from pathlib import Path
    from pulumi.dynamic import CreateResult, Resource, ResourceProvider

    class Slow(ResourceProvider):
        def create(self, props):
            Path(props["folder"], "reached").touch()
            time.sleep(float(props["seconds"]))
            return CreateResult("slow", props)

    class SlowResource(Resource):
        def __init__(self, name):
            linger = os.environ.get("LINGER", "0")
            super().__init__(Slow(), name, {"seconds": linger, "folder": os.getcwd()})

    SlowResource("slow")
"""

STEP = """
    import sys
    from pathlib import Path

    from rollout.pulumi_cli import up
    from rollout.stack import Stack

    folder, name = Path(sys.argv[1]), sys.argv[2]
    up(Stack(name, folder, folder / f"Pulumi.{name}.yaml"), "a step")
"""


def wait_for(what: str, condition: Callable[[], object], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


def left_over(project: Project) -> list[str]:
    """Command lines of the processes that this project's runs have started and that still run."""
    mark = f"PULUMI_BACKEND_URL={project.environ['PULUMI_BACKEND_URL']}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has just ended
            continue
    return found


@pytest.fixture
def lingering(project: Project) -> Iterator[subprocess.Popen[str]]:
    """A running `pulumi up`, at the point where it has made one of two resources."""
    project.program(PROGRAM)
    process = project.start("up", "--yes", "--skip-preview", LINGER="300")
    wait_for("the program's middle", lambda: (project.folder / "reached").exists() or process.poll() is not None)
    assert process.poll() is None, process.communicate()
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_run_ends_soon_and_the_next_goes_on(
    project: Project, lingering: subprocess.Popen[str], number: signal.Signals, tools: Tools
) -> None:
    lingering.send_signal(number)
    stdout, stderr = lingering.communicate(timeout=30)
    assert lingering.returncode != 0
    assert "cancel" in (stdout + stderr).lower()
    if not tools.language_host.real:  # the real one shows where the program was interrupted
        assert "Traceback" not in stdout + stderr
    wait_for("the end of all processes", lambda: left_over(project) == [], 10)
    assert not project.export()["deployment"].get("pending_operations")
    outcome = project.up()
    assert outcome.changes == {"create": 1}, "the resource made before the cancellation is kept"
    assert outcome.errors == []


def test_a_rollouts_step_that_is_interrupted_leaves_no_lock(project: Project) -> None:
    project.program(PROGRAM)
    step = subprocess.Popen(
        # What runs in the background may have been started deaf to it, and all that it starts.
        ["env", "--default-signal=INT", sys.executable, "-c", textwrap.dedent(STEP), str(project.folder), STACK],
        cwd=CHECKOUT,
        env=project.environ | {"LINGER": "300"},
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_for("the program's middle", lambda: (project.folder / "reached").exists() or step.poll() is not None)
    os.killpg(step.pid, signal.SIGINT)  # as a terminal does it
    _, stderr = step.communicate(timeout=30)
    assert "waiting for pulumi to end" in stderr
    assert left_over(project) == []
    assert project.up().changes == {"create": 1}


def test_a_killed_run_leaves_a_lock_that_names_it_and_cancel_removes(
    project: Project, lingering: subprocess.Popen[str]
) -> None:
    lingering.kill()
    lingering.communicate(timeout=10)
    refused = project.up(fails=True)
    assert "locked" in refused.text
    assert f"pid {lingering.pid}" in refused.text
    assert "pulumi cancel" in refused.text
    project.run("cancel", "--yes")
    assert project.up().changes == {"create": 1}


def test_nothing_outlives_a_killed_run(project: Project, lingering: subprocess.Popen[str], tools: Tools) -> None:
    if tools.language_host.real:
        pytest.skip("the real host looks for its engine every five minutes only")
    lingering.kill()
    wait_for("the end of all processes", lambda: left_over(project) == [], 5)


def test_a_dynamic_provider_does_not_outlive_a_killed_run(project: Project, tools: Tools) -> None:
    if tools.language_host.real:
        pytest.skip("the real dynamic provider does not notice the end of its engine")
    project.program(DYNAMIC)
    process = project.start("up", "--yes", "--skip-preview", LINGER="300")
    wait_for("the provider's create", (project.folder / "reached").exists)
    process.kill()
    process.communicate()
    wait_for("the end of all processes", lambda: left_over(project) == [], 5)


def test_an_interrupted_create_is_reported_and_cleared_by_a_refresh(project: Project) -> None:
    project.program(DYNAMIC)
    process = project.start("up", "--yes", "--skip-preview", LINGER="300")
    wait_for("the provider's create", (project.folder / "reached").exists)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.run("cancel", "--yes")
    assert [entry["type"] for entry in project.export()["deployment"]["pending_operations"]] == ["creating"]
    project.refresh("--clear-pending-creates")
    assert not project.export()["deployment"].get("pending_operations")
    assert project.up().changes == {"create": 1}
