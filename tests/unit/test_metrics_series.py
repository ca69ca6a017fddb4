import pytest

from infra.metrics import series


def test_a_selector_quotes_what_a_label_may_hold() -> None:
    assert series.selector(series.WEIGHT) == "model_version:weight"
    assert series.selector("m", model='a"b\\c', version="v1") == r'm{model="a\"b\\c", version="v1"}'


def test_what_grew_since_takes_a_younger_series_from_nothing() -> None:
    assert series.since("m", 60, by=["model"], side="source") == (
        'sum by (model) (last_over_time(m{side="source"}[60s]) '
        '- (m{side="source"} offset 60s or last_over_time(m{side="source"}[60s]) * 0))'
    )


@pytest.mark.parametrize(
    ("samples", "grown"),
    [
        ([], 0),
        ([(90, 5), (100, 7)], 0),
        ([(90, 5), (100, 7), (110, 10)], 3),
        ([(110, 40), (120, 42)], 42),  # it began after the start
        ([(100, 7), (110, 10), (120, 2), (130, 5)], 8),  # the proxy started anew, and had counted 3 before
    ],
)
def test_a_count_takes_in_a_proxy_that_starts_anew(samples: list[tuple[float, float]], grown: float) -> None:
    assert series.counted(samples, 100) == grown
