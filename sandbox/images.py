"""Container images as docker-archive files, written without a container engine and named as their users name them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from sandbox import archive, authority, gotools, materials
from sandbox.errors import SandboxError
from sandbox.gotools import GoTool
from sandbox.materials import RootFileSystem
from sandbox.paths import cache_root

_HERE = Path(__file__).resolve().parent
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_FORMAT = "1"  # raise it when the archives' own layout changes


@dataclass(frozen=True)
class Source:
    """A file or folder on this machine and where it comes to lie in the image; `key` changes with its contents."""

    path: Callable[[], Path]
    key: Callable[[], str]
    inside: str


@dataclass(frozen=True)
class Image:
    """One image: the root file system (when it needs more than one static program), then the files.

    `also` are tags under which the same image is there as well.
    """

    reference: str
    files: tuple[Source, ...]
    entrypoint: tuple[str, ...]
    tools: tuple[GoTool, ...] = ()
    root: RootFileSystem | None = None
    user: str = ""
    also: tuple[str, ...] = ()

    @property
    def references(self) -> tuple[str, ...]:
        """All the names that it has."""
        return (self.reference, *(f"{self.reference.rpartition(':')[0]}:{tag}" for tag in self.also))


def _tool(tool: GoTool, inside: str) -> Source:
    return Source(lambda: gotools.target(tool), lambda: gotools.key(tool), inside)


def _static(reference: str, tool: GoTool, folder: str = "usr/local/bin/") -> Image:
    inside = f"{folder}{tool.binary}"
    return Image(reference, (_tool(tool, inside),), (f"/{inside}",), (tool,))


def folder_key(folder: Path) -> str:
    """Changes with the files of a folder; what Python compiles beside its sources does not count."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.is_file() and file.parent.name != "__pycache__":
            digest.update(f"{file.relative_to(folder)}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


# What `kubeadm config images list --kubernetes-version v1.35.4` names; kube-proxy is a process of the node instead.
PAUSE = _static("registry.k8s.io/pause:3.10.1", gotools.PAUSE)
COREDNS = _static("registry.k8s.io/coredns/coredns:v1.13.1", gotools.COREDNS)
CONTROL_PLANE = (
    PAUSE,
    _static("registry.k8s.io/etcd:3.6.6-0", gotools.ETCD),
    _static("registry.k8s.io/kube-apiserver:v1.35.4", gotools.APISERVER),
    _static("registry.k8s.io/kube-controller-manager:v1.35.4", gotools.CONTROLLER_MANAGER),
    _static("registry.k8s.io/kube-scheduler:v1.35.4", gotools.SCHEDULER),
)

# There is one build of Istio. An upgrade is tried with the same one under a second tag: that shows the steps and what
# they cost callers, not what differs between two releases.
_SECOND_TAG = ("1.31-sandbox-second",)
_BOOTSTRAP = Source(materials.envoy_bootstrap, materials.istio_key, "var/lib/istio/envoy/envoy_bootstrap_tmpl.json")
ISTIO = (
    Image(
        "docker.io/istio/pilot:1.31-sandbox",
        (_tool(gotools.PILOT_DISCOVERY, "usr/local/bin/pilot-discovery"), _BOOTSTRAP),
        ("/usr/local/bin/pilot-discovery",),
        (gotools.PILOT_DISCOVERY,),
        root=materials.BASE,
        user="1337:1337",  # the chart demands an image that does not run as root
        also=_SECOND_TAG,
    ),
    Image(
        "docker.io/istio/proxyv2:1.31-sandbox",
        (
            Source(materials.envoy_program, materials.envoy_key, "usr/local/bin/envoy"),
            _tool(gotools.PILOT_AGENT, "usr/local/bin/pilot-agent"),
            _BOOTSTRAP,
        ),
        ("/usr/local/bin/pilot-agent",),
        (gotools.PILOT_AGENT,),
        root=materials.BASE,
        also=_SECOND_TAG,
    ),
)

# Not the real model server, which no registry carries: a small one that speaks TF Serving's REST API and flags. The
# one root that it trusts is the sandbox's own, so that a test can play Google Cloud Storage to it.
MODEL_SERVER = Image(
    "docker.io/tensorflow/serving:2.20.0",
    (
        _tool(gotools.MODEL_SERVER, "usr/bin/tensorflow_model_server"),
        Source(lambda: _HERE / "images/models", lambda: folder_key(_HERE / "images/models"), "models"),
        Source(authority.certificate, authority.key, "etc/ssl/certs/ca-certificates.crt"),
    ),
    ("/usr/bin/tensorflow_model_server",),
    (gotools.MODEL_SERVER,),
)
CALLER = _static("docker.io/tfserving-mesh/caller:sandbox", gotools.CALLER, "")
WORKLOADS = (MODEL_SERVER, CALLER)

# Debian's, without the pages of its web interface, and with the discovery of pods that Debian leaves out.
_PROMETHEUS = _HERE / "images/prometheus"
PROMETHEUS = Image(
    "docker.io/prom/prometheus:v2.42.0",
    (
        Source(lambda: materials.prometheus_folder() / "prometheus", materials.prometheus_key, "usr/bin/prometheus"),
        Source(lambda: _PROMETHEUS / "discovery.py", lambda: folder_key(_PROMETHEUS), "usr/bin/discovery.py"),
    ),
    ("/usr/bin/python3", "/usr/bin/discovery.py"),
    root=materials.PYTHON,
)
PYTHON = Image("docker.io/library/python:3.11-slim", (), ("/usr/bin/python3",), root=materials.PYTHON)
# Not Grafana, which no registry carries: a server that reads Grafana's settings and provisioning files.
_GRAFANA = _HERE / "images/grafana"
GRAFANA = Image(
    "docker.io/grafana/grafana:12.1.1",
    (Source(lambda: _GRAFANA / "grafana.py", lambda: folder_key(_GRAFANA), "usr/share/grafana/grafana.py"),),
    ("/usr/bin/python3", "/usr/share/grafana/grafana.py"),
    root=materials.PYTHON,
)
MONITORING = (PROMETHEUS, PYTHON, GRAFANA)


@cache
def key(image: Image) -> str:
    """Changes whenever the archive could."""
    digest = hashlib.sha256()
    root = image.root.key() if image.root else ""
    for part in (_FORMAT, *image.references, *image.entrypoint, image.user, root):
        digest.update(part.encode() + b"\0")
    for source in image.files:
        digest.update(f"{source.inside}\0{source.key()}\0".encode())
    return digest.hexdigest()[:16]


def target(image: Image) -> Path:
    """Where the archive lies once it is written."""
    name = image.reference.rpartition("/")[2].replace(":", "-")
    return cache_root() / "images" / f"{name}-{key(image)}.tar"


def built(image: Image) -> bool:
    """True when nothing is left to do."""
    return target(image).exists()


def build(image: Image) -> None:
    """Write the image's archive, whole or not at all; its programs have to be built."""
    final = target(image)
    final.parent.mkdir(parents=True, exist_ok=True)
    layer = final.with_suffix(f".layer{os.getpid()}")
    staged = final.with_suffix(f".new{os.getpid()}")
    try:
        with layer.open("wb") as out:
            archive.write_layer(out, [(source.path(), source.inside) for source in image.files])
        layers = [image.root.path(), layer] if image.root else [layer]
        with staged.open("wb") as out:
            settings = {"Env": [_PATH], "Entrypoint": list(image.entrypoint), "User": image.user}
            archive.write_archive(out, image.references, settings, layers)
        staged.replace(final)
    except OSError as error:
        raise SandboxError(f"writing the image {image.reference} failed: {error.strerror}: {final.parent}") from error
    finally:
        layer.unlink(missing_ok=True)
        staged.unlink(missing_ok=True)
