"""A policy pack in Python: the engine starts it through the language host."""

from __future__ import annotations

import sys
import textwrap
from importlib import metadata
from pathlib import Path

import pytest
import yaml

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack that forbids the word "forbidden" in a Stash, and warns about the stack's name."""
    try:
        metadata.version("pulumi-policy")
    except metadata.PackageNotFoundError:
        pytest.fail("pulumi-policy is not installed. Run: pip install -r requirements.txt")
    folder = tmp_path / "pack"
    folder.mkdir()
    options = {"virtualenv": sys.prefix}
    (folder / "PulumiPolicy.yaml").write_text(yaml.safe_dump({"runtime": {"name": "python", "options": options}}))
    (folder / "__main__.py").write_text(
        textwrap.dedent("""
            import sys, pulumi
            from pulumi_policy import EnforcementLevel, PolicyPack, ResourceValidationPolicy

            def no_forbidden_word(args, report):
                if args.resource_type == "pulumi:index:Stash" and args.props["input"] == "forbidden":
                    report("no resource may hold the forbidden word")

            def stack_name(args, report):
                if args.resource_type == "pulumi:index:Stash":
                    report(f"seen in {pulumi.get_project()}/{pulumi.get_stack()}")

            print("the pack says hello", file=sys.stderr)
            PolicyPack("words", policies=[
                ResourceValidationPolicy(
                    "no-forbidden-word", "no forbidden word", no_forbidden_word, EnforcementLevel.MANDATORY),
                ResourceValidationPolicy("stack-name", "the stack's name", stack_name, EnforcementLevel.ADVISORY),
            ])
        """)
    )
    return folder


def write_program(project: Project, word: str) -> None:
    project.program(f"""
        import pulumi
        pulumi.Stash("word", input={word!r})
    """)


def test_a_mandatory_policy_stops_the_update_before_the_resource_is_made(project: Project, pack: Path) -> None:
    write_program(project, "forbidden")
    outcome = project.up("--policy-pack", str(pack), fails=True)
    assert "no resource may hold the forbidden word" in outcome.text
    assert "mandatory" in outcome.text
    assert "::word" not in str(project.export())


def test_a_program_that_is_at_work_when_a_policy_stops_it_ends_quietly(project: Project, pack: Path) -> None:
    project.program("""
        import asyncio, time, pulumi
        asyncio.get_event_loop().run_in_executor(None, time.sleep, 3)
        pulumi.Stash("word", input="forbidden")
    """)
    outcome = project.preview("--policy-pack", str(pack), fails=True)
    assert "no resource may hold the forbidden word" in outcome.text
    assert "Traceback" not in outcome.text


def test_a_preview_tells_of_the_violation_too(project: Project, pack: Path) -> None:
    write_program(project, "forbidden")
    outcome = project.preview("--policy-pack", str(pack), fails=True)
    assert "no resource may hold the forbidden word" in outcome.text


def test_a_stack_that_keeps_the_policy_is_updated(project: Project, pack: Path) -> None:
    write_program(project, "allowed")
    outcome = project.up("--policy-pack", str(pack))
    assert outcome.step("word").op == "create"
    assert "the pack says hello" in outcome.text


def test_a_policy_knows_which_stack_it_looks_at(project: Project, pack: Path) -> None:
    write_program(project, "allowed")
    assert "seen in engine-test/test" in project.up("--policy-pack", str(pack)).text


def test_a_pack_that_does_not_start_fails_the_update(project: Project, pack: Path) -> None:
    write_program(project, "allowed")
    (pack / "__main__.py").write_text("raise ValueError('the pack is broken')\n")
    outcome = project.up("--policy-pack", str(pack), fails=True)
    assert "the pack is broken" in outcome.text
