"""What docs/environments.md tells a newcomer to type fits the program, the stacks and the workflows."""

import re
import shlex
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from infra.config_gke import GkeCluster
from tests.unit.test_config_page import agrees

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "environments.md").read_text()
BLOCKS = [block.replace("\\\n", " ") for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)]
NAMES = {"PROJECT": "my-project", "REGION": "europe-west4", "MODELS": "my-project-models", "STACK": "dev"}
WORKFLOWS = [file.read_text() for file in (ROOT / ".github" / "workflows").glob("*.yml")]


def _settings_of(block: str) -> list[tuple[str, str]]:
    """Stack and command of each `pulumi config set` in a block, without the stack and with names filled in."""
    found = []
    for line in re.findall(r"^pulumi config set .*$", block, re.MULTILINE):
        words = shlex.split(Template(line).substitute(NAMES))
        stack = "dev"
        if "--stack" in words:
            place = words.index("--stack")
            stack = words[place + 1]
            del words[place : place + 2]
        found.append((stack, shlex.join(words)))
    return found


CONFIG_BLOCKS = [found for block in BLOCKS if (found := _settings_of(block))]


@pytest.mark.parametrize("commands", CONFIG_BLOCKS, ids=lambda commands: str(commands[-1][1]))
def test_a_stack_is_right_after_what_the_page_has_set(commands: list[tuple[str, str]], stack_of: Any) -> None:
    (name,) = {stack for stack, _ in commands}
    values = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
    config = stack_of({key.removeprefix("tfserving-mesh:"): value for key, value in values.items()})
    before = config.parse()
    for _, command in commands:
        config.run(command)
    assert config.problems() == ()
    assert config.parse() != before


def test_the_page_sets_what_a_user_has_to_change() -> None:
    changed = {shlex.split(command)[-2] for stack, command in CONFIG_BLOCKS[0] if stack == "dev"}
    assert changed == {"gcp:project", "gcp:region", "models.inception.path"}


def test_the_page_has_every_key_of_a_cluster_with_its_default() -> None:
    agrees("The cluster", PAGE, GkeCluster)


def test_every_variable_of_the_workflows_is_set_by_the_page() -> None:
    used = {name for text in WORKFLOWS for name in re.findall(r"vars\.(\w+)", text)}
    assert used == set(re.findall(r"gh variable set (\w+)", PAGE))


def test_every_environment_of_the_workflows_is_made_by_the_page() -> None:
    made = {
        Template(name).safe_substitute(NAMES) for name in re.findall(r"--method PUT repos/\S+/environments/(\S+)", PAGE)
    }
    assert made == {"dev", "dev-preview", "prod"}
    for name in ("`dev`", "`prod`", "`dev-preview`", "`prod-preview`"):
        assert name in PAGE
    named = {name.strip() for text in WORKFLOWS for name in re.findall(r"^ +name: (.*-preview)$", text, re.MULTILINE)}
    assert named == {"${{ matrix.stack }}-preview"}


def test_a_name_is_set_before_it_is_used() -> None:
    known: set[str] = {"environment", "role"}  # of loops
    for block in BLOCKS:
        for line in block.splitlines():
            used = set(re.findall(r"\$([A-Z]\w*)", re.sub(r"'[^']*'", "", line)))
            assigned = set(re.findall(r"(?:export| ) ?([A-Z_]+)=", line))
            assert used <= known | assigned, line
            known |= assigned


def test_every_make_target_of_the_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wanted = set(re.findall(r"(?:^|`)make ([a-z-]+)", PAGE, re.MULTILINE))
    assert wanted == {"venv", "preview"}
    assert wanted <= targets
