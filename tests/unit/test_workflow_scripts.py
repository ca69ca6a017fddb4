"""What the workflows' scripts do to a pull request and to issues, over HTTP against a GitHub of a few entries."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.local_server import served

SCRIPTS = Path(__file__).parents[2] / ".github" / "scripts"
REPOSITORY = "/repos/team/mesh"
MARKER = "<!-- tfserving-mesh review: {} -->"
RUN = "https://github.example/team/mesh/actions/runs/7"


class GitHub:
    """Lists by path, each entry a dict; what is written is kept, and every write is recorded."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {}
        self.writes: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.address = ""

    def add(self, path: str, body: str, *, author: str = "Bot", **more: object) -> None:
        entries = self.lists.setdefault(path, [])
        number = 1 + sum(map(len, self.lists.values()))
        entries.append({"id": number, "number": number, "body": body, "user": {"type": author}, **more})

    def bodies(self, path: str) -> list[str]:
        return [entry["body"] for entry in self.lists.get(path, [])]

    def answer(self, method: str, url: str, content: dict[str, Any]) -> tuple[int, object]:
        split = urlsplit(url)
        path, query = split.path.removeprefix(REPOSITORY), parse_qs(split.query)
        if path in self.refuses:
            return 403, {"message": "Resource not accessible by integration"}
        if method == "GET":
            page, size = int(query["page"][0]), int(query["per_page"][0])
            entries = [entry for entry in self.lists.get(path, []) if self._wanted(entry, query)]
            return 200, entries[(page - 1) * size : page * size]
        self.writes.append((method, path))
        if len(content.get("body", "")) > 65_536:
            return 422, {"message": "body is too long (maximum is 65536 characters)"}
        if method == "POST":
            self.add(path, **{"state": "open", **content})
            return 201, {}
        folder, _, number = path.rpartition("/")
        for entries in self.lists.values():
            for entry in entries:
                if entry["number"] == int(number) and folder in {"/issues", "/issues/comments"}:
                    entry.update(content)
        return 200, {}

    @staticmethod
    def _wanted(entry: dict[str, Any], query: dict[str, list[str]]) -> bool:
        labels = query.get("labels", [])
        return (
            entry.get("state", "open") == query.get("state", [entry.get("state", "open")])[0]
            and set(labels) <= set(entry.get("labels", labels))
            and entry.get("environment") == query.get("environment", [entry.get("environment")])[0]
        )


@pytest.fixture
def github() -> Iterator[GitHub]:
    state = GitHub()

    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            assert self.headers["Authorization"] == "Bearer made-up-token"
            length = int(self.headers.get("Content-Length") or 0)
            content = json.loads(self.rfile.read(length)) if length else {}
            code, answer = state.answer(self.command, self.path, content)
            body = json.dumps(answer).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = _any  # noqa: N815 - the server's names

        def log_message(self, *_: object) -> None:
            pass

    with served(Handler) as state.address:
        yield state


