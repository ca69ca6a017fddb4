#!/usr/bin/python3
"""Stands in for Grafana, which no registry here carries: not its pages, but what a deployment of it can get wrong.

It heeds the settings that Grafana takes from its environment, reads the provisioning files where Grafana would, and
answers these of its HTTP API below the path of its root URL: /api/health, and with the password of admin
/api/datasources, /api/search, /api/dashboards/uid/UID and, to ask a data source, /api/datasources/proxy/uid/UID/...
Files have to be JSON, which YAML takes in; this image has no YAML. Wrong provisioning ends it with the reason.
"""

import base64
import json
import os
import re
import signal
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PORT = 3000
Answer = tuple[int, Any]


class Provisioned:
    """What the provisioning files hold."""

    def __init__(self, folder: Path) -> None:
        self.sources = {each["uid"]: each for each in _entries(folder / "datasources", "datasources")}
        self.boards: dict[str, Any] = {}
        for provider in _entries(folder / "dashboards", "providers"):
            for file in sorted(Path(provider["options"]["path"]).glob("*.json")):
                board = json.loads(file.read_text())
                if board["uid"] in self.boards:
                    raise SystemExit(f"{file}: another dashboard has the uid {board['uid']}")
                self.boards[board["uid"]] = board
                for panel in board["panels"]:
                    if panel["datasource"]["uid"] not in self.sources:
                        raise SystemExit(f"{file}: {panel['title']} reads a data source that is not provisioned")


def _entries(folder: Path, key: str) -> Iterator[Any]:
    for file in sorted(folder.glob("*.yaml")):
        content = json.loads(file.read_text())
        if content.get("apiVersion") != 1:
            raise SystemExit(f"{file}: apiVersion is not 1")
        yield from content[key]


def answer(path: str, *, known: bool, provisioned: Provisioned) -> Answer:
    """Answer a path below the root; `known` says whether admin asks."""
    if path == "/api/health":
        return 200, {"database": "ok", "version": "stand-in"}
    if not known:
        return 401, {"message": "Unauthorized"}
    if path == "/api/datasources":
        return 200, list(provisioned.sources.values())
    if path == "/api/search":
        found = provisioned.boards.values()
        return 200, [{"uid": board["uid"], "title": board["title"], "type": "dash-db"} for board in found]
    if path.startswith("/api/dashboards/uid/"):
        board = provisioned.boards.get(path.rpartition("/")[2])
        return (200, {"dashboard": board}) if board else (404, {"message": "Dashboard not found"})
    proxied = re.fullmatch(r"/api/datasources/proxy/uid/([^/]+)(/.*)", path)
    if proxied and proxied[1] in provisioned.sources:
        return _asked(provisioned.sources[proxied[1]]["url"] + proxied[2])
    return 404, {"message": "Not found"}


def _asked(url: str) -> Answer:
    try:
        with urllib.request.urlopen(url, timeout=10) as answered:  # noqa: S310 # a provisioned data source's
            return answered.status, json.load(answered)
    except urllib.error.HTTPError as error:
        return error.code, {"message": error.reason}
    except OSError as error:
        return 502, {"message": str(error)}


def main() -> None:
    """Serve until the pod ends."""
    settings = os.environ
    provisioned = Provisioned(Path(settings.get("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning")))
    below = urllib.parse.urlsplit(settings.get("GF_SERVER_ROOT_URL", "/")).path.rstrip("/")
    root = below if settings.get("GF_SERVER_SERVE_FROM_SUB_PATH") == "true" else ""
    admin = f"admin:{settings.get('GF_SECURITY_ADMIN_PASSWORD', 'admin')}".encode()
    expected = f"Basic {base64.b64encode(admin).decode()}"
    anonymous = settings.get("GF_AUTH_ANONYMOUS_ENABLED") == "true"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            path, _, query = self.path.partition("?")
            if not path.startswith(f"{root}/"):
                code, content = 404, {"message": f"nothing is served outside of {root}/"}
            else:
                known = anonymous or self.headers.get("Authorization") == expected
                wanted = path.removeprefix(root)
                if "/proxy/" in wanted and query:
                    wanted += f"?{query}"
                code, content = answer(wanted, known=known, provisioned=provisioned)
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing of each request."""

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # a container's first process heeds none by itself
    ThreadingHTTPServer(("", PORT), Handler).serve_forever()


if __name__ == "__main__":
    main()
