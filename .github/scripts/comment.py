"""Puts each stack's review on a pull request: one comment per stack, found by its first line and edited in place.

    comment.py PULL_REQUEST FILE...

The first line of a file names its stack, as `python -m rollout review` writes it.
"""

import re
import sys
from pathlib import Path

from github_api import ApiError, Repository, fitting, is_ours, this_repository

_MARKER = re.compile(r"<!-- tfserving-mesh review: [A-Za-z0-9._-]+ -->")
_CUT = "*Too long for a comment: its end is cut off here, and whole in the summary of the run.*"


def place(repository: Repository, pull_request: int, review: str) -> str:
    """Make a review the pull request's comment for its stack.

    Returns:
        What was done: created, edited or unchanged.

    Raises:
        ValueError: the first line names no stack, so the comment could never be found again.
        ApiError: GitHub refused it.
    """
    marker = review.partition("\n")[0].strip()
    if not _MARKER.fullmatch(marker):
        raise ValueError(f"it begins with {marker[:60]!r}; a review begins with <!-- tfserving-mesh review: STACK -->")
    body = fitting(review, _CUT)
    found = next((c for c in repository.every(f"/issues/{pull_request}/comments") if is_ours(c, marker)), None)
    if found is None:
        repository.create(f"/issues/{pull_request}/comments", body=body)
        return "created"
    if found["body"].replace("\r\n", "\n").strip() == body.strip():
        return "unchanged"
    repository.edit(f"/issues/comments/{found['id']}", body=body)
    return "edited"


def main(arguments: list[str]) -> int:
    """Run the command.

    Returns:
        0, or 1 when a comment is missing now; the others are made all the same.
    """
    repository, pull_request, code = this_repository(), int(arguments[0]), 0
    for file in arguments[1:]:
        try:
            print(f"{file}: {place(repository, pull_request, Path(file).read_text())}")
        except (ApiError, OSError, ValueError) as error:
            print(f"::error::{file}: {error}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
