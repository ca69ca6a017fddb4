"""Keeps one open issue for each stack that differs from what was deployed, and closes it when the difference is gone.

    drift_issue.py RUN FILE...

RUN is the address of the run. A file is named after its stack and holds the differences; an empty one says there are
none.
"""

import sys
from pathlib import Path

from github_api import ApiError, Repository, fitting, is_ours, this_repository

_LABEL = "drift"
_CUT = "*Too long for an issue: its end is cut off here, and whole in the log of the run.*"


def settle(repository: Repository, stack: str, differences: str, run: str) -> str:
    """Bring the stack's issue in line with what was found.

    Returns:
        What was done: opened, updated, closed, or nothing.

    Raises:
        ApiError: GitHub refused it.
    """
    marker = f"<!-- tfserving-mesh drift: {stack} -->"
    found = next(
        (i for i in repository.every("/issues", state="open", labels=_LABEL) if is_ours(i, marker)),
        None,
    )
    if not differences.strip():
        if found is None:
            return "nothing"
        repository.create(f"/issues/{found['number']}/comments", body=f"The stack is as deployed again: {run}")
        repository.edit(f"/issues/{found['number']}", state="closed")
        return "closed"
    body = fitting(f"{marker}\n{_text(stack, differences, run)}", _CUT)
    if found is None:
        repository.create("/issues", title=f"{stack} differs from what was deployed", body=body, labels=[_LABEL])
        return "opened"
    repository.edit(f"/issues/{found['number']}", body=body)
    return "updated"


def _text(stack: str, differences: str, run: str) -> str:
    # Indented, so that no text in it can end the code block.
    block = "".join(f"    {line}\n" for line in differences.splitlines())
    return (
        f"What runs in `{stack}` is not what was deployed last, as [this run]({run}) saw. `pulumi up --refresh` puts "
        "back what the program says; what is to stay belongs into the program or the stack's config.\n\n"
        f"{block}"
    )


def main(arguments: list[str]) -> int:
    """Run the command.

    Returns:
        0, or 1 when an issue is not as it should be; the others are settled all the same.
    """
    repository, run, code = this_repository(), arguments[0], 0
    for name in arguments[1:]:
        file = Path(name)
        try:
            print(f"{file.stem}: {settle(repository, file.stem, file.read_text(), run)}")
        except (ApiError, OSError) as error:
            print(f"::error::{file.stem}: {error}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
