"""The commands: `python -m sandbox build | up | status | env | exec | down`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import Console

from sandbox import environment, lifecycle, stack, status, suite
from sandbox.errors import SandboxError
from sandbox.pulumi_env import PluginsError
from sandbox.state import exclusive, running_state

app = typer.Typer(
    help="A real single-node Kubernetes with Istio's images on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_console = Console()
_errors = Console(stderr=True)
_Context = Annotated[
    str | None,
    typer.Option(
        "--context",
        envvar="SANDBOX_CONTEXT",
        metavar="NAME",
        help="Use this kubeconfig context, a cluster you have, instead of booting a node.",
    ),
]


@contextmanager
def _failures() -> Iterator[None]:
    """A failure is one line on stderr and exit code 1, an interruption exit code 130."""
    try:
        yield
    except (SandboxError, PluginsError) as error:
        _errors.print(f"sandbox: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as interruption:
        _errors.print("sandbox: interrupted; the same command goes on where it stopped")
        raise typer.Exit(130) from interruption


@app.command()
def build(context: _Context = None) -> None:
    """Build what is missing into the cache; each step is done once."""
    with _failures(), exclusive():
        lifecycle.build(context or None, _console)


@app.command()
def up(
    context: _Context = None,
    cluster_only: Annotated[bool, typer.Option("--cluster-only", help="Stop before `pulumi up`.")] = False,  # noqa: FBT002 - an option
) -> None:
    """Build, boot a node, and deploy the stack; twice changes nothing."""
    with _failures(), exclusive():
        state = lifecycle.up(context or None, _console)
        if not cluster_only:
            stack.deploy(state)


@app.command(name="status")
def show_status() -> None:
    """Say what runs, since when and from where; exit code 1 when nothing does."""
    with _failures():
        if not status.show(_console):
            raise typer.Exit(1)


@app.command()
def env() -> None:
    """Print the environment for: eval "$(python -m sandbox env)"."""
    with _failures():
        sys.stdout.write(environment.export_lines(environment.variables(running_state(), os.environ)))


@app.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def execute(command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")]) -> None:
    """Run a command in that environment."""
    with _failures():
        settings = os.environ | environment.variables(running_state(), os.environ)
        os.environ.update(settings)
        try:
            os.execvp(command[0], command)  # noqa: S606 - the user's own command, run as it is
        except OSError as error:
            raise SandboxError(f"cannot run {command[0]}: {error.strerror}") from error


@app.command(name="test", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def run_tests(arguments: Annotated[list[str] | None, typer.Argument(metavar="-- PYTEST ARGUMENTS...")] = None) -> None:
    """Run the test levels that need a cluster; brings the sandbox up for them when it is not."""
    with _failures():
        raise typer.Exit(suite.run(_console, arguments or []))


@app.command()
def down(
    leave_cluster: Annotated[  # noqa: FBT002 - an option, given by name
        bool, typer.Option("--leave-cluster", help="Forget a cluster of yours without `pulumi destroy`.")
    ] = False,
) -> None:
    """Remove the sandbox and everything of it; the cache stays."""
    with _failures(), exclusive():
        lifecycle.down(_console, leave_cluster=leave_cluster)
