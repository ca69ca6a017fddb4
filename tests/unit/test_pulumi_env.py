"""Whose Pulumi is used: the user's own wherever there is one, stand-ins only in the gaps."""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import pytest

from sandbox.plugins.gcp.launchers import GCP, GKE_AUTH
from sandbox.pulumi_env import (
    CLI,
    DYNAMIC_PROVIDER,
    KUBERNETES,
    LANGUAGE_HOST,
    PluginsError,
    find_tools,
    pulumi_environment,
)

INSTALLED = f"resource-kubernetes-v{metadata.version('pulumi-kubernetes')}"
INSTALLED_GCP = f"resource-gcp-v{metadata.version('pulumi-gcp')}"


class Machine:
    """A made-up machine: a home, a PATH of one folder, the sandbox's cache and its state."""

    def __init__(self, root: Path) -> None:
        self.home, self.path, self.cache = root / "home", root / "usr" / "bin", root / "cache"
        self.state, self.checkout = root / "state", root / "checkout"
        for folder in (self.home, self.path, self.cache, self.checkout):
            folder.mkdir(parents=True)
        self.environ = {"HOME": str(self.home), "PATH": str(self.path)}

    def built(self, *names: str) -> None:
        for name in names:
            executable(self.cache / name)

    def environment(self) -> dict[str, str]:
        return self.environ | pulumi_environment(self.state, self.checkout, self.cache, self.environ)

    def which(self, name: str) -> Path | None:
        """What a shell finds in the sandbox's environment."""
        for folder in self.environment()["PATH"].split(os.pathsep):
            if os.access(Path(folder) / name, os.X_OK):
                return Path(folder) / name
        return None


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {path}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_bare_machine_has_everything_to_build(machine: Machine) -> None:
    assert find_tools(machine.cache, machine.environ).to_build == (CLI, LANGUAGE_HOST, KUBERNETES)


def test_what_is_built_is_used_and_not_built_again(machine: Machine) -> None:
    machine.built(CLI, LANGUAGE_HOST, KUBERNETES)
    tools = find_tools(machine.cache, machine.environ)
    assert tools.to_build == ()
    assert [tool.real for tool in tools.all] == [False, False, False]


def test_a_pulumi_on_path_is_used_with_the_language_host_beside_it(machine: Machine) -> None:
    cli = executable(machine.home / "opt" / "pulumi" / CLI)
    host = executable(machine.home / "opt" / "pulumi" / LANGUAGE_HOST)
    (machine.path / CLI).symlink_to(cli)
    machine.built(CLI, LANGUAGE_HOST, KUBERNETES)
    tools = find_tools(machine.cache, machine.environ)
    assert (tools.cli.real, tools.language_host.path) == (True, host)
    assert machine.which(CLI) == machine.path / CLI
    assert machine.which(LANGUAGE_HOST) is None, "the CLI finds its own; a stand-in on PATH would beat it"


def test_a_pulumi_in_the_users_home_is_put_on_path(machine: Machine) -> None:
    cli = executable(machine.home / ".pulumi" / "bin" / CLI)
    executable(machine.home / ".pulumi" / "bin" / LANGUAGE_HOST)
    machine.built(CLI, LANGUAGE_HOST, KUBERNETES)
    assert machine.which(CLI) == cli
    assert find_tools(machine.cache, machine.environ).to_build == ()


def test_the_stand_in_host_lies_beside_the_cli_where_it_finds_it_without_a_warning(machine: Machine) -> None:
    machine.built(CLI, LANGUAGE_HOST)
    folder = Path(machine.environment()["PULUMI_HOME"]) / "bin"
    for name in (CLI, LANGUAGE_HOST, DYNAMIC_PROVIDER):
        assert (folder / name).is_file()
        assert not (folder / name).is_symlink(), "the CLI looks beside what a link points to"
    assert machine.which(CLI) == folder / CLI


def test_a_rebuilt_tool_replaces_the_old_one(machine: Machine) -> None:
    machine.built(CLI, LANGUAGE_HOST)
    placed = Path(machine.environment()["PULUMI_HOME"]) / "bin" / LANGUAGE_HOST
    (machine.cache / LANGUAGE_HOST).unlink()
    executable(machine.cache / LANGUAGE_HOST).write_text("newer")
    machine.environment()
    assert placed.read_text() == "newer"


