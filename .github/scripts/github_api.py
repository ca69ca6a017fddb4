"""GitHub's REST API as a workflow's job sees it, by the standard library alone: these jobs install nothing."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

_PAGE = 100  # the most that a list gives at once
_TIMEOUT_SECONDS = 30
BODY_LIMIT = 65_000
"""Characters of a comment or an issue; GitHub takes 65,536."""


class ApiError(Exception):
    """GitHub refused a request or could not be reached; the message names the request and GitHub's reason."""


class Repository:
    """One repository, by the token of the job."""

    def __init__(self, name: str, token: str, api: str) -> None:
        """Args: name is OWNER/NAME, api the base URL."""
        self._base = f"{api}/repos/{name}"
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": name,
        }

    def every(self, path: str, **query: str) -> Iterator[dict[str, Any]]:
        """All entries of a list, page by page.

        Raises:
            ApiError: a page could not be read.
        """
        page = 1
        while True:
            wanted = urllib.parse.urlencode({**query, "per_page": _PAGE, "page": page})
            entries = self._send("GET", f"{path}?{wanted}")
            yield from entries
            if len(entries) < _PAGE:
                return
            page += 1

    def create(self, path: str, **content: object) -> None:
        """Make an entry.

        Raises:
            ApiError: GitHub refused it.
        """
        self._send("POST", path, content)

    def edit(self, path: str, **content: object) -> None:
        """Change an entry.

        Raises:
            ApiError: GitHub refused it.
        """
        self._send("PATCH", path, content)

    def _send(self, method: str, path: str, content: object = None) -> Any:  # noqa: ANN401 - what GitHub answers is JSON
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(  # noqa: S310 - the runner names the API
            f"{self._base}{path}", body, self._headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - likewise
                return json.load(answer)
        except urllib.error.HTTPError as error:
            said = error.read().decode(errors="replace")
            raise ApiError(f"{method} {path}: {error.code} {said[:500]}") from error
        except OSError as error:
            raise ApiError(f"{method} {path}: {error}") from error


def this_repository() -> Repository:
    """The repository that the job runs for, as the runner's variables and GITHUB_TOKEN say."""
    return Repository(
        os.environ["GITHUB_REPOSITORY"],
        os.environ["GITHUB_TOKEN"],
        os.environ.get("GITHUB_API_URL", "https://api.github.com"),
    )


def is_ours(entry: dict[str, Any], marker: str) -> bool:
    """Whether a job made this comment or issue for this marker; people who quote the marker are no bots."""
    body = entry["body"] or ""
    return entry["user"]["type"] == "Bot" and body.partition("\n")[0].strip() == marker


def fitting(body: str, note: str) -> str:
    """A body that GitHub takes: what is too long loses its end and says so by `note` under its first line."""
    if len(body) <= BODY_LIMIT:
        return body
    first, _, rest = body.partition("\n")
    return f"{first}\n{note}\n\n{rest}"[:BODY_LIMIT]
