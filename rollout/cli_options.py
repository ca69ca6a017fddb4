"""What several commands have in common: their options, and how they end when something is wrong."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from yaml import YAMLError

    from rollout.cluster_api import ClusterApi
    from rollout.errors import RolloutError
    from rollout.figures import Figures
    from rollout.stack import Stack

_FILES: ContextVar[tuple[Path, ...]] = ContextVar("files of the stack that the command is about", default=())


def length(text: str) -> float:
    """Read a length of time, for an option."""
    from rollout.durations import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Model = Annotated[str | None, typer.Argument(metavar="[MODEL]", help="Which model, where there are several.")]
StackName = Annotated[
    str | None, typer.Option("--stack", metavar="NAME", help="The stack; else the one that Pulumi has selected.")
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config-file", metavar="FILE", help="The stack's config file; else Pulumi.NAME.yaml.")
]
Context = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="The kubeconfig's context; else the stack's cluster.")
]
PrometheusUrl = Annotated[
    str | None,
    typer.Option("--prometheus", metavar="URL", help="A Prometheus to read figures from; else the stack's own."),
]
Version = Annotated[
    str | None, typer.Option("--version", metavar="NAME", help="Which version is the canary, where several could be.")
]
Confidence = Annotated[float, typer.Option(min=50, max=99.999, help="How sure a pass or a fail has to be, in percent.")]
MaxErrors = Annotated[
    float, typer.Option(min=0, max=100, help="Percent points of failed requests above the stable version's.")
]
MaxSlow = Annotated[
    float, typer.Option(min=0, max=100, help="Percent points of slow requests above the stable version's.")
]
SlowMs = Annotated[
    float | None,
    typer.Option(
        min=0, help="From how many milliseconds a request is slow; else what 9 in 10 of the stable version's are below."
    ),
]


def stack_of(name: str | None, file: Path | None) -> Stack:
    """Find the stack that a command is about."""
    from rollout.stack import find

    found = find(name, file)
    _FILES.set((found.folder / "Pulumi.yaml", found.file))
    return found


def figures_of(url: str | None, api: ClusterApi, stack: Stack) -> Figures:
    """Find the source of figures that a command reads."""
    from rollout.figures import Prometheus, at, bundled

    settings = stack.settings
    return Prometheus(at(url) if url else bundled(api, settings.monitoring), settings.namespace)


@contextmanager
def failures() -> Iterator[None]:
    """What an operator can mend is a line on stderr and exit code 2; an interruption is exit code 130.

    A mistake of the program is its traceback and 2 as well: 1 is an answer, that a canary failed for instance.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, typer.BadParameter):
        raise
    except KeyboardInterrupt as interruption:
        _say("rollout: interrupted; the same command goes on where it stopped")
        raise typer.Exit(130) from interruption
    except (BrokenPipeError, SystemExit) as error:  # whoever read the output is gone, which rich ends with 1
        _say("rollout: stopped, for nobody reads the output any more")
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(2) from error
    except Exception as error:
        _say(f"rollout: {line}" if (line := _line(error)) else "".join(traceback.format_exception(error)).rstrip())
        raise typer.Exit(2) from error


def _line(error: Exception) -> str:
    """What an operator can mend; "" where nobody but a developer can."""
    from yaml import YAMLError

    from rollout.errors import RolloutError

    if isinstance(error, YAMLError):
        return str(_with_file(error))
    if isinstance(error, OSError):
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = error.filename or f"{Path(place.filename).name}, line {place.lineno}"
        return f"{where}: {error.strerror or error}"
    return str(error) if isinstance(error, RolloutError) else ""


def _with_file(error: YAMLError) -> RolloutError:
    """Find out which of the stack's files it is."""
    from yaml import YAMLError

    from rollout.errors import no_yaml
    from rollout.stack_file import load

    for file in _FILES.get():
        try:
            load(file.read_text())
        except YAMLError as found:
            return no_yaml(file, found)
        except OSError:
            continue
    return no_yaml("a file of the stack", error)


def _say(text: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        typer.echo(text, err=True)
