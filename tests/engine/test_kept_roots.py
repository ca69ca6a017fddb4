"""A root's replacement leaves no step out: the engine knows the step before, and its preview says no already."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
# The stash is the program's own; the second stands for the Secret, and is behind when an update was interrupted.
PROGRAM = """
    import sys
    sys.path.insert(0, {root!r})
    import pulumi
    from infra import naming
    from infra.injector import refuse_skipped

    def of_secret(args):
        inside = lambda inputs: inputs and inputs["input"]
        refuse_skipped(pulumi.ResourceHookArgs(
            args.urn, args.id, args.name, args.type, inside(args.new_inputs), inside(args.old_inputs)
        ))

    def kept(name, check, value, *before):
        hook = pulumi.ResourceHook(f"order-of-{{name}}", check, pulumi.ResourceHookOptions(on_dry_run=True))
        return pulumi.Stash(name, input=value, opts=pulumi.ResourceOptions(
            hooks=pulumi.ResourceHookBinding(before_update=[hook]), depends_on=before
        ))

    def broken_off(_):
        raise pulumi.RunError("broken off")

    before = []
    annotations = {{}}
    if {recorded}:
        before = [kept("roots", refuse_skipped, {roots!r})]
        annotations = {{naming.CA_ROOTS: {roots!r}}}
    if {interrupted}:
        annotations = before[0].output.apply(broken_off)
    kept("secret", of_secret, {{"metadata": {{"annotations": annotations}}}}, *before)
"""


def at(project: Project, roots: str, *, interrupted: bool = False, recorded: bool = True) -> Project:
    project.program(PROGRAM.format(root=str(ROOT), roots=roots, interrupted=interrupted, recorded=recorded))
    return project


def test_a_root_is_replaced_step_by_step_and_no_step_is_left_out(project: Project) -> None:
    at(project, "1").up()
    for skipped, step in (("2", "1+2"), ("2", "2+1"), ("3", "2")):
        before = project.export()["deployment"]["resources"]
        for outcome in (at(project, skipped).preview(fails=True), at(project, skipped).up(fails=True)):
            assert f"caRoot is {skipped}; the CA is at " in outcome.text
            assert f"Run: pulumi config set caRoot {step}" in outcome.text.replace("\n", " ")
        assert project.export()["deployment"]["resources"] == before
        assert at(project, step).up().changes == {"update": 2}


def test_the_way_back_is_open_until_the_old_root_is_gone(project: Project) -> None:
    for roots in ("1", "1+2", "2+1"):
        at(project, roots).up()
    assert "Run: pulumi config set caRoot 1+2" in at(project, "1").preview(fails=True).text
    for roots in ("1+2", "1", "1+2", "2+1", "2"):
        at(project, roots).up()
    assert "there is no way but forward" in at(project, "2+1").preview(fails=True).text


def test_after_an_interruption_the_step_that_was_not_made_is_made_first(project: Project) -> None:
    at(project, "1").up()
    at(project, "1+2", interrupted=True).up(fails=True)
    assert project.resource("roots")["inputs"]["input"] == "1+2"
    assert "the CA is at 1," in at(project, "2+1").up(fails=True).text
    for roots in ("1+2", "2+1"):
        at(project, roots).up()


def test_a_ca_from_before_there_were_steps_is_at_root_one(project: Project) -> None:
    at(project, "1", recorded=False).up()
    assert "the CA is at 1," in at(project, "2").preview(fails=True).text
    assert at(project, "1").up().changes == {"create": 1, "update": 1}


def test_a_new_stack_may_begin_with_any_root(project: Project) -> None:
    assert at(project, "3").up().changes == {"create": 3}