def _script(github: GitHub, name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environ = {"GITHUB_REPOSITORY": "team/mesh", "GITHUB_TOKEN": "made-up-token", "GITHUB_API_URL": github.address}
    # With the packages of the tests out of reach, as in the jobs that run these.
    command: list[str | Path] = [sys.executable, "-S", SCRIPTS / name, *arguments]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert "made-up-token" not in done.stdout + done.stderr
    return done


COMMENTS = "/issues/12/comments"


def _comment(github: GitHub, folder: Path, **reviews: str) -> subprocess.CompletedProcess[str]:
    files = []
    for stack, text in reviews.items():
        (folder / f"{stack}.md").write_text(f"{MARKER.format(stack)}\n{text}\n")
        files.append(folder / f"{stack}.md")
    return _script(github, "comment.py", "12", *files)


def test_each_stack_has_its_own_comment_and_keeps_it(github: GitHub, tmp_path: Path) -> None:
    assert _comment(github, tmp_path, dev="first", prod="first").returncode == 0
    assert _comment(github, tmp_path, dev="second", prod="first").returncode == 0
    assert github.bodies(COMMENTS) == [f"{MARKER.format('dev')}\nsecond\n", f"{MARKER.format('prod')}\nfirst\n"]
    assert [method for method, _ in github.writes] == ["POST", "POST", "PATCH"]  # what did not change is not edited


def test_the_comment_is_found_behind_a_long_discussion(github: GitHub, tmp_path: Path) -> None:
    for number in range(205):
        github.add(COMMENTS, f"remark {number}", author="User")
    github.add(COMMENTS, f"{MARKER.format('dev')}\r\nfirst")
    _comment(github, tmp_path, dev="second")
    assert len(github.bodies(COMMENTS)) == 206
    assert github.bodies(COMMENTS)[-1].endswith("second\n")


def test_a_reviewer_who_quotes_the_comment_keeps_their_own(github: GitHub, tmp_path: Path) -> None:
    quotes = [f"{MARKER.format('dev')}\nI doubt it", f"> {MARKER.format('dev')}"]
    github.add(COMMENTS, quotes[0], author="User")
    github.add(COMMENTS, quotes[1])
    _comment(github, tmp_path, dev="first")
    assert github.bodies(COMMENTS) == [*quotes, f"{MARKER.format('dev')}\nfirst\n"]


def test_a_review_that_is_too_long_is_cut_and_says_so(github: GitHub, tmp_path: Path) -> None:
    assert _comment(github, tmp_path, dev="x" * 70_000).returncode == 0
    (body,) = github.bodies(COMMENTS)
    assert body.startswith(f"{MARKER.format('dev')}\n*Too long for a comment")


def test_a_text_that_could_not_be_found_again_is_not_posted(github: GitHub, tmp_path: Path) -> None:
    (tmp_path / "dev.md").write_text("no first line of ours\n")
    done = _script(github, "comment.py", "12", tmp_path / "dev.md")
    assert done.returncode == 1
    assert "a review begins with" in done.stdout
    assert github.writes == []


def test_one_comment_that_is_refused_does_not_keep_back_the_other(github: GitHub, tmp_path: Path) -> None:
    github.add(COMMENTS, f"{MARKER.format('dev')}\nold")
    github.refuses.add("/issues/comments/1")
    done = _comment(github, tmp_path, dev="new", prod="new")
    assert done.returncode == 1
    assert re.search(r"dev\.md: PATCH /issues/comments/1: 403 .*not accessible", done.stdout)
    assert github.bodies(COMMENTS)[1:] == [f"{MARKER.format('prod')}\nnew\n"]


def _drift(github: GitHub, folder: Path, **differences: str) -> list[tuple[str, str]]:
    for stack, text in differences.items():
        (folder / f"{stack}.txt").write_text(text)
    done = _script(github, "drift_issue.py", RUN, *(folder / f"{stack}.txt" for stack in differences))
    assert done.returncode == 0, done.stdout
    issues = github.lists.get("/issues", [])
    return [(issue["title"].split()[0], issue["state"]) for issue in issues]


def test_drift_opens_one_issue_until_it_is_gone(github: GitHub, tmp_path: Path) -> None:
    assert _drift(github, tmp_path, dev="weight: 10 => 54", prod="") == [("dev", "open")]
    assert _drift(github, tmp_path, dev="weight: 10 => 60", prod="") == [("dev", "open")]
    (body,) = github.bodies("/issues")
    assert "    weight: 10 => 60\n" in body
    assert RUN in body
    assert _drift(github, tmp_path, dev="", prod="") == [("dev", "closed")]
    assert RUN in github.bodies("/issues/1/comments")[0]
    writes = len(github.writes)
    assert _drift(github, tmp_path, dev="", prod="") == [("dev", "closed")]
    assert len(github.writes) == writes
    assert _drift(github, tmp_path, dev="weight: 10 => 54") == [("dev", "closed"), ("dev", "open")]


def test_drift_of_one_stack_leaves_the_others_issue(github: GitHub, tmp_path: Path) -> None:
    _drift(github, tmp_path, dev="one", prod="two")
    assert _drift(github, tmp_path, dev="") == [("dev", "closed"), ("prod", "open")]


def test_text_in_a_difference_cannot_leave_its_block(github: GitHub, tmp_path: Path) -> None:
    _drift(github, tmp_path, dev="```\n@everybody <!-- hidden -->\n")
    lines = github.bodies("/issues")[0].splitlines()
    assert "    ```" in lines
    assert "    @everybody <!-- hidden -->" in lines


def _deployment(github: GitHub, commit: str, *states: str, environment: str = "prod") -> None:
    github.add("/deployments", "", sha=commit, environment=environment)
    number = github.lists["/deployments"][-1]["id"]
    for state in states:
        github.lists.setdefault(f"/deployments/{number}/statuses", []).append({"state": state})


def test_drift_is_told_from_what_was_deployed_and_not_from_what_was_tried(github: GitHub) -> None:
    assert _script(github, "deployed.py", "prod").stdout == "commit=\n"
    _deployment(github, "rejected", "waiting", "error")
    _deployment(github, "failed", "failure", "in_progress")
    _deployment(github, "tried-on-dev", "success", environment="dev")
    _deployment(github, "deployed", "inactive", "success", "in_progress")
    _deployment(github, "older", "inactive", "success")
    assert _script(github, "deployed.py", "prod").stdout == "commit=deployed\n"


def test_a_deployment_that_cannot_be_asked_for_stops_the_comparison(github: GitHub) -> None:
    github.refuses.add("/deployments")
    done = _script(github, "deployed.py", "prod")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """A checkout whose `pulumi` and `python` say what they were asked."""
    for name, program in {
        "bin/pulumi": 'echo "pulumi $*"; exit "${PULUMI_CODE:-0}"',
        ".venv/bin/python": 'echo "python $*" >"$7"',
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"#!/bin/sh\n{program}\n")
        (tmp_path / name).chmod(stat.S_IRWXU)
    return tmp_path


def _shell(runner: Path, name: str, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PATH": f"{runner / 'bin'}:{os.environ['PATH']}", "PULUMI_CODE": str(code)}
    command: list[str | Path] = [SCRIPTS / name, *arguments]
    return subprocess.run(command, cwd=runner, env=environ, capture_output=True, text=True, check=False)


def test_a_preview_that_succeeds_is_reviewed(runner: Path) -> None:
    assert _shell(runner, "preview.sh", "dev", "dev.json", "review/dev.md").returncode == 0
    assert (runner / "dev.json").read_text() == "pulumi preview --stack dev --policy-pack policy --json\n"
    assert (runner / "review/dev.md").read_text() == (
        "python -m rollout review --stack dev --output review/dev.md dev.json\n"
    )


def test_an_up_that_fails_fails_the_job(runner: Path) -> None:
    assert _shell(runner, "up.sh", "dev", "up.log", code=1).returncode == 1
    assert _shell(runner, "up.sh", "dev", "up.log").returncode == 0
    assert (runner / "up.log").read_text().startswith("pulumi up --stack dev --yes --policy-pack policy")
