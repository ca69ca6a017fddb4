"""Istio is upgraded in steps: a second istiod, pods that move to it, and only then the first one's end."""

from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import pytest

from infra.revisions import Revision, Revisions, refusal, revisions_of

Make = Callable[..., Any]
VERSIONS = {"default": "1.30.4", "1-31-0": "1.31.0", "1-32-0": "1.32.0"}


def mesh(in_use: str, *others: str) -> Revisions:
    first, *more = (Revision(name, VERSIONS[name], VERSIONS[name]) for name in (in_use, *others))
    return Revisions(first, tuple(more))


WAY = [mesh("default"), mesh("default", "1-31-0"), mesh("1-31-0", "default"), mesh("1-31-0")]


def test_the_steps_of_an_upgrade_lead_there_and_back() -> None:
    for before, after in pairwise(WAY):
        assert refusal(before, after) is None
        assert refusal(after, before) is None
        assert refusal(after, after) is None


def test_no_step_is_left_out() -> None:
    for before, after in product(range(4), repeat=2):
        assert (refusal(WAY[before], WAY[after]) is None) == (abs(before - after) <= 1), (before, after)


def test_the_next_upgrade_may_begin_while_the_last_one_ends() -> None:
    assert refusal(mesh("1-31-0", "default"), mesh("1-31-0", "1-32-0")) is None


def test_a_revision_that_is_not_there_yet_is_not_moved_to() -> None:
    assert str(refusal(mesh("default"), mesh("1-31-0", "default"))) == (
        "istio.revision is 1-31-0; no istiod of this revision is there to give pods their proxies; "
        "it comes up beside default in an update of its own. Run: pulumi config set --path istio.revision default"
    )


def test_the_revision_in_use_is_not_removed() -> None:
    assert str(refusal(mesh("default", "1-31-0"), mesh("1-31-0"))) == (
        "istio.revisions is 1-31-0; default is the one in use, and its pods would have no control plane; "
        "it goes in an update after that in which the pods have moved to another. "
        "Run: pulumi config set --path istio.revisions.default.version 1.30.4"
    )


def test_a_refusal_brings_back_the_tag_as_well() -> None:
    was = Revisions(Revision("default", "1.30.4", "1.30.4-fips"))
    problem = refusal(was, mesh("1-31-0"))
    assert problem is not None
    assert problem.fix.endswith(" && pulumi config set --path istio.revisions.default.tag 1.30.4-fips")


@pytest.mark.parametrize("revisions", WAY)
def test_revisions_are_read_as_they_are_written(revisions: Revisions) -> None:
    assert revisions_of(str(revisions)) == revisions


@pytest.mark.parametrize("text", ["", "default", "default:1.30.4", "a:b:c  d:e:f", "Install complete"])
def test_what_no_revisions_are(text: str) -> None:
    assert revisions_of(text) is None


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (("1.30.4", "1.31.0"), "1.31.0"),
        (("1.31.0", "1.30.4"), "1.31.0"),
        (("1.9.9", "1.10.0"), "1.10.0"),
        (("1.31.0-rc.0", "1.31.0"), "1.31.0"),
        (("1.31.0-rc.0", "1.30.9"), "1.31.0-rc.0"),
    ],
)
def test_the_crds_are_of_the_newest_release(versions: tuple[str, str], newest: str) -> None:
    first, second = (Revision(str(index), version, "t") for index, version in enumerate(versions))
    assert Revisions(first, (second,)).newest == newest


def test_a_stack_that_names_no_revisions_has_the_plain_istiod(stack: Make, inception: dict[str, Any]) -> None:
    found = stack(models=inception, istio={"version": "1.29.1", "tag": "1.29.1-fips"}).parse()
    assert found.istio.installed == Revisions(Revision("default", "1.29.1", "1.29.1-fips"))
    assert found.istio.installed.is_plain
    assert found.models[0].revision == "default"


def test_a_revision_has_what_it_names_and_the_rest_of_the_stacks(stack: Make, inception: dict[str, Any]) -> None:
    revisions = {"default": {}, "1-31-0": {"version": "1.31.0"}, "other": {"tag": "mine"}}
    istio = {"tag": "1.30.4-fips", "revisions": revisions, "revision": "1-31-0"}
    found = stack(models=inception, istio=istio).parse()
    assert found.istio.installed == Revisions(
        Revision("1-31-0", "1.31.0", "1.31.0"),
        (Revision("default", "1.30.4", "1.30.4-fips"), Revision("other", "1.30.4", "mine")),
    )
    assert found.models[0].revision == "1-31-0"


NEW = {"1-31-0": {"version": "1.31.0"}}


LISTED = "it lists every istiod that there is to be, and default, the one in use, is not among them"
SHORT = "a revision's name is a DNS label (a-z, 0-9 and -, 46 at most)"


@pytest.mark.parametrize(
    ("istio", "message", "fix"),
    [
        (
            {"revisions": NEW},
            f"istio.revisions is 1-31-0; {LISTED}",
            "set --path istio.revisions.default.version 1.30.4",
        ),
        (
            {"revisions": NEW, "version": "1.29.1"},
            f"istio.revisions is 1-31-0; {LISTED}",
            "set --path istio.revisions.default.version 1.29.1",
        ),
        (
            {"revision": "1-31-0"},
            "istio.revision is 1-31-0; no revision of this name is declared; there are default",
            "set --path istio.revision default",
        ),
        (
            {"revisions": {"canary": {}, "default": {}}, "revision": "cnary"},
            "istio.revision is cnary; no revision of this name is declared; there are canary, default",
            "set --path istio.revision canary",
        ),
        (
            {"revisions": {"default": {}, "1.31.0": {}}},
            f'istio.revisions["1.31.0"] is {{}}; {SHORT}',
            "rm --path 'istio.revisions[\"1.31.0\"]'",
        ),
    ],
)
def test_revisions_that_do_not_fit_together(
    stack: Make, inception: dict[str, Any], istio: dict[str, Any], message: str, fix: str
) -> None:
    broken = stack(models=inception, istio=istio)
    assert str(broken.only()) == f"{message}. Run: pulumi config {fix}"
    broken.mend()
