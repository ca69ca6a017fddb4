"""Which Pulumi tools are used, real ones or stand-ins, and the environment that makes the Pulumi CLI use them.

A Pulumi CLI, language host or plugin that the user already has is used. Only where one is missing does the sandbox put
its own in place: the CLI built from source, and stand-ins for `pulumi-language-python`, `pulumi-resource-kubernetes`
and `pulumi-resource-gcp`. The environment variable `PLUGINS` overrides that for tests: `real` refuses stand-ins,
`stand-in` forces them.

The GCP plugin's stand-in is Python, so there is nothing to build. With it comes one for `gke-gcloud-auth-plugin`, which
gives tokens for the cluster that it calls Google's, the sandbox's; a real one's token would be no use there.

The sandbox has a Pulumi home and a file backend of its own, so the user's login, stacks and plugins are not touched.
How the CLI looks for plugins decides the layout of that home:

- a plugin on PATH beats an installed one and is warned about on every run, so stand-ins are not put on PATH when the
  CLI finds them otherwise: a language host in the folder of the CLI's own executable, a plugin under `plugins/`;
- an installed plugin has to have exactly the version that the program's SDK package asks for;
- a symbolic link in `plugins/` is ignored: the user's plugins become folders of links.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.plugins.gcp import launchers
from sandbox.plugins.gcp.launchers import GCP, GKE_AUTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CLI = "pulumi"
LANGUAGE_HOST = "pulumi-language-python"
DYNAMIC_PROVIDER = "pulumi-resource-pulumi-python"
KUBERNETES = "pulumi-resource-kubernetes"

_STAND_IN_MARKER = ".sandbox-stand-ins"


class PluginsError(Exception):
    """The environment asks for plugins that are not there; the message says which and what to do."""


class Origin(StrEnum):
    """Where a tool comes from."""

    REAL = "real"
    STAND_IN = "stand-in"


@dataclass(frozen=True)
class Tool:
    """One executable: the user's own, or the one that the sandbox builds into its cache (`path` may not exist yet)."""

    name: str
    path: Path
    origin: Origin

    @property
    def real(self) -> bool:
        """True for what the user has, False for what the sandbox provides."""
        return self.origin is Origin.REAL

    @property
    def exists(self) -> bool:
        """False for a tool of the sandbox that is not built yet."""
        return self.path.exists()


@dataclass(frozen=True)
class Tools:
    """The tools that a Pulumi run on the sandbox uses."""

    cli: Tool
    language_host: Tool
    kubernetes: Tool
    gcp: Tool | None = None
    """None when only a real one would do and there is none."""

    @property
    def all(self) -> tuple[Tool, ...]:
        """Every tool that is built where it is missing, in the order in which a build makes them."""
        return (self.cli, self.language_host, self.kubernetes)

    @property
    def shown(self) -> tuple[Tool, ...]:
        """Every tool, for those who look."""
        return (*self.all, self.gcp) if self.gcp else self.all

    @property
    def to_build(self) -> tuple[str, ...]:
        """Names of the executables that have to be built into the cache before Pulumi can run."""
        return tuple(tool.name for tool in self.all if not tool.real and not tool.exists)


def find_tools(cache_bin: Path, environ: Mapping[str, str]) -> Tools:
    """Finds the Pulumi CLI, the Python language host, the Kubernetes plugin and the GCP plugin.

    Looks on PATH, beside the CLI, in ~/.pulumi/bin and in ~/.pulumi/plugins; what is nowhere is expected in `cache_bin`
    under its own name, where `python -m sandbox build` puts it. The GCP plugin alone may be missing when `PLUGINS` is
    `real`: most of the project does without it.

    Raises:
        PluginsError: `PLUGINS` is `real` and a plugin is missing, or it is neither `real` nor `stand-in`.
    """
    wanted = _wanted_plugins(environ)
    cli = _on_path(CLI, environ)
    beside_cli = [cli.resolve().parent] if cli else []
    host = _on_path(LANGUAGE_HOST, environ, *beside_cli)
    kubernetes = _on_path(KUBERNETES, environ) or _installed("kubernetes", environ)
    return Tools(
        cli=Tool(CLI, cli, Origin.REAL) if cli else Tool(CLI, cache_bin / CLI, Origin.STAND_IN),
        language_host=_choose(LANGUAGE_HOST, host, cache_bin, wanted),
        kubernetes=_choose(KUBERNETES, kubernetes, cache_bin, wanted),
        gcp=_choose_gcp(_on_path(GCP, environ) or _installed("gcp", environ), wanted),
    )


