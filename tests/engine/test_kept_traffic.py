"""A version is not removed while it has traffic: the engine knows the old route, and its preview says no already."""

import json
from pathlib import Path

import pytest

from tests.engine.conftest import Project

pytestmark = pytest.mark.engine

ROOT = Path(__file__).parents[2]
# A stash stands for the VirtualService: the hook is the engine's business, whatever the resource.
PROGRAM = """
    import sys
    sys.path.insert(0, {root!r})
    import pulumi
    from infra.routing import refuse_orphans

    def check(args):
        inside = lambda inputs: inputs and inputs["input"]
        refuse_orphans(pulumi.ResourceHookArgs(
            args.urn, args.id, args.name, args.type, inside(args.new_inputs), inside(args.old_inputs)
        ))

    hook = pulumi.ResourceHook("keeps-its-traffic", check, pulumi.ResourceHookOptions(on_dry_run=True))
    spec = {{"http": [{{"route": [
        {{"destination": {{"subset": name}}, "weight": weight}} for name, weight in {weights}.items()
    ]}}]}}
    pulumi.Stash("route", input={{"spec": spec}}, opts=pulumi.ResourceOptions(
        hooks=pulumi.ResourceHookBinding(before_update=[hook])
    ))
"""


def routed(project: Project, **weights: int) -> Project:
    project.program(PROGRAM.format(root=str(ROOT), weights=json.dumps(weights)))
    return project


def test_the_preview_of_a_removal_that_would_move_traffic_fails(project: Project) -> None:
    routed(project, v1=75, v2=25).up()
    gone = routed(project, v2=100)
    for outcome in (gone.preview(fails=True), gone.up(fails=True)):
        assert "the route still sends requests to v1 (75 %)" in outcome.text
    assert "v1" in json.dumps(project.resource("route")["inputs"])


def test_a_version_goes_once_its_traffic_is_elsewhere(project: Project) -> None:
    routed(project, v1=75, v2=25).up()
    assert routed(project, v1=0, v2=100).up().changes == {"update": 1}
    assert routed(project, v2=100).up().changes == {"update": 1}
