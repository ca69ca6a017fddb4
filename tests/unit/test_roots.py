"""A root is replaced in steps, none of which can be left out."""

import pytest

from infra.roots import FIRST, Roots, refusal, roots_of

WAY = ["1", "1+2", "2+1", "2", "2+3", "3+2", "3", "3+4"]


def roots(text: str) -> Roots:
    found = roots_of(text)
    assert found is not None
    return found


@pytest.mark.parametrize("text", WAY)
def test_a_step_is_written_as_it_is_read(text: str) -> None:
    assert str(roots(text)) == text


@pytest.mark.parametrize(
    "text", ["", "0", "01", "1+", "+1", "1+1", "1+3", "3+1", "2+0", "1 + 2", "1+2+3", "-1", "1.0", "a"]
)
def test_what_no_step_is(text: str) -> None:
    assert roots_of(text) is None


def test_the_steps_are_counted_from_root_one_alone() -> None:
    assert [roots(text).position for text in WAY] == [*range(len(WAY))]
    assert FIRST.position == 0


@pytest.mark.parametrize("before", WAY)
def test_only_the_next_step_and_the_one_before_may_be_taken(before: str) -> None:
    at = WAY.index(before)
    back = [] if "+" not in before else [WAY[at - 1]]
    allowed = {*back, before, *WAY[at + 1 : at + 2]}
    assert {after for after in WAY if refusal(roots(before), roots(after)) is None} == allowed


@pytest.mark.parametrize("before", WAY)
@pytest.mark.parametrize("after", WAY)
def test_who_does_what_a_refusal_says_gets_as_near_as_there_is_a_way(before: str, after: str) -> None:
    at, seen = roots(before), []
    while problem := refusal(at, roots(after)):
        assert (problem.key, problem.value) == ("caRoot", after)
        step = roots(problem.fix.removeprefix("pulumi config set caRoot "))
        assert refusal(at, step) is None
        if step == at:  # the way back ends where the root before was deleted
            assert at.other is None
            assert roots(after).position < at.position
            assert "there is no way but forward" in problem.message
            return
        seen.append(step)
        at = step
    assert len(seen) < len(WAY)


def test_a_refusal_says_where_the_ca_is_and_what_to_run() -> None:
    assert str(refusal(roots("1"), roots("2"))) == (
        "caRoot is 2; the CA is at 1, and a step left out parts pods of one root from those of the other. "
        "Run: pulumi config set caRoot 1+2"
    )
    assert str(refusal(roots("2"), roots("2+1"))) == (
        "caRoot is 2+1; root 2 is all that there is, and the one before it was deleted: there is no way but forward. "
        "Run: pulumi config set caRoot 2"
    )
