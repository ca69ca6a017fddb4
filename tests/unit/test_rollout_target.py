"""The cluster that a command reaches is the stack's, and never another one that happens to be current."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rollout.cluster_api import ClusterApi
from rollout.errors import RolloutError
from rollout.stack import Stack
from rollout.target import cluster_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str | None, str | None]]:
    found: list[tuple[str | None, str | None]] = []
    monkeypatch.setattr(ClusterApi, "of", lambda kubeconfig, context: found.append((kubeconfig, context)))
    return found


def stack(tmp_path: Path, cluster: str) -> Stack:
    file = tmp_path / "Pulumi.x.yaml"
    content = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())
    content["config"]["tfserving-mesh:cluster"] = yaml.safe_load(cluster)
    file.write_text(yaml.safe_dump(content))
    return Stack("x", ROOT, file)


def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, current: str, *names: str) -> None:
    contexts = [{"name": name, "context": {}} for name in names]
    (tmp_path / "config").write_text(yaml.safe_dump({"current-context": current, "contexts": contexts}))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))


def test_an_existing_cluster_is_reached_as_pulumi_does(
    tmp_path: Path, reached: list[tuple[str | None, str | None]]
) -> None:
    cluster_of(stack(tmp_path, "{kind: existing}"), None)
    cluster_of(stack(tmp_path, "{kind: existing, kubeconfig: some/config, context: there}"), None)
    cluster_of(stack(tmp_path, "{kind: existing, context: there}"), "here")
    assert reached == [(None, None), (str(ROOT / "some/config"), "there"), (None, "here")]


def test_a_cluster_on_gke_is_the_one_of_the_stacks_project_and_place_whatever_is_current(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: list[tuple[str | None, str | None]]
) -> None:
    ours, others = "gke_my-project_europe-west1_cluster-1a2b", "gke_other_europe-west1_cluster"
    kubeconfig(tmp_path, monkeypatch, others, others, ours)
    cluster_of(stack(tmp_path, "{kind: gke}"), None)
    assert reached == [(None, ours)]


def test_a_cluster_that_cannot_be_told_is_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reached: list[tuple[str | None, str | None]]
) -> None:
    gke = stack(tmp_path, "{kind: gke}")
    kubeconfig(tmp_path, monkeypatch, "kind-kind", "kind-kind")
    with pytest.raises(RolloutError, match=r"cannot be told; name it with --context.*pulumi stack output connect"):
        cluster_of(gke, None)
    two = ["gke_my-project_europe-west1_a", "gke_my-project_europe-west1_b"]
    kubeconfig(tmp_path, monkeypatch, "kind-kind", "kind-kind", *two)
    with pytest.raises(RolloutError, match=r"_a, gke_my-project_europe-west1_b\)"):
        cluster_of(gke, None)
    kubeconfig(tmp_path, monkeypatch, two[1], *two)
    cluster_of(gke, None)
    assert reached == [(None, two[1])]
