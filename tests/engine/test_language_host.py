"""The Python language host as a user of `pulumi up` meets it; the same with the real host and with the stand-in."""

from __future__ import annotations

import pytest

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine


def test_a_program_runs_and_its_outputs_are_there(project: Project) -> None:
    project.program("""
        import pulumi
        pulumi.export("answer", 42)
    """)
    assert project.up().changes == {"create": 1}
    assert project.outputs() == {"answer": 42}
