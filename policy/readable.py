"""No Secret's value that can be read in the project's own files: in its program, or in the plain config of a stack.

Whether a program has marked a Secret's value as secret is nowhere to be seen after the SDK and the Kubernetes plugin,
which mark all of them. So this looks for the value itself: whoever reads the repository would read it too. A value that
the program puts together from parts is not found.
"""

import base64
import binascii
import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from policy.resource import Resource
from policy.sealing import secret_values

_SUFFIXES: Final = frozenset({".json", ".py", ".sh", ".tfvars", ".toml", ".yaml", ".yml"})
_LARGEST: Final = 2**20  # bytes; a larger file is data
_SHORTEST: Final = 4  # characters; shorter values stand in any program, by chance


def project_files(project: Path) -> dict[Path, str]:
    """Read the program and the configs in a project's folder; what is hidden is left out, but for .env."""
    texts: dict[Path, str] = {}
    for folder, below, names in os.walk(project):
        below[:] = [name for name in below if not name.startswith((".", "__"))]
        for file in (Path(folder, name) for name in names if name == ".env" or not name.startswith(".")):
            if (file.suffix in _SUFFIXES or file.name == ".env") and file.is_file() and file.stat().st_size <= _LARGEST:
                texts[file] = file.read_text(errors="replace")
    return texts


def violations(resource: Resource, files: Mapping[Path, str]) -> Iterator[str]:
    """Yield the values of a Secret that stand in one of the files, by name; the value itself is never shown."""
    for path, value in secret_values(resource):
        found = _find(_spellings(path, value), files)
        if found:
            yield resource.wrong(
                path,
                f"in the clear in {found}",
                "a Secret's value is secret in the config, or made by another resource",
                "Run: pulumi config set --secret KEY (it asks for the value), read it by "
                'pulumi.Config().require_secret("KEY"), and take it out of that file',
            )


def _spellings(path: str, value: str) -> list[str]:
    spellings = [value]
    if path.startswith("data."):
        with contextlib.suppress(binascii.Error, UnicodeDecodeError):
            spellings.append(base64.b64decode(value, validate=True).decode())
    return spellings


def _find(spellings: Iterable[str], files: Mapping[Path, str]) -> str | None:
    for spelling in spellings:
        # one line tells a text of several; the longest is the least common
        line = max(spelling.splitlines(), key=len, default="").strip()
        if len(line) < _SHORTEST:
            continue
        for file, text in files.items():
            match = _pattern(line, file).search(text) if line in text else None
            if match:
                return f"{file.name}:{text.count(chr(10), 0, match.start('value')) + 1}"
    return None


def _pattern(line: str, file: Path) -> re.Pattern[str]:
    """A value as files hold it: between quotes, alone on its line, or, where it needs no quotes, behind its key."""
    before, after = [r"[\"'`]", r"\\n", r"^[ \t]*"], [r"[\"'`]", r"\\n", r"[ \t]*$"]
    if file.suffix != ".py":
        before += [r"[:=][ \t]*", r"-[ \t]+"]
        after += [r"[ \t]*[,#\]}]"]
    return re.compile(rf"(?:{'|'.join(before)})(?P<value>{re.escape(line)})(?:{'|'.join(after)})", re.MULTILINE)
