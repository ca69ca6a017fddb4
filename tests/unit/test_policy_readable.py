"""Where a Secret's value can be read, and where it only looks so."""

import base64
from pathlib import Path

import pytest

from policy.readable import project_files, violations
from policy.resource import Resource

VALUE = "battery-staple"
KEY = "-----BEGIN EC KEY-----\nMIGHAgEAMBMGByqGSM49AgEG\nshorter\n-----END EC KEY-----\n"


def found(tmp_path: Path, name: str, text: str, value: str = VALUE) -> list[str]:
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    props = {"data": {"password": base64.b64encode(value.encode()).decode()}}
    secret = Resource("kubernetes:core/v1:Secret", "thing", props, protected=False, stack="dev")
    return list(violations(secret, project_files(tmp_path)))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("program.py", f'password = "{VALUE}"\n'),
        ("program.py", f"data = {{'password': b'{VALUE}'}}\n"),
        ("program.py", f'text = """\n    {VALUE}\n"""\n'),
        ("deep/down/program.py", f'"{base64.b64encode(VALUE.encode()).decode()}"\n'),
        ("Pulumi.dev.yaml", f"config:\n  app:password: {VALUE}\n"),
        ("Pulumi.dev.yaml", f"config:\n  app:all: {{password: {VALUE}, user: me}} # a comment\n"),
        ("values.yaml", f"passwords:\n  - {VALUE} # a comment\n"),
        ("values.json", f'{{"password":"{VALUE}"}}'),
        (".env", f"PASSWORD={VALUE}\n"),
    ],
)
def test_a_value_that_stands_in_a_file_is_found_and_not_shown(tmp_path: Path, name: str, text: str) -> None:
    [message] = found(tmp_path, name, text)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if "staple" in line or "YmF0" in line)
    assert message.startswith(f"thing: data.password is in the clear in {Path(name).name}:{line}; ")
    assert VALUE not in message


def test_a_text_of_several_lines_is_found_however_it_is_written(tmp_path: Path) -> None:
    assert found(tmp_path, "values.yaml", "key: |\n" + "".join(f"  {line}\n" for line in KEY.splitlines()), KEY)
    assert found(tmp_path, "values.yaml", "nothing: here\n", KEY) == []
    assert found(tmp_path, "program.py", f"key = {KEY!r}\n", KEY)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("program.py", f'hint = "not {VALUE} itself"\n'),
        ("program.py", f"call(password={VALUE.replace('-', '_')})\n"),
        ("Pulumi.dev.yaml", f"config:\n  app:password:\n    secure: v1:{VALUE}:abc\n"),
        (".hidden/program.py", f'"{VALUE}"\n'),
        (".events.json", f'"{VALUE}"\n'),
        ("notes.md", f'"{VALUE}"\n'),
    ],
)
def test_a_value_that_only_looks_like_one_is_not_reported(tmp_path: Path, name: str, text: str) -> None:
    assert found(tmp_path, name, text) == []


def test_a_variable_that_is_called_as_the_value_is_not_the_value(tmp_path: Path) -> None:
    assert found(tmp_path, "program.py", "call(token=sesame, user=me)\n", "sesame") == []
    assert found(tmp_path, "settings.yaml", "token: sesame\n", "sesame")


def test_a_short_value_is_not_looked_for(tmp_path: Path) -> None:
    assert found(tmp_path, "program.py", 'user = "me"\n', "me") == []


def test_other_resources_may_hold_what_the_files_hold(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(f'"{VALUE}"')
    config_map = Resource("kubernetes:core/v1:ConfigMap", "thing", {"data": {"a": VALUE}}, protected=False, stack="dev")
    assert list(violations(config_map, project_files(tmp_path))) == []
