from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox import archive, gotools, images, materials, plan
from sandbox.errors import SandboxError
from sandbox.gotools import GoTool
from sandbox.pulumi_env import Origin, Tool, Tools


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GOCACHE", str(gotools.go_caches()[0]))  # the standard library need not be compiled again
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gotools, "go_version", lambda: "go1.26.8")
    folder = tmp_path / "module"
    folder.mkdir()
    (folder / "go.mod").write_text("module example\n\ngo 1.20\n")
    (folder / "main.go").write_text('package main\n\nfunc main() { println("one") }\n')
    return folder


@pytest.mark.parametrize("name", ["main.go", "go.mod", "go.sum", "more/embedded.json"])
def test_a_changed_source_is_built_anew(module: Path, name: str) -> None:
    tool = GoTool("example", module, ".")
    before = gotools.key(tool)
    (module / name).parent.mkdir(exist_ok=True)
    (module / name).write_text("changed")
    assert gotools.key(tool) != before


def test_another_go_or_other_flags_are_built_anew(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gotools.key(GoTool("example", module, "."))
    assert gotools.key(GoTool("example", module, ".", (("main.version", "v1"),))) != before
    monkeypatch.setattr(gotools, "go_version", lambda: "go1.27.0")
    assert gotools.key(GoTool("example", module, ".")) != before


def test_editing_a_test_or_a_text_builds_nothing(module: Path) -> None:
    tool = GoTool("example", module, ".")
    before = gotools.key(tool)
    (module / "main_test.go").write_text("package main\n")
    (module / "README.md").write_text("text\n")
    assert gotools.key(tool) == before


def test_what_python_compiles_beside_a_source_changes_no_key(module: Path) -> None:
    before = gotools.key(GoTool("example", module, ".")), images.folder_key(module)
    (module / "__pycache__").mkdir()
    (module / "__pycache__" / "grafana.cpython-311.pyc").write_bytes(b"compiled")
    assert (gotools.key(GoTool("example", module, ".")), images.folder_key(module)) == before


def test_a_build_that_fails_leaves_nothing_that_looks_built(module: Path) -> None:
    (module / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    tool = GoTool("example", module, ".")
    with pytest.raises(
        SandboxError, match=r"building example failed: exit code 1, log: .*\n(.*\n)*.*undefined: undefined"
    ):
        gotools.build(tool)
    assert not gotools.built(tool)
    assert list(gotools.target(tool).parent.iterdir()) == []


def test_a_finished_build_is_there_and_works(module: Path) -> None:
    tool = GoTool("example", module, ".")
    gotools.build(tool)
    assert gotools.built(tool)
    assert os.access(gotools.target(tool), os.X_OK)


def _names(archive_file: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive_file)) as opened:
        return opened.getnames()


def _layer(files: list[tuple[Path, str]]) -> bytes:
    out = io.BytesIO()
    archive.write_layer(out, files)
    return out.getvalue()


def test_a_layer_does_not_depend_on_times_and_owners(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("x")
    program.chmod(0o700)
    before = _layer([(program, "usr/bin/program")])
    os.utime(program, (1, 1))
    assert _layer([(program, "usr/bin/program")]) == before
    with tarfile.open(fileobj=io.BytesIO(before)) as opened:
        members = {member.name: member for member in opened.getmembers()}
    assert list(members) == ["usr", "usr/bin", "usr/bin/program"]
    assert members["usr/bin/program"].mode == 0o755
    assert {(m.uid, m.gid, m.mtime) for m in members.values()} == {(0, 0, 0)}


def test_a_folder_of_models_keeps_its_layout_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "half_plus" / "1").mkdir(parents=True)
    (tmp_path / "half_plus" / "1" / "model.json").write_text("{}")
    assert _names(_layer([(tmp_path, "models")])) == [
        "models", "models/half_plus", "models/half_plus/1", "models/half_plus/1/model.json"
    ]  # fmt: skip


def test_an_archive_names_its_image_and_every_layer_by_digest(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    lower.write_bytes(_layer([]))
    (tmp_path / "file").write_text("x")
    upper.write_bytes(_layer([(tmp_path / "file", "file")]))
    out = io.BytesIO()
    names = ("docker.io/example/image:1", "docker.io/example/image:same")
    archive.write_archive(out, names, {"Entrypoint": ["/file"], "User": "1337:1337"}, [lower, upper])
    with tarfile.open(fileobj=io.BytesIO(out.getvalue())) as opened:
        read: Callable[[str], bytes] = lambda name: opened.extractfile(name).read()  # type: ignore[union-attr] # noqa: E731
        (manifest,) = json.loads(read("manifest.json"))
        config = json.loads(read(manifest["Config"]))
        assert read(manifest["Layers"][1]) == upper.read_bytes()
    assert manifest["RepoTags"] == [*names]
    assert [f"sha256:{name.removesuffix('.tar')}" for name in manifest["Layers"]] == config["rootfs"]["diff_ids"]
    assert config["config"] == {"Entrypoint": ["/file"], "User": "1337:1337"}


def test_every_image_that_kubeadm_wants_is_written_under_its_name() -> None:
    references = {reference for image in plan.image_list(None) for reference in image.references}
    assert references >= {
        "registry.k8s.io/kube-apiserver:v1.35.4",
        "registry.k8s.io/kube-controller-manager:v1.35.4",
        "registry.k8s.io/kube-scheduler:v1.35.4",
        "registry.k8s.io/coredns/coredns:v1.13.1",
        "registry.k8s.io/etcd:3.6.6-0",
        "registry.k8s.io/pause:3.10.1",
        "docker.io/istio/pilot:1.31-sandbox",
        "docker.io/istio/proxyv2:1.31-sandbox",
        "docker.io/istio/pilot:1.31-sandbox-second",
        "docker.io/istio/proxyv2:1.31-sandbox-second",
        "docker.io/tensorflow/serving:2.20.0",
        "docker.io/tfserving-mesh/caller:sandbox",
    }


def test_a_rebuilt_program_makes_a_new_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gotools, "go_version", lambda: "go1.26.8")
    images.key.cache_clear()
    before = images.target(images.CALLER)
    monkeypatch.setattr(gotools, "go_version", lambda: "go1.27.0")
    images.key.cache_clear()
    assert images.target(images.CALLER) != before
    images.key.cache_clear()


@pytest.fixture
def users_tools(monkeypatch: pytest.MonkeyPatch) -> Callable[[Origin], None]:
    def have(origin: Origin) -> None:
        names = ("pulumi", "pulumi-language-python", "pulumi-resource-kubernetes")
        found = Tools(*(Tool(name, Path("/opt/pulumi") / name, origin) for name in names))
        monkeypatch.setattr(plan, "find_tools", lambda *_: found)

    return have


def test_with_a_cluster_of_ones_own_no_kubernetes_is_built(
    users_tools: Callable[[Origin], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    users_tools(Origin.STAND_IN)
    monkeypatch.setattr(plan, "which", lambda _: "/usr/bin/kubectl")
    built = {tool.binary for tool in plan.go_tools("kind-mine")}
    assert built == {
        "pulumi", "pulumi-language-python", "pulumi-resource-kubernetes", "tensorflow_model_server", "caller"
    }  # fmt: skip
    monkeypatch.setattr(plan, "which", lambda _: None)
    assert "kubectl" in {tool.binary for tool in plan.go_tools("kind-mine")}


def test_real_pulumi_tools_are_never_built_again(users_tools: Callable[[Origin], None]) -> None:
    users_tools(Origin.REAL)
    assert not {tool.binary for tool in plan.go_tools(None)} & set(plan.PULUMI_TOOLS)
    users_tools(Origin.STAND_IN)
    assert {tool.binary for tool in plan.go_tools(None)} >= set(plan.PULUMI_TOOLS)


def test_the_charts_are_whole_in_the_checkout_and_gone_after_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "istio"
    for name in ("base", "istiod", "gateway"):
        (source / "charts" / name).mkdir(parents=True)
        (source / "charts" / name / "Chart.yaml").write_text(f"name: {name}\n")
    monkeypatch.setattr(materials, "istio_files", lambda: source)
    checkout = tmp_path / "checkout"
    (checkout / ".sandbox" / "charts" / "left-over").mkdir(parents=True)
    materials.place_charts(checkout)
    placed = checkout / ".sandbox" / "charts"
    assert sorted(path.name for path in placed.iterdir() if path.is_dir()) == ["base", "gateway", "istiod"]
    materials.remove_charts(checkout)
    assert list(checkout.iterdir()) == []
