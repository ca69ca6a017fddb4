"""The one setting of the machine that the sandbox changes, and gives back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.inotify import ENOUGH, raise_limit, restore_limit


@pytest.fixture
def limit(tmp_path: Path) -> Path:
    return tmp_path / "max_user_instances"


def refusing(write: Callable[..., int], file: Path) -> Callable[..., int]:
    def write_text(path: Path, text: str) -> int:
        if path == file:
            raise OSError(30, "Read-only file system")
        return write(path, text)

    return write_text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def test_a_machine_that_is_short_of_instances_gets_more_and_has_its_own_back(root: Path, limit: Path) -> None:
    limit.write_text("128\n")
    raise_limit(root, limit)
    assert int(limit.read_text()) == ENOUGH
    raise_limit(root, limit)  # an `up` that goes on after a killed one must not take the raised limit for the machine's
    restore_limit(root, limit)
    assert limit.read_text() == "128\n"


def test_a_machine_with_enough_is_left_as_it_is(root: Path, limit: Path) -> None:
    limit.write_text("8192\n")
    raise_limit(root, limit)
    restore_limit(root, limit)
    assert limit.read_text() == "8192\n"


def test_a_limit_that_somebody_set_meanwhile_is_theirs(root: Path, limit: Path) -> None:
    limit.write_text("128\n")
    raise_limit(root, limit)
    limit.write_text("4096\n")
    restore_limit(root, limit)
    assert limit.read_text() == "4096\n"


def test_a_machine_that_lets_nobody_set_it_still_gets_a_node(
    root: Path, limit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit.write_text("128\n")
    monkeypatch.setattr(Path, "write_text", refusing(Path.write_text, limit))
    raise_limit(root, limit)
    restore_limit(root, limit)
    assert limit.read_text() == "128\n"