def test_the_stand_in_plugin_is_installed_in_the_version_that_the_program_asks_for(machine: Machine) -> None:
    machine.built(CLI, LANGUAGE_HOST, KUBERNETES)
    environment = machine.environment()
    plugin = Path(environment["PULUMI_HOME"]) / "plugins" / INSTALLED
    assert plugin.is_dir()
    assert not plugin.is_symlink(), "the CLI ignores links there"
    assert (plugin / KUBERNETES).resolve() == machine.cache / KUBERNETES
    assert machine.which(KUBERNETES) is None
    assert environment["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] == "true"


def test_an_installed_plugin_is_used_and_visible_to_the_sandbox(machine: Machine) -> None:
    theirs = executable(machine.home / ".pulumi" / "plugins" / INSTALLED / KUBERNETES)
    executable(machine.home / ".pulumi" / "plugins" / "resource-random-v4.0.0" / "pulumi-resource-random")
    machine.built(CLI, LANGUAGE_HOST, KUBERNETES)
    environment = machine.environment()
    plugins = Path(environment["PULUMI_HOME"]) / "plugins"
    assert (plugins / INSTALLED / KUBERNETES).resolve() == theirs
    assert (plugins / "resource-random-v4.0.0" / "pulumi-resource-random").exists()
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in environment


@pytest.mark.parametrize("folder", ["resource-kubernetes-v4.0.0", f"{INSTALLED}.partial"])
def test_a_plugin_of_another_version_or_half_installed_does_not_count(machine: Machine, folder: str) -> None:
    executable(machine.home / ".pulumi" / "plugins" / folder / KUBERNETES)
    if folder.endswith(".partial"):
        executable(machine.home / ".pulumi" / "plugins" / INSTALLED / KUBERNETES)
    assert KUBERNETES in find_tools(machine.cache, machine.environ).to_build


def test_a_plugin_that_the_user_removes_is_gone_from_the_sandbox(machine: Machine) -> None:
    theirs = executable(machine.home / ".pulumi" / "plugins" / "resource-random-v4.0.0" / "pulumi-resource-random")
    plugins = Path(machine.environment()["PULUMI_HOME"]) / "plugins"
    downloaded = executable(plugins / "resource-time-v0.1.0" / "pulumi-resource-time")
    theirs.unlink()
    theirs.parent.rmdir()
    machine.environment()
    assert not (plugins / "resource-random-v4.0.0").exists()
    assert downloaded.exists(), "what the CLI has downloaded itself stays"


def test_the_sandboxs_own_environment_is_not_taken_for_the_users(machine: Machine) -> None:
    machine.built(CLI, LANGUAGE_HOST, KUBERNETES)
    inside = machine.environment()
    machine.environ = inside
    assert not find_tools(machine.cache, inside).cli.real
    assert machine.environment() == inside, "evaluating it twice changes nothing"


def test_the_users_login_and_stacks_stay_untouched(machine: Machine) -> None:
    environment = machine.environment()
    assert environment["PULUMI_HOME"] == str(machine.state / "pulumi")
    assert environment["PULUMI_BACKEND_URL"] == (machine.state / "pulumi-state").as_uri()
    assert (machine.state / "pulumi-state").is_dir()
    assert list(machine.home.iterdir()) == []


def test_stand_ins_can_be_forced_over_real_plugins(machine: Machine) -> None:
    executable(machine.path / KUBERNETES)
    executable(machine.path / LANGUAGE_HOST)
    executable(machine.path / CLI)
    machine.built(LANGUAGE_HOST, KUBERNETES)
    machine.environ["PLUGINS"] = "stand-in"
    tools = find_tools(machine.cache, machine.environ)
    assert (tools.cli.real, tools.language_host.real, tools.kubernetes.real) == (True, False, False)
    ours = machine.state / "pulumi" / "bin"
    assert machine.which(KUBERNETES) == ours / KUBERNETES
    assert machine.which(LANGUAGE_HOST) == ours / LANGUAGE_HOST
    assert machine.which(CLI) == machine.path / CLI


@pytest.mark.parametrize("there", [(), (LANGUAGE_HOST,), (KUBERNETES,)])
def test_real_plugins_can_be_demanded(machine: Machine, there: tuple[str, ...]) -> None:
    for name in there:
        executable(machine.path / name)
    machine.built(CLI, LANGUAGE_HOST, KUBERNETES)
    machine.environ["PLUGINS"] = "real"
    missing = LANGUAGE_HOST if LANGUAGE_HOST not in there else KUBERNETES
    with pytest.raises(PluginsError, match=f"no {missing} on PATH .* Install it, or unset PLUGINS"):
        find_tools(machine.cache, machine.environ)


def test_real_plugins_that_are_there_satisfy_the_demand(machine: Machine) -> None:
    for name in (LANGUAGE_HOST, KUBERNETES):
        executable(machine.path / name)
    machine.environ["PLUGINS"] = "real"
    assert all(tool.real for tool in find_tools(machine.cache, machine.environ).all[1:])


def test_a_typo_in_plugins_is_refused(machine: Machine) -> None:
    machine.environ["PLUGINS"] = "standin"
    with pytest.raises(PluginsError, match="PLUGINS is standin; it can be real or stand-in"):
        find_tools(machine.cache, machine.environ)


def test_the_checkouts_python_comes_first(machine: Machine) -> None:
    python = executable(machine.checkout / ".venv" / "bin" / "python")
    executable(machine.path / "python")
    assert machine.which("python") == python


def test_the_gcp_plugins_stand_in_needs_no_build_and_starts_by_the_checkouts_python(machine: Machine) -> None:
    python = executable(machine.checkout / ".venv" / "bin" / "python")
    environment = machine.environment()
    assert GCP not in find_tools(machine.cache, machine.environ).to_build
    launcher = Path(environment["PULUMI_HOME"]) / "plugins" / INSTALLED_GCP / GCP
    assert f"exec {python} -P -m sandbox.plugins.gcp " in launcher.read_text()
    assert os.access(launcher, os.X_OK)
    assert machine.which(GCP) is None, "one on PATH would beat it, with a warning on every run"
    assert machine.which(GKE_AUTH) is not None


@pytest.mark.parametrize("where", ["on-path", "installed"])
def test_a_real_gcp_plugin_is_used_with_the_auth_plugin_that_belongs_to_it(machine: Machine, where: str) -> None:
    installed = machine.home / ".pulumi" / "plugins" / INSTALLED_GCP
    theirs = executable((machine.path if where == "on-path" else installed) / GCP)
    auth = executable(machine.path / GKE_AUTH)
    gcp = find_tools(machine.cache, machine.environ).gcp
    assert gcp is not None
    assert (gcp.real, gcp.path) == (True, theirs)
    assert machine.which(GKE_AUTH) == auth
    launchers = [*(machine.state / "pulumi").rglob(GCP), *(machine.state / "pulumi").rglob(GKE_AUTH)]
    assert [path for path in launchers if path.resolve() != theirs] == []


def test_a_real_auth_plugin_does_not_stand_before_the_sandboxs(machine: Machine) -> None:
    executable(machine.path / GKE_AUTH)
    ours = machine.which(GKE_AUTH)
    assert ours is not None
    assert ours.parent != machine.path, "a token of Google's is no use to the sandbox"
    inside = machine.environment()
    machine.environ = inside
    assert machine.environment() == inside, "evaluating it twice changes nothing"


def test_a_real_gcp_plugin_installed_later_takes_over(machine: Machine) -> None:
    machine.environment()
    executable(machine.path / GCP)
    home = Path(machine.environment()["PULUMI_HOME"])
    assert not (home / "plugins" / INSTALLED_GCP).exists()
    assert machine.which(GKE_AUTH) is None


def test_a_real_gcp_plugin_is_not_demanded_of_those_who_do_without(machine: Machine) -> None:
    for name in (LANGUAGE_HOST, KUBERNETES):
        executable(machine.path / name)
    machine.environ["PLUGINS"] = "real"
    assert find_tools(machine.cache, machine.environ).gcp is None
    assert list((Path(machine.environment()["PULUMI_HOME"]) / "plugins").iterdir()) == []


def test_the_gcp_plugins_stand_in_can_be_forced_over_a_real_one(machine: Machine) -> None:
    executable(machine.path / GCP)
    machine.environ["PLUGINS"] = "stand-in"
    assert machine.which(GCP) == machine.state / "pulumi" / "bin" / GCP
