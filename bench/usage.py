"""What a command uses with all the processes that it starts: time, the processors' time, and memory at its peak."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.programs import failed

INTERVAL = 0.05  # seconds between two looks at the processes
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """What one run of a command took.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of processors' time, those of all processes that ended before it; hardly touched by what else runs.
        peak: bytes of resident memory of all its processes together, the most that was seen at any look. Pages that
            processes share count for each of them.
        output: what it printed.
    """

    seconds: float
    cpu: float
    peak: int
    output: str


def measure(command: list[str], folder: Path, environ: Mapping[str, str]) -> Usage:
    """Run a command to its end and watch its processes; exit with what it printed when it fails."""
    start = time.perf_counter()
    ended = threading.Event()
    peak = 0
    with subprocess.Popen(
        command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as started:

        def watch() -> None:
            nonlocal peak
            while not ended.wait(INTERVAL):
                peak = max(peak, sum(map(resident, tree(started.pid))))

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        output = started.stdout.read() if started.stdout else ""
        _, status, used = os.wait4(started.pid, 0)
        seconds = time.perf_counter() - start
        started.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        watcher.join()
    if started.returncode != 0:
        sys.exit(failed(command, output))
    return Usage(seconds, used.ru_utime + used.ru_stime, peak, output)


def tree(process: int) -> Iterator[int]:
    """Yield the ids of a process and of all that descend from it; those that end meanwhile are left out."""
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        for child in _read(children).split():
            yield from tree(int(child))


def resident(process: int) -> int:
    """Return the bytes of resident memory of a process, 0 when it is gone."""
    fields = _read(Path(f"/proc/{process}/statm")).split()
    return int(fields[1]) * _PAGE if fields else 0


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the process has ended
        return ""
