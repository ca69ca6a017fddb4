"""A version keeps its traffic, and its pods until proxies have heard: the engine knows the old route, and says no."""

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
    from infra import routing

    routing.HEARING_PERIOD = {hearing}

    def inner(args):
        inside = lambda inputs: inputs and inputs["input"]
        return pulumi.ResourceHookArgs(
            args.urn, args.id, args.name, args.type, inside(args.new_inputs), inside(args.old_inputs)
        )

    def check(args):
        routing.refuse_orphans(inner(args))

    async def wait(args):
        await routing.let_proxies_hear(inner(args))

    refuses = pulumi.ResourceHook("keeps-its-traffic", check, pulumi.ResourceHookOptions(on_dry_run=True))
    waits = pulumi.ResourceHook("is-heard-of", wait)
    pods = [pulumi.Stash(f"pods-{{name}}", input=1) for name in {weights}]
    spec = {{"http": [{{"route": [
        {{"destination": {{"subset": name}}, "weight": weight}} for name, weight in {weights}.items()
    ]}}]}}
    pulumi.Stash("route", input={{"spec": spec}}, opts=pulumi.ResourceOptions(
        depends_on=pods, hooks=pulumi.ResourceHookBinding(before_update=[refuses], after_update=[waits])
    ))
"""


def routed(project: Project, hearing: float = 0, **weights: int) -> Project:
    project.program(PROGRAM.format(root=str(ROOT), hearing=hearing, weights=json.dumps(weights)))
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
    assert routed(project, v2=100).up().changes == {"update": 1, "delete": 1}


def test_its_pods_go_some_seconds_after_the_route_forgot_it(project: Project) -> None:
    routed(project, v1=0, v2=100).up()
    done = routed(project, hearing=3, v2=100).up()
    began = {
        step["resourcePreEvent"]["metadata"]["urn"].rpartition("::")[2]: step["timestamp"]
        for step in done.events
        if "resourcePreEvent" in step
    }
    assert began["pods-v1"] - began["route"] >= 3 - 1, "timestamps are whole seconds"
