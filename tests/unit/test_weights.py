import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.weights import fitted, remainder, shares


def test_the_stable_version_gets_what_the_others_leave() -> None:
    assert shares(["v1", "v2", "v3"], "v1", {"v2": 5, "v3": 20}) == {"v1": 75, "v2": 5, "v3": 20}


def test_a_new_version_starts_at_nothing() -> None:
    assert shares(["v1", "v2"], "v1", {}) == {"v1": 100, "v2": 0}


def test_zero_is_a_weight_and_a_hundred_leaves_the_stable_version_nothing() -> None:
    assert shares(["v1", "v2"], "v1", {"v2": 0}) == {"v1": 100, "v2": 0}
    assert shares(["v1", "v2"], "v1", {"v2": 100}) == {"v1": 0, "v2": 100}


def test_any_version_can_be_the_stable_one_and_the_order_stays() -> None:
    assert list(shares(["v1", "v2", "v3"], "v2", {"v1": 30}).items()) == [("v1", 30), ("v2", 70), ("v3", 0)]


@given(st.lists(st.integers(0, 100), max_size=6))
def test_shares_always_sum_to_the_whole(weights: list[int]) -> None:
    named = fitted({f"v{number}": weight for number, weight in enumerate(weights)})
    result = shares(["stable", *named], "stable", named)
    assert sum(result.values()) == 100
    assert min(result.values()) >= 0


@pytest.mark.parametrize(
    ("stable", "weights", "reason"),
    [
        ("v9", {}, "the stable version 'v9' is none of v1, v2"),
        ("v1", {"v9": 5}, "a weight for 'v9', which is none of v1, v2"),
        ("v1", {"v1": 5}, "the stable version, which gets what is left"),
        ("v1", {"v2": -1}, "the weight of 'v2' is -1; a weight is 0-100"),
        ("v1", {"v2": 101}, "the weight of 'v2' is 101; a weight is 0-100"),
    ],
)
def test_weights_that_cannot_be_are_refused(stable: str, weights: dict[str, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        shares(["v1", "v2"], stable, weights)


def test_weights_that_ask_for_more_than_there_is_are_refused() -> None:
    with pytest.raises(ValueError, match="the weights sum to 101; they have 100 to share"):
        shares(["v1", "v2", "v3"], "v1", {"v2": 50, "v3": 51})


def test_what_is_left_can_be_less_than_nothing() -> None:
    assert remainder([60, 61]) == -21


def test_weights_that_are_too_many_are_cut_from_the_last_one_on() -> None:
    assert fitted({"v2": 60, "v3": 61, "v4": 5}) == {"v2": 60, "v3": 40, "v4": 0}
    assert fitted({"v2": 60, "v3": 40}) == {"v2": 60, "v3": 40}
