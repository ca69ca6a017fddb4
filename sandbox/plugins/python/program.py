"""Runs one Pulumi program, with the settings that the language host gives as JSON in the first argument.

Ends with 0, with 1 after a `pulumi.RunError`, with 32 after any other exception of the program (the user has been shown
it then), or with the code that the program itself exits with.
"""

import asyncio
import atexit
import json
import logging
import os
import runpy
import sys
import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

EXIT_AFTER_MESSAGE = 32

try:
    import pulumi
    import pulumi.runtime
except ImportError:
    traceback.print_exc()
    print(
        "\nIt looks like the Pulumi SDK has not been installed. Have you run pip install?\n"
        "If you are running in a virtualenv, you must run pip install -r requirements.txt from inside the virtualenv.",
        file=sys.stderr,
    )
    sys.exit(1)


def main_module(program: str) -> Path:
    """The file that a program starts with: itself, or `__main__.py` of a folder."""
    path = Path(program).absolute()
    return path / "__main__.py" if path.is_dir() else path


def users_traceback(error: BaseException, main: Path) -> str:
    """The traceback of `error` from the program's own first line on, without what was needed to get there."""
    frame: TracebackType | None = error.__traceback__
    while frame is not None and Path(frame.tb_frame.f_code.co_filename).absolute() != main:
        frame = frame.tb_next
    return "".join(traceback.format_exception(type(error), error, frame or error.__traceback__))


def configure(settings: dict[str, Any]) -> None:
    """Points the SDK to this run's engine and gives it the stack's config."""
    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    names = ("monitor", "engine", "project", "stack", "parallel", "dry_run", "organization", "root_directory")
    pulumi.runtime.configure(pulumi.runtime.Settings(**{name: settings[name] or None for name in names}))


def run(settings: dict[str, Any], program: str) -> int:
    """Runs the program and everything that it leaves to be awaited; returns the exit code."""
    main = main_module(program)
    if not main.exists():
        pulumi.log.error(f"unable to find main python program `{main.name}` in `{main.parent}`")
        return EXIT_AFTER_MESSAGE
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    executor = ThreadPoolExecutor(max_workers=max(settings["parallel"], 1) * 4)
    loop.set_default_executor(executor)
    # A failed program leaves tasks unawaited; asyncio's complaints about them would bury the program's own error.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def program_module() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(program_module))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever a program raises is shown
        pulumi.log.error("Program failed with an unhandled exception:\n" + users_traceback(error, main))
        return EXIT_AFTER_MESSAGE
    finally:
        executor.shutdown(wait=True)
        loop.close()
    return 0


def leave(code: int) -> None:
    """Ends the process as `sys.exit` does, but without taking apart every imported module, which costs 0.2 s."""
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001 - waits for threads, as the interpreter does
    atexit._run_exitfuncs()  # noqa: SLF001 - likewise
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    sys.path.pop(0)  # the folder this was started in, which is not part of the program
    configure(given)
    sys.argv = [given["program"], *(given["args"] or [])]
    if given["pwd"]:
        os.chdir(given["pwd"])
    try:
        leave(run(given, given["program"]))
    except KeyboardInterrupt:
        # The engine has cancelled the run and says so itself. Threads that still wait for its answers never get one.
        os._exit(EXIT_AFTER_MESSAGE)
