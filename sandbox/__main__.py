"""`python -m sandbox`, by whatever Python: it goes on inside the checkout's own .venv where there is one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).resolve().parent.parent


def _enter_venv() -> None:
    """Start again with the .venv's Python, unless that is what runs."""
    venv = _CHECKOUT / ".venv"
    python = venv / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != venv.resolve():
        os.execv(python, [str(python), "-m", "sandbox", *sys.argv[1:]])  # noqa: S606 - no shell is meant


def main() -> None:
    """Run the command line, or say what is missing for it."""
    _enter_venv()
    try:
        from sandbox.cli import app  # here: its packages lie in the .venv
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "sandbox":
            raise
        sys.exit(
            f"sandbox: the Python package {error.name} is missing: run `make up` in {_CHECKOUT}, which makes .venv"
        )
    app(prog_name="python -m sandbox")


if __name__ == "__main__":
    main()
