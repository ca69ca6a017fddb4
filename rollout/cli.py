"""The commands: `python -m rollout review | verify | rollback`.

Each command imports what it needs when it runs: a review is a step of every pull request and should start at once, and
a rollback has to be over when others have just started.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollout.stack import Stack

_STARTED = time.monotonic()

app = typer.Typer(
    help="See a rollout of model versions, and steer it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_Model = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Which model, where there are several.")]
_StackName = Annotated[str | None, typer.Option("--stack", metavar="NAME", help="Else the one that is selected.")]
_ConfigFile = Annotated[
    Path | None, typer.Option("--config-file", metavar="FILE", help="Its config, if not Pulumi.NAME.yaml.")
]
_Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Of the kubeconfig, if not the one that the stack says.")
]


def _length(text: str) -> float:
    from rollout.durations import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def _failures() -> Iterator[None]:
    """What an operator can mend is a line on stderr and exit code 2; an interruption is exit code 130."""
    from rollout.errors import RolloutError

    try:
        yield
    except RolloutError as error:
        typer.echo(f"rollout: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as interruption:
        typer.echo("rollout: interrupted; the same command goes on where it stopped", err=True)
        raise typer.Exit(130) from interruption


def _stack(name: str | None, file: Path | None) -> Stack:
    from rollout.stack import find

    return find(name, file)


@app.callback()
def main() -> None:
    """See a rollout of model versions, and steer it."""


@app.command()
def review(
    preview: Annotated[
        str, typer.Argument(metavar="[FILE]", help="What `pulumi preview --json` printed; - is standard input.")
    ] = "-",
    stack: Annotated[str | None, typer.Option(metavar="NAME", help="For the heading; else the preview's own.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the Markdown there.")] = None,
    weights_only: Annotated[  # noqa: FBT002 - an option, given by name
        bool, typer.Option("--weights-only", help="End with 1 when anything but weights of routes would change.")
    ] = False,
) -> None:
    """Say in Markdown, for a pull request's comment, what a previewed change does.

    Exit codes: 0 fine, 1 more than weights (with --weights-only), 2 the preview cannot be read, or a wrong option.
    """
    from rollout.review import review as reviewed

    try:
        content = sys.stdin.buffer.read() if preview == "-" else Path(preview).read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"cannot read {preview}: {error.strerror}", param_hint="FILE") from error
    result = reviewed(content.decode("utf-8-sig", errors="replace"), stack, weights_only=weights_only)
    if output is None:
        sys.stdout.buffer.write(result.markdown.encode())
    else:
        output.write_text(result.markdown, encoding="utf-8")
    raise typer.Exit(int(result.code))


@app.command()
def verify(
    model: _Model = None,
    deadline: Annotated[float, typer.Option(metavar="TIME", parser=_length, help="How long to wait.")] = "30s",  # type: ignore[assignment] # parsed
    stack: _StackName = None,
    config_file: _ConfigFile = None,
    context: _Context = None,
) -> None:
    """Wait until every proxy that can call a model has the weights of the config, and name those that have not.

    Exit codes: 0 all have them, 1 not all, or nobody can call the model, 2 it cannot be told.
    """
    with _failures():
        from rollout.target import cluster_of
        from rollout.verify import check_route, describe, describe_outside
        from rollout.verify import verify as verified

        chosen = _stack(stack, config_file)
        found, api = chosen.model(model), cluster_of(chosen, context)
        differs = check_route(api, chosen.settings, found)
        if differs:
            typer.echo(differs)
        result, callers = verified(api, chosen.settings, found, 0 if differs else deadline)
        for line in [*describe(result), *describe_outside(callers, found)]:
            typer.echo(line)
        if result.stragglers or not result.answers:
            raise typer.Exit(1)


@app.command()
def rollback(
    model: _Model = None,
    stack: _StackName = None,
    config_file: _ConfigFile = None,
    context: _Context = None,
) -> None:
    """Send every request to the stable version: the cluster first, within a second or so, then config and Pulumi.

    Exit codes: 0 every proxy has it and Pulumi has recorded it, 1 something of that is left, 2 nothing was done.
    """
    with _failures():
        from rollout.rollback import rollback as rolled_back
        from rollout.target import cluster_of

        chosen = _stack(stack, config_file)
        found = chosen.model(model)
        done = rolled_back(chosen, cluster_of(chosen, context), found, _STARTED, typer.echo)
        raise typer.Exit(0 if done else 1)
