"""A promotion's doings on a real stack: config, Pulumi, cluster, figures, git and the terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rollout import pulumi_cli
from rollout.errors import RolloutError
from rollout.rollback import rollback
from rollout.rollback_files import comes_back
from rollout.verify import verify

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from infra.settings import ModelSettings
    from rollout.cluster_api import ClusterApi
    from rollout.commits import Commits
    from rollout.convergence import Convergence
    from rollout.figures import Figures
    from rollout.gate import Measured
    from rollout.stack import Stack

DEADLINE: Final = 60.0  # seconds for all proxies to get a step


@dataclass
class LiveWorld:
    """`rollout.promote.World` on a stack.

    Attributes:
        commits: None without --commit.
        progress_line: where progress is shown, None where there is no terminal.
    """

    stack: Stack
    api: ClusterApi
    name: str
    canary: str
    figures: Figures
    console: Console
    commits: Commits | None = None
    progress_line: Status | None = None

    def now(self) -> float:
        """See `World`."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """See `World`."""
        time.sleep(seconds)

    def configured(self) -> tuple[str, int]:
        """See `World`.

        Raises:
            RolloutError: the config is not valid now.
        """
        self.stack.refresh()
        return self._model.stable, self._model.weights.get(self.canary, 0)

    def step(self, weight: int, message: str) -> None:
        """See `World`.

        Raises:
            RolloutError: more than weights would change, and then the config is as it was; or Pulumi failed.
        """
        others = {name: share for name, share in self._model.weights.items() if name != self._model.stable}
        self._apply(self.stack.weighted(self.name, {**others, self.canary: weight}), message)

    def finish(self, message: str) -> None:
        """See `World`."""
        model = self._model
        weights = {name: 0 for name in model.weights if name not in {self.canary, model.stable}}
        self._apply(self.stack.weighted(self.name, weights, stable=self.canary), message)

    def verify(self) -> Convergence:
        """See `World`."""
        return verify(self.api, self.stack.settings, self._model, DEADLINE)[0]

    def roll_back(self) -> bool:
        """See `World`."""
        model = self._model
        done = rollback(self.stack, self.api, model, time.monotonic(), self.say)
        if self.commits is None and (back := comes_back(self.stack, model)):
            self.say(f"Commit and push {self.stack.file.name}{back}")
        return done

    def measured(self, version: str, start: float, end: float) -> Measured:
        """See `World`."""
        return self.figures.measured(self.name, version, start, end)

    def say(self, line: str) -> None:
        """See `World`."""
        self.console.print(f"{time.strftime('%H:%M:%S')} {line}", markup=False, highlight=False, soft_wrap=True)

    def progress(self, line: str) -> None:
        """See `World`."""
        if self.progress_line is not None:
            self.progress_line.update(line)

    @property
    def _model(self) -> ModelSettings:
        return self.stack.model(self.name)

    def commit(self, message: str) -> None:
        """See `World`."""
        if self.commits is not None:
            self.commits.commit(message)

    def _apply(self, text: str, message: str) -> None:
        file = self.stack.file
        before = file.read_text()
        self.stack.write(text)
        try:
            _refuse_more_than_weights(self.stack)
        except RolloutError:
            if file.read_text() == text:  # else it is somebody else's by now
                self.stack.write(before)
            raise
        if file.read_text() == text:
            pulumi_cli.up(self.stack, message)


def _refuse_more_than_weights(stack: Stack) -> None:
    from rollout.review_weights import breaches

    beyond = breaches(pulumi_cli.preview(stack))
    if beyond:
        names = ", ".join(dict.fromkeys(breach.change.name for breach in beyond))
        raise RolloutError(
            f"`pulumi up` would change more than weights: {names}. Look at it with `pulumi preview --diff`, "
            "bring it up without this step, and promote then"
        )
