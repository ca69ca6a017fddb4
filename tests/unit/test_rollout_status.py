"""The table of what every version has, wants and does."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from rollout.figures import Now
from rollout.mesh import Callers
from rollout.status import VersionStatus, behind, proxies_text, table


def shown(*rows: VersionStatus) -> list[str]:
    out = StringIO()
    Console(file=out, width=80).print(table(list(rows)))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_version_is_one_line_of_eighty_columns() -> None:
    stable = VersionStatus("half-plus", "v1", True, "2/2", 95, 95, {95: 24}, Now(0.951, 0.0004, 2.3, 9.8))  # noqa: FBT003
    canary = VersionStatus("half-plus", "v2", False, "1/2", 5, 5, {5: 24}, Now(0.049, 0.05, 12.25, 104.4))  # noqa: FBT003
    lines = shown(stable, canary)
    assert [" ".join(line.split()) for line in lines] == [
        "Model Version Pods Config Route Proxies Share Errors p50 p99",
        "half-plus v1 stable 2/2 95 % 95 % 95 % 95.1 % 0.0 % 2.3 ms 9.8 ms",
        "v2 1/2 5 % 5 % 5 % 4.9 % 5.0 % 12.2 ms 104.4 ms",
    ]


def test_what_is_not_known_is_not_zero() -> None:
    line = shown(VersionStatus("m", "v3", False, "none", 0, None))[1]  # noqa: FBT003
    assert " ".join(line.split()) == "m v3 none 0 % none no proxy - - - -"


def test_proxies_that_differ_are_counted() -> None:
    assert proxies_text({25: 24}) == "25 %"
    assert proxies_text({5: 1, 25: 23}) == "25 % (23), 5 % (1)"


def test_proxies_of_another_revision_of_istio_are_named() -> None:
    found = Callers((), (), {}, {"default": {"callers/caller": 1, "models/half-plus": 2}, "1-31-0": {"a/b": 3}})
    assert behind(found, "1-31-0") == [
        "callers/caller: 1 proxy is of Istio's revision default, not of 1-31-0. Its pods have to be made anew",
        "models/half-plus: 2 proxies are of Istio's revision default, not of 1-31-0. Its pods have to be made anew",
    ]
    assert behind(found, "default") == [
        "a/b: 3 proxies are of Istio's revision 1-31-0, not of default. Its pods have to be made anew"
    ]
