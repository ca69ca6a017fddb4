"""Prints the interpreter's path, its version, and the version of its pip (0.0.0 without one), a line each."""

# Importing pathlib takes longer than all of this.
# ruff: noqa: PTH208

import os
import sys

VERSION = "{}.{}.{}".format(*sys.version_info[:3])


def pip_version() -> str:
    """The version in the name of pip's metadata folder; importing pip to ask it takes half a second."""
    for folder in filter(os.path.isdir, sys.path):
        for name in os.listdir(folder):
            if name.startswith("pip-") and name.endswith(".dist-info"):
                return name.removeprefix("pip-").removesuffix(".dist-info")
    return "0.0.0"


if __name__ == "__main__":
    print(sys.executable, VERSION, pip_version(), sep="\n")
