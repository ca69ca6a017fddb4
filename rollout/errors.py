"""What ends a command with one line instead of a traceback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from yaml import YAMLError


class RolloutError(Exception):
    """Something is wrong that the operator can mend; the message says what, and the command."""


def no_yaml(file: Path | str, error: YAMLError) -> RolloutError:
    """Say where a file is no YAML, and nothing of what stands there: it may be a secret."""
    marks = [getattr(error, name, None) for name in ("context_mark", "problem_mark")]
    lines = [str(line) for line in sorted({mark.line + 1 for mark in marks if mark})]
    where = f", line{'s' * (len(lines) > 1)} {' to '.join(lines)}," if lines else ""
    return RolloutError(f"{file}{where} is no YAML: {getattr(error, 'problem', None) or error}")
