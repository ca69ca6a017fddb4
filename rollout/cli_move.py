"""The commands that move traffic: promote, rollback."""

from __future__ import annotations

from typing import Annotated

import typer

from rollout import STARTED
from rollout import cli_options as options


def _steps(text: str) -> tuple[int, ...]:
    try:
        steps = tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{text} is no list of percentages, such as 5,25,50,100") from error
    if not all(0 < step <= 100 for step in steps) or list(steps) != sorted(set(steps)):
        raise typer.BadParameter(f"{text} does not rise from above 0 to 100 at most, as 5,25,50,100 does")
    return steps


def promote(
    model: options.Model = None,
    version: options.Version = None,
    steps: Annotated[str, typer.Option(metavar="N,N,...", help="Percent, rising.")] = "5,25,50,100",
    soak: Annotated[
        float, typer.Option(metavar="TIME", parser=options.length, help="How long to watch each step.")
    ] = "10m",  # type: ignore[assignment] # parsed
    patience: Annotated[
        float | None,
        typer.Option(
            metavar="TIME",
            parser=options.length,
            help="How long to wait for more requests after a soak; else as long again.",
        ),
    ] = None,
    commit: Annotated[bool, typer.Option("--commit", help="Make each step a git commit.")] = False,  # noqa: FBT002 - an option
    override: Annotated[str, typer.Option(metavar="REASON", help="Go beyond the stack's limits, and record why.")] = "",
    confidence: options.Confidence = 95,
    max_errors: options.MaxErrors = 1,
    max_slow: options.MaxSlow = 10,
    slow_ms: options.SlowMs = None,
    stack: options.StackName = None,
    config_file: options.ConfigFile = None,
    context: options.Context = None,
    prometheus: options.PrometheusUrl = None,
) -> None:
    """Take a canary from its weight to 100 step by step, each verified, soaked and judged, and make it the stable one.

    Run again after an interruption it goes on from what the config says.

    Exit codes: 0 done, 1 failed and rolled back, 2 something is wrong and nothing more was done, or failed and the
    rollback is not complete, 3 held for lack of data or of a proxy, or because somebody else changed the weight.
    """
    with options.failures():
        from rich.console import Console

        from rollout.canary import promoted_of
        from rollout.commits import Commits
        from rollout.gate import Criteria
        from rollout.journal import Journal
        from rollout.limits import check
        from rollout.live import LiveWorld
        from rollout.promote import Promotion
        from rollout.promote import promote as promoted
        from rollout.target import cluster_of

        chosen = options.stack_of(stack, config_file)
        found = chosen.model(model)
        canary, console = promoted_of(found, version), Console()
        log = Journal.of(chosen, found.name)
        criteria = Criteria(confidence / 100, max_errors / 100, max_slow / 100, slow_ms)
        plan = Promotion(
            found.name,
            canary,
            found.stable,
            _steps(steps),
            soak,
            soak if patience is None else patience,
            criteria,
            config=chosen.file.name,
        )
        if canary != found.stable:
            plan = check(plan, found.weights[canary], chosen.settings.rollout, override)
        api = cluster_of(chosen, context)
        commits = Commits(chosen, found.name, log.file) if commit else None
        figures = options.figures_of(prometheus, api, chosen)
        world = LiveWorld(chosen, api, found.name, canary, figures, console, commits)
        if console.is_terminal:
            with console.status("") as world.progress_line:
                end = promoted(plan, world, log)
        else:
            end = promoted(plan, world, log)
        raise typer.Exit(int(end))


def rollback(
    model: options.Model = None,
    commit: Annotated[bool, typer.Option("--commit", help="Make it a git commit.")] = False,  # noqa: FBT002 - an option
    stack: options.StackName = None,
    config_file: options.ConfigFile = None,
    context: options.Context = None,
) -> None:
    """Send every request to the stable version: the cluster first, within a second or so, then config and Pulumi.

    Exit codes: 0 every proxy has it, Pulumi has recorded it, and git with --commit, 1 something of that is left,
    2 nothing was done.
    """
    with options.failures():
        from rollout.journal import Journal
        from rollout.rollback import rollback as rolled_back
        from rollout.rollback_files import write_down
        from rollout.target import cluster_of

        chosen = options.stack_of(stack, config_file)
        found = chosen.model(model)
        done = rolled_back(chosen, cluster_of(chosen, context), found, STARTED, typer.echo)
        written = write_down(chosen, found, Journal.of(chosen, found.name), typer.echo, done=done, commit=commit)
        raise typer.Exit(0 if done and written else 1)
