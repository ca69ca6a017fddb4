"""An upgrade of Istio leaves no step out: the base release says what there is, and the preview says no already."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
# A stash stands for the release: it needs no cluster, and the engine keeps its inputs in the same way.
PROGRAM = """
    import sys
    sys.path.insert(0, {root!r})
    import pulumi
    from infra.istio import refuse_skipped
    from infra.revisions import PLAIN, Revision

    check = refuse_skipped(Revision(PLAIN, "1.30.4", "1.30.4"))

    def of_release(args):
        inside = lambda inputs: inputs and inputs["input"]
        check(pulumi.ResourceHookArgs(
            args.urn, args.id, args.name, args.type, inside(args.new_inputs), inside(args.old_inputs)
        ))

    hook = pulumi.ResourceHook("order-of-base", of_release, pulumi.ResourceHookOptions(on_dry_run=True))
    base = pulumi.Stash("base", input={inputs!r}, opts=pulumi.ResourceOptions(
        hooks=pulumi.ResourceHookBinding(before_update=[hook])
    ))
    pulumi.Stash("istiods", input={inputs!r}, opts=pulumi.ResourceOptions(depends_on=[base]))
"""
PLAIN = ""  # as the plugin has it where the program gives none
BESIDE = "default:1.30.4:1.30.4 1-31-0:1.31.0:1.31.0"
MOVED = "1-31-0:1.31.0:1.31.0 default:1.30.4:1.30.4"
ALONE = "1-31-0:1.31.0:1.31.0"


def at(project: Project, revisions: str) -> Project:
    inputs = {"chart": "base", "description": revisions}
    project.program(PROGRAM.format(root=str(ROOT), inputs=inputs))
    return project


def test_istio_is_upgraded_step_by_step_and_back(project: Project) -> None:
    at(project, PLAIN).up()
    for step in (BESIDE, MOVED, ALONE, MOVED, BESIDE, PLAIN):
        assert at(project, step).up().changes == {"update": 2}


@pytest.mark.parametrize(
    ("before", "after", "fix"),
    [
        (PLAIN, MOVED, "pulumi config set --path istio.revision default"),
        (PLAIN, ALONE, "pulumi config set --path istio.revisions.default.version 1.30.4"),
        (BESIDE, ALONE, "pulumi config set --path istio.revisions.default.version 1.30.4"),
        (ALONE, BESIDE, "pulumi config set --path istio.revision 1-31-0"),
        (MOVED, PLAIN, "pulumi config set --path istio.revisions.1-31-0.version 1.31.0"),
    ],
)
def test_a_step_that_is_left_out_is_refused_before_anything_changes(
    project: Project, before: str, after: str, fix: str
) -> None:
    at(project, before).up()
    kept = project.export()["deployment"]["resources"]
    for outcome in (at(project, after).preview(fails=True), at(project, after).up(fails=True)):
        assert f"Run: {fix}" in " ".join(outcome.text.split())
    assert project.export()["deployment"]["resources"] == kept


def test_a_new_stack_may_begin_with_any_revision(project: Project) -> None:
    assert at(project, ALONE).up().changes == {"create": 3}
