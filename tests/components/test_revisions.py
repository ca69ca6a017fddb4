"""The steps of an upgrade of Istio: what each registers, what waits for what, and what stays as it was."""

from typing import Any

import pytest

from tests.components.conftest import Program, Record, Registered
from tests.components.test_program import DEPLOYMENT, RELEASE, deploy, needs, release

CONFIG: dict[str, Any] = {"version": "1.30.4", "values": {"istiod": {"replicaCount": 2}, "gateway": {"podLabel": "x"}}}
BOTH = {"default": {"version": "1.30.4"}, "1-31-0": {"version": "1.31.0"}}
NEW = {"1-31-0": {"version": "1.31.0"}}
PLAIN = (None, None)
BESIDE = (BOTH, "default")
MOVED = (BOTH, "1-31-0")
ALONE = (NEW, "1-31-0")


def at(record: Record, step: tuple[dict[str, Any] | None, str | None]) -> Program:
    given = {key: value for key, value in zip(("revisions", "revision"), step, strict=True) if value is not None}
    return deploy(record, istio=CONFIG | given)


def releases(program: Program) -> dict[str, Registered]:
    return {each.inputs["name"]: each for each in program.of(RELEASE)}


def pod_labels(program: Program) -> dict[str, dict[str, str]]:
    return {each.name: each.inputs["spec"]["template"]["metadata"]["labels"] for each in program.of(DEPLOYMENT)}


def test_a_second_istiod_comes_up_beside_the_first_and_nothing_else_changes(record: Record) -> None:
    before, after = at(record, PLAIN), at(record, BESIDE)
    known = {(each.token, each.name): each.inputs for each in before.resources}
    changed = [
        each.name
        for each in after.resources
        if known.get((each.token, each.name)) != each.inputs and "injector" not in each.name
    ]
    assert sorted(changed) == ["istio-base", "istio-istiod-1-31-0"]
    first, second = (release(after, name).inputs for name in ("istiod", "istiod-1-31-0"))
    assert second["values"] == {
        **first["values"],
        "global": {**first["values"]["global"], "tag": "1.31.0"},
        "revision": "1-31-0",
    }
    assert (first["version"], second["version"]) == ("1.30.4", "1.31.0")
    assert release(after, "istio-base").inputs["version"] == "1.31.0", "the CRDs are there before what reads them"
    assert release(after, "istio-base").name in needs(after, release(after, "istiod-1-31-0"))


def test_the_second_istiod_answers_for_the_namespaces_before_the_first_stops_to_and_pods_roll_then(
    record: Record,
) -> None:
    program = at(record, MOVED)
    found = releases(program)
    first, second = found["istiod"], found["istiod-1-31-0"]
    assert second.inputs["values"]["revisionTags"] == ["default"]
    assert first.inputs["values"]["global"]["operatorManageWebhooks"] is True
    assert second.name in needs(program, first)
    assert found["istio-base"].inputs["values"]["defaultRevision"] == "1-31-0"
    assert found["istio-ingress"].inputs["values"]["revision"] == "1-31-0"
    assert found["istio-ingress"].inputs["version"] == "1.31.0"
    assert {first.name, second.name} <= needs(program, found["istio-ingress"])
    for deployment in program.of(DEPLOYMENT):
        assert {each.name for each in found.values()} <= needs(program, deployment)
    assert [labels["istio.io/rev"] for labels in pod_labels(program).values()] == ["1-31-0", "1-31-0"]


def test_a_version_is_told_from_another_by_what_no_upgrade_changes(record: Record) -> None:
    selectors = [
        {each.name: each.inputs["spec"]["selector"] for each in at(record, step).of(DEPLOYMENT)}
        for step in (PLAIN, MOVED)
    ]
    assert selectors[0] == selectors[1]


def test_the_first_istiod_goes_alone(record: Record) -> None:
    before, after = at(record, MOVED), at(record, ALONE)
    assert {*releases(before)} - {*releases(after)} == {"istiod"}
    changed = [name for name, each in releases(after).items() if each.inputs != releases(before)[name].inputs]
    assert changed == ["istio-base"], "which has the record"
    assert pod_labels(before) == pod_labels(after)


@pytest.mark.parametrize("step", [BESIDE, MOVED, ALONE])
def test_the_base_release_says_which_istiods_there_are_and_is_held_against_the_last_time(
    record: Record, step: tuple[dict[str, Any], str]
) -> None:
    base = release(at(record, step), "istio-base")
    names = [each.partition(":")[0] for each in base.inputs["description"].split()]
    assert names[0] == step[1]
    assert set(names) == set(step[0])
    assert base.hooks["before_update"]


def test_a_stack_that_names_no_revisions_is_as_it_was(record: Record) -> None:
    program = at(record, PLAIN)
    found = releases(program)
    assert {*found} == {"istio-base", "istiod", "istio-ingress"}
    assert "description" not in found["istio-base"].inputs
    assert found["istio-base"].inputs["values"] == {"base": {"validationFailurePolicy": "Fail"}}
    assert not {"revision", "revisionTags"} & found["istiod"].inputs["values"].keys()
    assert "operatorManageWebhooks" not in found["istiod"].inputs["values"]["global"]
    assert found["istio-ingress"].inputs["values"]["podLabel"] == "x"
    assert "revision" not in found["istio-ingress"].inputs["values"]
    assert all("istio.io/rev" not in labels for labels in pod_labels(program).values())


def test_a_pod_without_a_proxy_is_of_no_revision(record: Record) -> None:
    models = {"inception": {"path": "/m", "mesh": False, "versions": {"v1": {"model": 1}}}}
    program = deploy(record, models=models, v2Weight=None, istio={"revisions": NEW, "revision": "1-31-0"})
    assert all("istio.io/rev" not in labels for labels in pod_labels(program).values())
