"""The commands that look and change nothing: status, verify, gate, certificates, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from rollout import cli_options as options


def status(
    model: options.Model = None,
    stack: options.StackName = None,
    config_file: options.ConfigFile = None,
    context: options.Context = None,
    prometheus: options.PrometheusUrl = None,
) -> None:
    """Show each version's pods, weights and figures: what is configured, what is live, what callers see."""
    with options.failures():
        from rich.console import Console

        from rollout.status import status as looked_at
        from rollout.status import table
        from rollout.target import cluster_of

        chosen = options.stack_of(stack, config_file)
        models = [chosen.model(model)] if model else [each for each in chosen.settings.models if each.mesh]
        api = cluster_of(chosen, context)
        rows, notes = looked_at(api, chosen.settings, models, options.figures_of(prometheus, api, chosen))
        console = Console()
        console.print(table(rows))
        for note in notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)


def verify(
    model: options.Model = None,
    deadline: Annotated[float, typer.Option(metavar="TIME", parser=options.length, help="How long to wait.")] = "30s",  # type: ignore[assignment] # parsed
    stack: options.StackName = None,
    config_file: options.ConfigFile = None,
    context: options.Context = None,
) -> None:
    """Wait until every proxy that can call a model has the weights of the config, and name those that have not.

    Exit codes: 0 all have them, 1 not all, or nobody can call the model, 2 it cannot be told.
    """
    with options.failures():
        from rollout.target import cluster_of
        from rollout.verify import check_route, describe, describe_outside
        from rollout.verify import verify as verified

        chosen = options.stack_of(stack, config_file)
        found, api = chosen.model(model), cluster_of(chosen, context)
        differs = check_route(api, chosen.settings, found)
        if differs:
            typer.echo(differs)
        result, callers = verified(api, chosen.settings, found, 0 if differs else deadline)
        for line in [*describe(result), *describe_outside(callers, found)]:
            typer.echo(line)
        if result.stragglers or not result.answers:
            raise typer.Exit(1)


def gate(
    model: options.Model = None,
    version: options.Version = None,
    since: Annotated[float, typer.Option(metavar="TIME", parser=options.length, help="How far back to look.")] = "10m",  # type: ignore[assignment] # parsed
    confidence: options.Confidence = 95,
    max_errors: options.MaxErrors = 1,
    max_slow: options.MaxSlow = 10,
    slow_ms: options.SlowMs = None,
    stack: options.StackName = None,
    config_file: options.ConfigFile = None,
    context: options.Context = None,
    prometheus: options.PrometheusUrl = None,
) -> None:
    """Say whether the canary is as good as the stable version, from what both did at the same time.

    Exit codes: 0 pass, 1 fail, 2 it cannot be told, 3 not enough data, with how many more requests are needed.
    """
    with options.failures():
        from rollout.canary import canary_of
        from rollout.gate import Criteria, judge
        from rollout.gate_text import headline, reasons
        from rollout.target import cluster_of

        chosen = options.stack_of(stack, config_file)
        found = chosen.model(model)
        canary, api = canary_of(found, version), cluster_of(chosen, context)
        figures, now = options.figures_of(prometheus, api, chosen), time.time()
        ours, others = (figures.measured(found.name, each, now - since, now) for each in (canary, found.stable))
        criteria = Criteria(confidence / 100, max_errors / 100, max_slow / 100, slow_ms)
        verdict = judge(ours, others, criteria)
        typer.echo(f"{canary} of {found.name}: {headline(verdict)}")
        for line in reasons(verdict, criteria, canary, found.stable):
            typer.echo(f"  {line}")
        raise typer.Exit(int(verdict.answer))


def certificates(
    within: Annotated[
        float, typer.Option(metavar="TIME", parser=options.length, help="How soon is too soon for the CA to end.")
    ] = "30d",  # type: ignore[assignment] # parsed
    stack: options.StackName = None,
    config_file: options.ConfigFile = None,
    context: options.Context = None,
) -> None:
    """Show what of the mesh's certificates is valid until when.

    Exit codes: 0 fine, 1 the CA ends too soon, or a proxy's certificate was not renewed or is of another CA, 2 it
    cannot be told, for one proxy at least.
    """
    with options.failures():
        from datetime import UTC, datetime, timedelta

        from rich.console import Console

        from rollout.certificates import authority_of, endings, look
        from rollout.certificates_table import table
        from rollout.pulumi_cli import outputs
        from rollout.target import cluster_of

        chosen = options.stack_of(stack, config_file)
        api, authority = cluster_of(chosen, context), authority_of(outputs(chosen))
        bundles, proxies, notes = look(api)
        now = datetime.now(UTC)
        rows = endings(authority, bundles, proxies, timedelta(seconds=within), now)
        console = Console()
        console.print(table(rows, now))
        for note in notes:
            console.print(note, markup=False, highlight=False, soft_wrap=True)
        if any(row.wrong for row in rows):
            raise typer.Exit(1)
        if notes:
            raise typer.Exit(2)


def report(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The HTML page to write.")],
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Which model, where there are several.")] = None,
    stack: options.StackName = None,
    config_file: options.ConfigFile = None,
    context: options.Context = None,
    prometheus: options.PrometheusUrl = None,
) -> None:
    """Write one HTML page of a model's last rollout: shares, errors and latency over time, the steps, the reasons."""
    with options.failures():
        from rollout.journal import Journal
        from rollout.report import page
        from rollout.target import cluster_of

        chosen = options.stack_of(stack, config_file)
        found = chosen.model(model)
        api = cluster_of(chosen, context)
        figures = options.figures_of(prometheus, api, chosen)
        text = page(found, chosen.name, Journal.of(chosen, found.name).last(), figures, time.time())
        output.write_text(text, encoding="utf-8")
        typer.echo(f"{output} is written")
