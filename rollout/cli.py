"""The commands: `python -m rollout review | status | verify | gate | promote | rollback | report | certificates`.

Each command imports what it needs when it runs: a review is a step of every pull request and should start at once, and
a rollback has to be over when others have just started.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rollout import cli_look, cli_move

app = typer.Typer(
    help="See a rollout of model versions, and steer it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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


for command in (cli_look.status, cli_look.verify, cli_look.gate, cli_move.promote, cli_move.rollback, cli_look.report):
    app.command()(command)
app.command()(cli_look.certificates)
