"""The docker-archive format: layers, a config that names them by digest, and a manifest, all as plain tar files."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

_EPOCH = "1970-01-01T00:00:00Z"


def write_layer(out: IO[bytes], files: Sequence[tuple[Path, str]]) -> None:
    """Write a layer: the same files give the same bytes, whoever owns them here and whenever they were made."""
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        known: set[str] = set()
        for source, inside in files:
            for path, name in _entries(source, inside):
                for folder in reversed(Path(name).parents[:-1]):
                    if str(folder) not in known:
                        known.add(str(folder))
                        archive.addfile(_member(str(folder), tarfile.DIRTYPE, 0o755))
                if path.is_dir():
                    known.add(name)
                    archive.addfile(_member(name, tarfile.DIRTYPE, 0o755))
                    continue
                member = _member(name, tarfile.REGTYPE, 0o755 if os.access(path, os.X_OK) else 0o644)
                member.size = path.stat().st_size
                with path.open("rb") as contents:
                    archive.addfile(member, contents)


def _entries(source: Path, inside: str) -> Iterator[tuple[Path, str]]:
    yield source, inside
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            yield path, f"{inside}/{path.relative_to(source)}"


def _member(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, 0
    return member


def write_archive(
    out: IO[bytes], references: Sequence[str], settings: Mapping[str, object], layers: Sequence[Path]
) -> None:
    """Write an image that any container runtime imports.

    Args:
        out: gets the archive.
        references: the names under which a runtime then has it.
        settings: the image's config, in the OCI's words (Entrypoint, User, Env...).
        layers: tar files, the lowest first.
    """
    digests = [_digest(layer) for layer in layers]
    config = {
        "architecture": _architecture(),
        "os": "linux",
        "created": _EPOCH,
        "config": dict(settings),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": _EPOCH} for _ in digests],
    }
    encoded = json.dumps(config, sort_keys=True).encode()
    config_name = f"{hashlib.sha256(encoded).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [*references], "Layers": [f"{digest}.tar" for digest in digests]}]
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for layer, digest in zip(layers, digests, strict=True):
            member = _member(f"{digest}.tar", tarfile.REGTYPE, 0o644)
            member.size = layer.stat().st_size
            with layer.open("rb") as contents:
                archive.addfile(member, contents)
        for name, data in ((config_name, encoded), ("manifest.json", json.dumps(manifest).encode())):
            member = _member(name, tarfile.REGTYPE, 0o644)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def _digest(file: Path) -> str:
    with file.open("rb") as contents:
        return hashlib.file_digest(contents, "sha256").hexdigest()


@cache
def _architecture() -> str:
    machine = os.uname().machine
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
