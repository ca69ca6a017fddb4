"""Go programs built from modules pinned in this repository, into a cache keyed by what they are built from."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox.commands import run_logged
from sandbox.errors import SandboxError
from sandbox.paths import cache_root, log_folder

_HERE = Path(__file__).resolve().parent
_KUBERNETES_VERSION = "v1.35.4"
PULUMI_VERSION = "v3.250.0"

# Links are what differs from a plain `go build`: no debug information, no path of this machine.
_BUILD_FLAGS = ("-mod=readonly", "-buildvcs=false", "-trimpath")
_LINK_FLAGS = "-s -w"


@dataclass(frozen=True)
class GoTool:
    """One static executable and the module that pins everything it is built from."""

    binary: str
    module: Path
    package: str
    variables: tuple[tuple[str, str], ...] = ()
    """Package variables that the linker sets."""
    megabytes: int = 300
    """Disk needed for its download and build when no cache holds any of it."""


def _kubernetes(binary: str, megabytes: int) -> GoTool:
    version = "k8s.io/component-base/version"
    major, minor = _KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
    # Without a version kubeadm and kubelet refuse to work.
    variables = (
        (f"{version}.gitVersion", _KUBERNETES_VERSION),
        (f"{version}.gitMajor", major),
        (f"{version}.gitMinor", minor),
    )
    return GoTool(binary, _HERE / "tools/kubernetes", f"k8s.io/kubernetes/cmd/{binary}", variables, megabytes)


PULUMI = GoTool(
    "pulumi",
    _HERE / "tools/pulumi",
    "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
    (("github.com/pulumi/pulumi/sdk/v3/go/common/version.Version", PULUMI_VERSION),),
    2500,
)
KUBERNETES_PLUGIN = GoTool("pulumi-resource-kubernetes", _HERE / "plugins/kubernetes", ".", (), 1500)
LANGUAGE_HOST = GoTool("pulumi-language-python", _HERE / "plugins/python", ".", (), 600)
KUBECTL = _kubernetes("kubectl", 900)
KUBEADM = _kubernetes("kubeadm", 500)
KUBELET = _kubernetes("kubelet", 700)
KUBE_PROXY = _kubernetes("kube-proxy", 300)
APISERVER = _kubernetes("kube-apiserver", 900)
CONTROLLER_MANAGER = _kubernetes("kube-controller-manager", 500)
SCHEDULER = _kubernetes("kube-scheduler", 300)
ETCD = GoTool("etcd", _HERE / "tools/etcd", "go.etcd.io/etcd/server/v3", (), 400)
COREDNS = GoTool("coredns", _HERE / "tools/coredns", "github.com/coredns/coredns", (), 1500)
KUBE_ROUTER = GoTool(
    "kube-router", _HERE / "tools/kube-router", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router", (), 500
)
PILOT_DISCOVERY = GoTool("pilot-discovery", _HERE / "tools/istio", "istio.io/istio/pilot/cmd/pilot-discovery", (), 1800)
PILOT_AGENT = GoTool("pilot-agent", _HERE / "tools/istio", "istio.io/istio/pilot/cmd/pilot-agent", (), 300)
PAUSE = GoTool("pause", _HERE / "images/pause", ".", (), 30)
MODEL_SERVER = GoTool("tensorflow_model_server", _HERE / "images/modelserver", ".", (), 300)
CALLER = GoTool("caller", _HERE / "images/caller", ".", (), 100)
# Nothing that runs needs it: the test of the workflows builds it.
ACTIONLINT = GoTool("actionlint", _HERE / "tools/actionlint", "github.com/rhysd/actionlint/cmd/actionlint", (), 200)
# Nor this: the tests that play Google build it.
GOOGLE = GoTool("google", _HERE / "google", ".", (), 900)

CONTROL_PLANE = (ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, KUBELET, KUBE_PROXY, KUBECTL, KUBEADM)
CLUSTER = (*CONTROL_PLANE, COREDNS, KUBE_ROUTER, PAUSE, PILOT_DISCOVERY, PILOT_AGENT)
WORKLOADS = (MODEL_SERVER, CALLER)


@cache
def go_program() -> Path:
    """The user's Go.

    Raises:
        SandboxError: there is none.
    """
    found = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if found is None:
        raise SandboxError(
            f"Go is needed to build the sandbox: install Go {required_go()} or newer and put `go` on PATH"
        )
    return Path(found)


@cache
def go_version() -> str:
    """The version that builds, for instance `go1.26.8`; part of every key.

    Raises:
        SandboxError: no Go, or one that is older than the modules ask for.
    """
    env = _environment()
    done = subprocess.run([go_program(), "env", "GOVERSION"], capture_output=True, text=True, env=env, check=False)
    version = done.stdout.strip()
    if done.returncode != 0 or not version:
        raise SandboxError(f"{go_program()} does not work: {done.stderr.strip()}")
    if _numbers(version) < _numbers(required_go()):
        raise SandboxError(
            f"Go {required_go()} or newer is needed, but {go_program()} is {version}: put a newer `go` first on PATH"
        )
    return version


@cache
def required_go() -> str:
    """The newest `go` line of the modules that are built here."""
    lines = [
        match[1]
        for pattern in ("tools/*/go.mod", "images/*/go.mod", "plugins/*/go.mod")
        for file in _HERE.glob(pattern)
        if (match := re.search(r"^go (\S+)$", file.read_text(), re.MULTILINE))
    ]
    return max(lines, key=_numbers)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _environment() -> dict[str, str]:
    # What would change the result is fixed here; proxies and cache folders stay the user's.
    kept = {name: value for name, value in os.environ.items() if name not in {"GOOS", "GOARCH", "GOEXPERIMENT"}}
    return kept | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local", "GOWORK": "off"}


def sources(folder: Path) -> Iterator[Path]:
    """The files of a module that can change what is built from it, in a fixed order."""
    for file in sorted(folder.rglob("*")):
        if file.is_file() and not file.name.endswith(("_test.go", ".md", ".pyc")) and "testdata" not in file.parts:
            yield file


def key(tool: GoTool) -> str:
    """Changes whenever the executable could: the module's files, the flags, the Go version."""
    digest = hashlib.sha256()
    for part in (tool.package, *_BUILD_FLAGS, _link_flags(tool), go_version()):
        digest.update(part.encode() + b"\0")
    for file in sources(tool.module):
        digest.update(f"{file.relative_to(tool.module)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def target(tool: GoTool) -> Path:
    """Where the executable lies once it is built."""
    return cache_root() / "go" / tool.binary / key(tool) / tool.binary


def built(tool: GoTool) -> bool:
    """True when nothing is left to do."""
    return target(tool).exists()


def build(tool: GoTool) -> None:
    """Build the executable, whole or not at all.

    Raises:
        SandboxError: with the remedy when the cause is known (no Go, no network, a full disk), and the log's path.
    """
    final = target(tool)
    final.parent.mkdir(parents=True, exist_ok=True)
    staged = final.with_name(f".{tool.binary}.{os.getpid()}")
    command: list[str | Path] = [
        go_program(), "build", *_BUILD_FLAGS, "-ldflags", _link_flags(tool), "-o", staged, tool.package
    ]  # fmt: skip
    try:
        run_logged(
            f"building {tool.binary}",
            command,
            log_folder() / f"build-{tool.binary}.log",
            env=_environment(),
            cwd=tool.module,
        )
        staged.replace(final)
    finally:
        staged.unlink(missing_ok=True)


def _link_flags(tool: GoTool) -> str:
    return " ".join([_LINK_FLAGS, *(f"-X {name}={value}" for name, value in tool.variables)])


def module_folder(tool: GoTool, module: str) -> Path:
    """The read-only source folder of one module that a tool is built from (downloaded when it is not there).

    Raises:
        SandboxError: it cannot be downloaded.
    """
    log = log_folder() / f"download-{module.replace('/', '-')}.log"
    command: list[str | Path] = [go_program(), "mod", "download", module]
    run_logged(f"downloading {module}", command, log, env=_environment(), cwd=tool.module)
    listed = subprocess.run(
        [go_program(), "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module],
        capture_output=True, text=True, env=_environment(), cwd=tool.module, check=False,
    )  # fmt: skip
    if listed.returncode != 0 or not listed.stdout.strip():
        raise SandboxError(f"go list -m {module} failed: {listed.stderr.strip()}")
    return Path(listed.stdout.strip())


def go_caches() -> tuple[Path, Path]:
    """Go's own build cache and module cache: what downloads and builds fill."""
    done = subprocess.run(
        [go_program(), "env", "GOCACHE", "GOMODCACHE"], capture_output=True, text=True, env=_environment(), check=True
    )
    build_cache, module_cache = done.stdout.split("\n")[:2]
    return Path(build_cache), Path(module_cache)
