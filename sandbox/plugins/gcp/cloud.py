"""The made-up cloud: what exists, in one JSON file that several plugins may use at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.plugins.gcp.values import Tree

FILE_VARIABLE = "SANDBOX_CLOUD"
"""Names the environment variable with the file's path."""


class CloudError(Exception):
    """A request that Google would refuse; the message is what it would say."""

    @classmethod
    def of(cls, status: int, message: str, reason: str) -> CloudError:
        """Return it in the form that Google's client library gives to answers."""
        return cls(f"googleapi: Error {status}: {message}, {reason}")


@dataclass
class Cloud:
    """What exists, by resource type and ID, while nobody else changes it."""

    things: dict[str, dict[str, Tree]]

    def get(self, token: str, identity: str) -> Tree | None:
        """Return a thing's properties, None when there is no such thing."""
        return self.things.get(token, {}).get(identity)

    def put(self, token: str, identity: str, properties: Tree) -> None:
        """Make or change a thing."""
        self.things.setdefault(token, {})[identity] = properties

    def remove(self, token: str, identity: str) -> None:
        """Delete a thing, if it is there."""
        kept = self.things.get(token, {})
        kept.pop(identity, None)
        if not kept:
            self.things.pop(token, None)

    def all(self, token: str) -> dict[str, Tree]:
        """Return everything of one type, by ID."""
        return self.things.get(token, {})


def file_from(environ: dict[str, str]) -> Path | None:
    """Return where the cloud is kept; None outside of the sandbox's environment."""
    found = environ.get(FILE_VARIABLE, "")
    return Path(found) if found else None


@contextmanager
def opened(file: Path | None) -> Iterator[Cloud]:
    """Hold the cloud; what was changed is kept, whole, unless an error is raised.

    Raises:
        CloudError: there is no sandbox that it could belong to.
    """
    if file is None:
        raise CloudError(
            f"this is the sandbox's stand-in for the GCP plugin, and there is no sandbox: {FILE_VARIABLE} is not set. "
            'Run: eval "$(python3 -m sandbox env)", or install the real plugin to work with Google Cloud'
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = file.read_text() if file.exists() else "{}"
        cloud = Cloud(json.loads(before))
        yield cloud
        after = json.dumps(cloud.things, indent=1, sort_keys=True) + "\n"
        if after != before:
            staged = file.with_name(f".{file.name}.{os.getpid()}")
            staged.write_text(after)
            staged.replace(file)
