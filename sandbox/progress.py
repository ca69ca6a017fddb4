"""Long work, step by step: live on a terminal, plain lines with a heartbeat elsewhere (CI logs, pipes)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

HEARTBEAT_SECONDS = 30.0


@dataclass(frozen=True)
class Step:
    """One piece of long work; `run` raises SandboxError when it cannot be done."""

    name: str
    run: Callable[[], None]


def run_steps(steps: Sequence[Step], console: Console, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
    """Run the steps in order, saying which of how many is running and for how long (seconds)."""
    for number, step in enumerate(steps, start=1):
        title = f"[{number}/{len(steps)}] {step.name}"
        began = time.monotonic()
        with _live(title, console) if console.is_terminal else _plain(title, console, heartbeat):
            step.run()
        console.print(f"{title}: done in {time.monotonic() - began:.0f} s", markup=False, highlight=False)


@contextmanager
def _live(title: str, console: Console) -> Iterator[None]:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(title, total=None)
        yield


@contextmanager
def _plain(title: str, console: Console, heartbeat: float) -> Iterator[None]:
    began = time.monotonic()
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(heartbeat):
            elapsed = time.monotonic() - began
            console.print(f"{title}: running for {elapsed:.0f} s", markup=False, highlight=False)

    console.print(f"{title} ...", markup=False, highlight=False)
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
