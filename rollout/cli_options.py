"""What several commands have in common: their options, and how they end when something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rollout.cluster_api import ClusterApi
    from rollout.figures import Figures
    from rollout.stack import Stack


def length(text: str) -> float:
    """Read a length of time, for an option."""
    from rollout.durations import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Model = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Which model, where there are several.")]
StackName = Annotated[str | None, typer.Option("--stack", metavar="NAME", help="Else the one that is selected.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config-file", metavar="FILE", help="Its config, if not Pulumi.NAME.yaml.")
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="Of the kubeconfig, if not the one that the stack says.")
]
PrometheusUrl = Annotated[
    str | None, typer.Option("--prometheus", metavar="URL", help="Else the bundled one, through the cluster's API.")
]
Version = Annotated[str | None, typer.Option("--version", metavar="NAME", help="The canary, where it cannot be told.")]
Confidence = Annotated[float, typer.Option(min=50, max=99.999, help="Percent, of a pass and of a fail.")]
MaxErrors = Annotated[
    float, typer.Option(min=0, max=100, help="Percent points of failed requests above the stable version's.")
]
MaxSlow = Annotated[
    float, typer.Option(min=0, max=100, help="Percent points of slow requests above the stable version's.")
]
SlowMs = Annotated[
    float | None,
    typer.Option(min=0, help="From how many milliseconds a request is slow; else what 9 in 10 of stable's are below."),
]


def stack_of(name: str | None, file: Path | None) -> Stack:
    """Find the stack that a command is about."""
    from rollout.stack import find

    return find(name, file)


def figures_of(url: str | None, api: ClusterApi, stack: Stack) -> Figures:
    """Find the source of figures that a command reads."""
    from rollout.figures import Prometheus, at, bundled

    settings = stack.settings
    return Prometheus(at(url) if url else bundled(api, settings.monitoring), settings.namespace)


@contextmanager
def failures() -> Iterator[None]:
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