def pulumi_environment(state_root: Path, checkout: Path, cache_bin: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Prepares the sandbox's Pulumi home and returns the variables to set on top of `environ`.

    Idempotent and cheap: called before every Pulumi run. Writes only below `state_root`.

    Args:
        state_root: folder of this sandbox's state; gets `pulumi` (the home) and `pulumi-state` (the file backend).
        checkout: the program's folder; its `.venv`, when there, comes first on PATH for `python`.
        cache_bin: where the sandbox's own tools are built.
        environ: the caller's environment, usually `os.environ`.

    Raises:
        PluginsError: see `find_tools`.
    """
    tools = find_tools(cache_bin, environ)
    home = state_root / "pulumi"
    backend = state_root / "pulumi-state"
    backend.mkdir(parents=True, exist_ok=True)
    forced = _wanted_plugins(environ) is Origin.STAND_IN
    started = _fill_launchers(home / "launchers", tools, checkout)
    # A real one on PATH is only beaten by another one on PATH.
    on_path_too = {name for name in (KUBERNETES, GCP) if forced and _on_path(name, environ)}
    bin_folder = _fill_bin(home / "bin", tools, started, on_path_too)
    _fill_plugins(home / "plugins", tools, started, environ)
    first = _fill_first(home / "first", started, environ)
    variables = {
        "PATH": _path(environ, tools, bin_folder, first, checkout, stand_ins_first=forced),
        "PULUMI_HOME": str(home),
        "PULUMI_BACKEND_URL": backend.as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "sandbox",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    if not tools.kubernetes.real:
        # The other plugins named by installed packages cannot be had where this one could not: do not try on each run.
        # The GCP plugin says nothing of the kind: few have it, and its stand-in needs no build.
        variables["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
    return variables


def _wanted_plugins(environ: Mapping[str, str]) -> Origin | None:
    value = environ.get("PLUGINS", "")
    if not value:
        return None
    try:
        return Origin(value)
    except ValueError:
        raise PluginsError(f"PLUGINS is {value}; it can be real or stand-in, or unset to use what is there") from None


def _choose(name: str, found: Path | None, cache_bin: Path, wanted: Origin | None) -> Tool:
    if found and wanted is not Origin.STAND_IN:
        return Tool(name, found, Origin.REAL)
    if wanted is Origin.REAL:
        raise PluginsError(
            f"PLUGINS is real, but there is no {name} on PATH or under {Path.home() / '.pulumi'}"
            f"{_version_hint(name)}. Install it, or unset PLUGINS to use the stand-in"
        )
    return Tool(name, cache_bin / name, Origin.STAND_IN)


def _choose_gcp(found: Path | None, wanted: Origin | None) -> Tool | None:
    if found and wanted is not Origin.STAND_IN:
        return Tool(GCP, found, Origin.REAL)
    return None if wanted is Origin.REAL else Tool(GCP, Path(launchers.__file__).parent, Origin.STAND_IN)


def _version_hint(name: str) -> str:
    return f" in version {_sdk_version('kubernetes')}" if name == KUBERNETES else ""


def _sdk_version(plugin: str) -> str:
    """The version of a plugin that the program asks the engine for: that of its installed SDK package."""
    return metadata.version(f"pulumi-{plugin}")


def _user_home(environ: Mapping[str, str]) -> Path:
    """The user's Pulumi home, also when called from inside an environment made by `pulumi_environment`."""
    configured = environ.get("PULUMI_HOME", "")
    if configured and not (Path(configured) / "bin" / _STAND_IN_MARKER).exists():
        return Path(configured)
    return Path(environ.get("HOME") or Path.home()) / ".pulumi"


def _search_folders(environ: Mapping[str, str]) -> Iterator[Path]:
    for entry in environ.get("PATH", "").split(os.pathsep):
        # The sandbox's own folder is on PATH once its environment is evaluated; what lies there is not the user's.
        if entry and not (Path(entry) / _STAND_IN_MARKER).exists():
            yield Path(entry)
    yield _user_home(environ) / "bin"


def _on_path(name: str, environ: Mapping[str, str], *more: Path) -> Path | None:
    for folder in (*_search_folders(environ), *more):
        candidate = folder / name
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None


def _installed(plugin: str, environ: Mapping[str, str]) -> Path | None:
    folder = _user_home(environ) / "plugins" / f"resource-{plugin}-v{_sdk_version(plugin)}"
    executable = folder / f"pulumi-resource-{plugin}"
    partial = folder.with_name(f"{folder.name}.partial")
    return executable if executable.is_file() and not partial.exists() else None


def _fill_launchers(folder: Path, tools: Tools, checkout: Path) -> dict[str, Path]:
    if tools.gcp is not None and not tools.gcp.real:
        return launchers.write(folder, checkout)
    launchers.remove(folder)
    return {}


def _fill_bin(folder: Path, tools: Tools, started: Mapping[str, Path], on_path_too: set[str]) -> Path:
    """Puts the sandbox's own CLI and language host side by side, as an installed Pulumi has them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STAND_IN_MARKER).touch()
    built = {CLI: tools.cli, LANGUAGE_HOST: tools.language_host, DYNAMIC_PROVIDER: tools.language_host}
    if KUBERNETES in on_path_too:
        built[KUBERNETES] = tools.kubernetes
    wanted = {name: tool.path for name, tool in built.items() if not tool.real and tool.exists}
    wanted |= {name: path for name, path in started.items() if name == GKE_AUTH or name in on_path_too}
    for name in (CLI, LANGUAGE_HOST, DYNAMIC_PROVIDER, KUBERNETES, GCP, GKE_AUTH):
        if name in wanted:
            _place(wanted[name], folder / name)
        else:
            (folder / name).unlink(missing_ok=True)
    return folder


def _fill_first(folder: Path, started: Mapping[str, Path], environ: Mapping[str, str]) -> Path | None:
    """Puts what has to come before the user's own: a real auth plugin's token is no use to the sandbox."""
    if GKE_AUTH not in started or _on_path(GKE_AUTH, environ) is None:
        shutil.rmtree(folder, ignore_errors=True)
        return None
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STAND_IN_MARKER).touch()
    _place(started[GKE_AUTH], folder / GKE_AUTH)
    return folder


def _place(source: Path, target: Path) -> None:
    """Makes `target` the same file as `source`; a link by name would lead the CLI away from the files beside it."""
    source = source.resolve()
    if target.exists():
        if target.samefile(source):
            return
        here, there = target.stat(), source.stat()
        if (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns):
            return
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        os.link(source, staged)
    except OSError:  # another file system
        shutil.copy2(source, staged)
    staged.replace(target)


def _fill_plugins(folder: Path, tools: Tools, started: Mapping[str, Path], environ: Mapping[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stand_in = folder / f"resource-kubernetes-v{_sdk_version('kubernetes')}"
    wanted: dict[Path, dict[str, Path]] = {}
    theirs = _user_home(environ) / "plugins"
    for plugin in sorted(theirs.iterdir()) if theirs.is_dir() else []:
        if plugin.is_dir() and not theirs.joinpath(f"{plugin.name}.partial").exists():
            wanted[folder / plugin.name] = {entry.name: entry for entry in plugin.iterdir()}
    if not tools.kubernetes.real:
        wanted.pop(stand_in, None)
        if tools.kubernetes.exists:
            wanted[stand_in] = {KUBERNETES: tools.kubernetes.path.resolve()}
    if GCP in started:
        wanted[folder / f"resource-gcp-v{_sdk_version('gcp')}"] = {GCP: started[GCP]}
    for old in set(folder.iterdir()) - set(wanted):
        # Folders of links are made here; anything else the CLI has downloaded itself.
        if old.is_dir() and all(entry.is_symlink() for entry in old.iterdir()):
            shutil.rmtree(old)
    for plugin, files in wanted.items():
        plugin.mkdir(exist_ok=True)
        for name, source in files.items():
            _link(source, plugin / name)


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and target.readlink() == source:
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    staged = target.with_name(f".{target.name}.{os.getpid()}")
    staged.symlink_to(source)
    staged.replace(target)  # at once: another command may be at it too


def _path(
    environ: Mapping[str, str], tools: Tools, ours: Path, first: Path | None, checkout: Path, *, stand_ins_first: bool
) -> str:
    own = {ours, ours.with_name("first")}
    inherited = [entry for entry in environ.get("PATH", "").split(os.pathsep) if entry and Path(entry) not in own]
    users_bin = _user_home(environ) / "bin"
    needs_users_bin = any(tool.real and tool.path.parent == users_bin for tool in tools.all)
    if needs_users_bin and str(users_bin) not in inherited:
        inherited.append(str(users_bin))
    venv = checkout / ".venv" / "bin"
    if venv.is_dir() and str(venv) not in inherited:
        inherited.insert(0, str(venv))
    found = [str(ours), *inherited] if stand_ins_first else [*inherited, str(ours)]
    return os.pathsep.join([str(first), *found] if first else found)
