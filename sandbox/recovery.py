"""What a `pulumi` that was killed leaves in the sandbox's file backend: a lock that nobody holds."""

from __future__ import annotations

import json
import socket
from pathlib import Path

LOCKS = Path(".pulumi") / "locks" / "organization"


def abandoned_locks(backend: Path, project: str, stack: str) -> list[Path]:
    """Return the locks on a stack whose process has ended on this machine; those of a living one are not touched.

    The CLI itself never takes a lock away: it cannot know whether the process runs on another machine. Here it can be
    known, since the backend is a folder of this machine.
    """
    found = []
    for file in sorted((backend / LOCKS / project / stack).glob("*.json")):
        holder = json.loads(file.read_text())
        if holder["hostname"] == socket.gethostname() and not _runs_pulumi(int(holder["pid"])):
            found.append(file)
    return found


def _runs_pulumi(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]
    except OSError:
        return False
    return Path(command.decode(errors="replace")).name == "pulumi"
