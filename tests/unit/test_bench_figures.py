"""The figures of the benchmarks: what a command's processes use together, and whether it grows on a line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bench.growth import line, steps
from bench.programs import changes, require_step
from bench.usage import measure

MEBI = 2**20
# A process that itself uses little and starts one that holds 100 MiB until both have been looked at.
PARENT = """\
import subprocess, sys
subprocess.run([sys.executable, "-c", "import time; held = bytearray(100 * 2**20); time.sleep(0.5)"], check=True)
print("ended")
"""


def test_figures_on_a_line_are_fitted_exactly() -> None:
    fit = line({1: 2.1, 10: 3.0, 50: 7.0})
    assert fit.each == pytest.approx(0.1)
    assert fit.base == pytest.approx(2.0)
    assert fit.off == pytest.approx(0, abs=1e-9)


def test_figures_that_grow_faster_than_the_models_are_seen() -> None:
    squares = {size: 0.01 * size**2 for size in (1, 10, 50, 100)}
    assert line(squares).off > 0.1
    added = steps(squares)
    assert list(added) == [10, 50, 100]
    assert added[10] < added[50] < added[100]


def test_what_a_model_adds_is_counted_from_the_size_before() -> None:
    assert steps({50: 7.0, 1: 2.1, 10: 3.0}) == {10: pytest.approx(0.1), 50: pytest.approx(0.1)}


def test_the_memory_of_a_child_counts_for_the_command(tmp_path: Path) -> None:
    used = measure([sys.executable, "-c", PARENT], tmp_path, dict(os.environ))
    assert used.output == "ended\n"
    assert used.seconds >= 0.5
    assert 100 * MEBI <= used.peak < 200 * MEBI


def test_the_work_of_a_child_counts_for_the_command(tmp_path: Path) -> None:
    work = "import time\nwhile time.process_time() < 0.5: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    used = measure([sys.executable, "-c", parent], tmp_path, dict(os.environ))
    assert 0.5 <= used.cpu < 5


def test_a_command_that_fails_ends_the_benchmark_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no cluster"):
        measure([sys.executable, "-c", "raise SystemExit('no cluster')"], tmp_path, dict(os.environ))


def test_a_step_is_one_updated_resource_and_nothing_else() -> None:
    require_step("Resources:\n    ~ 1 updated\n    33 unchanged\n")
    assert changes("Resources:\n    + 2 created\n    ~ 1 updated\n") == {"created": 2, "updated": 1}
    with pytest.raises(SystemExit, match="2"):
        require_step("Resources:\n    ~ 2 updated\n    32 unchanged\n")
