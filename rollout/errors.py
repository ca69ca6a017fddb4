"""What ends a command with one line instead of a traceback."""

from __future__ import annotations


class RolloutError(Exception):
    """Something is wrong that the operator can mend; the message says what, and the command."""
