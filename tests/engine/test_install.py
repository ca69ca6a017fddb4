"""`pulumi install` through the language host, without a network: the packages come from a folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine


def wheel(folder: Path, name: str, version: str, source: str) -> None:
    """Writes the smallest wheel that pip installs: one module."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": source,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, content in (files | {f"{info}/RECORD": record}).items():
            archive.writestr(path, content)


def test_pulumi_install_makes_the_environment_and_installs_the_requirements(project: Project) -> None:
    shelf = project.folder / "shelf"
    shelf.mkdir()
    wheel(shelf, "wheel", "99.0", "")
    wheel(shelf, "greeting", "1.0", "TEXT = 'hello from the wheel'\n")
    project.project_file(runtime={"name": "python", "options": {"toolchain": "pip", "virtualenv": "venv"}})
    project.program("from greeting import TEXT\nraise SystemExit(TEXT)")
    project.write("requirements.txt", "greeting\n")
    installed = project.run("install", PIP_NO_INDEX="1", PIP_FIND_LINKS=str(shelf))
    assert "Successfully installed greeting-1.0" in installed.text
    assert list((project.folder / "venv").glob("lib/python3*/site-packages/greeting.py"))


def test_a_requirement_that_cannot_be_had_fails_the_install(project: Project) -> None:
    project.project_file(runtime={"name": "python", "options": {"toolchain": "pip", "virtualenv": "venv"}})
    shelf = project.folder / "shelf"
    shelf.mkdir()
    wheel(shelf, "wheel", "99.0", "")
    project.write("requirements.txt", "not-to-be-found\n")
    outcome = project.run("install", check=False, PIP_NO_INDEX="1", PIP_FIND_LINKS=str(shelf))
    assert outcome.code != 0
    assert "not-to-be-found" in outcome.text
