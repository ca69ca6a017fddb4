"""Prints the commit that was deployed last to an environment, as a line for GITHUB_OUTPUT.

    deployed.py ENVIRONMENT

An environment that no job has deployed to yet gives an empty commit, for which a checkout takes the branch of the run.
"""

import sys

from github_api import ApiError, Repository, this_repository


def last_deployed(repository: Repository, environment: str) -> str:
    """The commit of the newest deployment that succeeded; empty when there is none.

    Raises:
        ApiError: GitHub refused to say.
    """
    for deployment in repository.every("/deployments", environment=environment):
        # A later success makes this one inactive, a later failure does not; both come after its own success.
        statuses = repository.every(f"/deployments/{deployment['id']}/statuses")
        if any(status["state"] == "success" for status in statuses):
            return str(deployment["sha"])
    return ""


def main(arguments: list[str]) -> int:
    """Run the command.

    Returns:
        0, or 1 when GitHub did not say.
    """
    try:
        print(f"commit={last_deployed(this_repository(), arguments[0])}")
    except ApiError as error:
        print(f"::error::{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
