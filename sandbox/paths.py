"""Where things lie: the checkout, the cache that outlives it, and the state of the one sandbox that runs."""

from __future__ import annotations

import os
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent


def _xdg(variable: str, default: str) -> Path:
    value = os.environ.get(variable, "")
    # The XDG specification: a relative path is invalid and must be ignored.
    return Path(value) if value.startswith("/") else Path.home() / default


def cache_root() -> Path:
    """What was built, each product in a folder keyed by its inputs; `down` keeps it."""
    return _xdg("XDG_CACHE_HOME", ".cache") / "tfserving-mesh"


def state_root() -> Path:
    """All that belongs to the running sandbox; `down` deletes it."""
    return _xdg("XDG_STATE_HOME", ".local/state") / "tfserving-mesh" / "sandbox"


def log_folder() -> Path:
    """Logs of build steps (those of the node lie in the state folder)."""
    return cache_root() / "logs"
