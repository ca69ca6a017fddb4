"""What has to be built on this machine, for this user: only what is missing, each step once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sandbox import debian, gotools, images, materials
from sandbox.commands import which
from sandbox.errors import SandboxError, require_space
from sandbox.gotools import GoTool
from sandbox.images import Image
from sandbox.paths import cache_root
from sandbox.progress import Step
from sandbox.pulumi_env import find_tools

_MEGABYTE = 1024**2
PULUMI_TOOLS = {tool.binary: tool for tool in (gotools.PULUMI, gotools.LANGUAGE_HOST, gotools.KUBERNETES_PLUGIN)}
_IMAGE_SPACE = 450 * _MEGABYTE
"""The largest image's archive and, while it is written, its layer."""


def pulumi_folder() -> Path:
    """Where the Pulumi tools of our own lie under their names; not on PATH as it is, see pulumi_env."""
    return cache_root() / "bin"


def path_folder() -> Path:
    """What the user's PATH gets as its last folder: kubectl, for those who have none."""
    return cache_root() / "path"


def go_tools(context: str | None) -> list[GoTool]:
    """The Go programs that this user needs: nothing is built in place of what there already is."""
    chosen = find_tools(pulumi_folder(), os.environ)
    wanted = [PULUMI_TOOLS[tool.name] for tool in chosen.all if not tool.real]
    if context is None:
        wanted += gotools.CLUSTER
    elif _users_kubectl() is None:
        wanted.append(gotools.KUBECTL)
    return [*wanted, *gotools.WORKLOADS]


def image_list(context: str | None) -> tuple[Image, ...]:
    """The images that are written here: a user's own cluster pulls everything that is public itself."""
    if context is not None:
        return images.WORKLOADS
    return (*images.CONTROL_PLANE, images.COREDNS, *images.ISTIO, *images.WORKLOADS, *images.MONITORING)


def build_steps(context: str | None) -> list[Step]:
    """What is left to build, in order; empty when everything is there.

    Raises:
        SandboxError: no Go, too old a Go, or too little space for what is left.
    """
    packages = debian.missing(debian.DOWNLOAD if context is not None else (*debian.DOWNLOAD, *debian.NODE))
    tools = [tool for tool in go_tools(context) if not gotools.built(tool)]
    missing_images = [image for image in image_list(context) if not images.built(image)]
    _require_build_space(tools, missing_images)
    steps = []
    if packages:
        steps.append(Step(f"Debian packages: {' '.join(packages)}", partial(debian.install, packages)))
    steps += [Step(f"build {tool.binary}", partial(gotools.build, tool)) for tool in tools]
    if context is None:
        if not materials.istio_files().exists():
            steps.append(Step("Istio's charts", materials.build_istio_files))
        for root in (materials.BASE, materials.PYTHON):
            if not root.path().exists():
                steps.append(Step(f"root file system from Debian packages: {' '.join(root.packages)}", root.build))
        if not materials.prometheus_folder().exists():
            steps.append(Step("Prometheus from its Debian package", materials.build_prometheus))
    steps += [Step(f"image {image.reference}", partial(images.build, image)) for image in missing_images]
    return steps


def link_tools(context: str | None) -> None:
    """Put what was built under its own name where pulumi_env and PATH expect it."""
    for tool in go_tools(context):
        if tool.binary in PULUMI_TOOLS:
            _link(pulumi_folder() / tool.binary, gotools.target(tool))
        elif tool is gotools.KUBECTL:
            _link(path_folder() / tool.binary, gotools.target(tool))


def kubectl() -> Path:
    """The kubectl that the sandbox itself uses: its own, or with a user's own cluster perhaps the user's."""
    own = path_folder() / gotools.KUBECTL.binary
    if own.exists():
        return own
    users = _users_kubectl()
    if users is None:
        raise SandboxError("there is no kubectl: run `python -m sandbox build`")
    return users


def _users_kubectl() -> Path | None:
    found = which(gotools.KUBECTL.binary)
    return Path(found) if found and Path(found).parent != path_folder() else None


def _link(name: Path, target: Path) -> None:
    name.parent.mkdir(parents=True, exist_ok=True)
    if name.is_symlink() and name.readlink() == target:
        return
    staged = name.with_name(f".{name.name}.{os.getpid()}")
    staged.symlink_to(target)
    staged.replace(name)


def _require_build_space(tools: list[GoTool], missing_images: list[Image]) -> None:
    """Refuse to begin a build that would end with a full disk; folders on one file system are added up."""
    needs: dict[int, tuple[Path, int]] = {}
    for folder, needed in _needs(tools, missing_images):
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        device = existing.stat().st_dev
        needs[device] = (folder, needs.get(device, (folder, 0))[1] + needed)
    for folder, needed in needs.values():
        require_space(folder, needed, "the build")


def _needs(tools: list[GoTool], missing_images: list[Image]) -> Iterator[tuple[Path, int]]:
    if tools:
        build_cache, module_cache = gotools.go_caches()
        total = sum(tool.megabytes for tool in tools) * _MEGABYTE
        # Go's caches may already hold most of it; what is there need not be written again.
        for cache, share in ((build_cache, 0.6), (module_cache, 0.4)):
            yield cache, max(0, int(total * share) - _size(cache, int(total * share)))
        yield cache_root(), 100 * _MEGABYTE * len(tools)
    if missing_images:
        yield cache_root(), _IMAGE_SPACE + sum(150 * _MEGABYTE for _ in missing_images)


def _size(folder: Path, enough: int) -> int:
    """Bytes in a folder, counted until they are `enough`."""
    total = 0
    for base, _, files in os.walk(folder):
        total += sum(os.lstat(os.path.join(base, name)).st_size for name in files)  # noqa: PTH118 - a hundred thousand files
        if total >= enough:
            return total
    return total
