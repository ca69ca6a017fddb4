"""A weight is set in a stack's file, and nothing else of the file changes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rollout.errors import RolloutError
from rollout.stack import Stack, find
from rollout.stack_file import drop, put

ROOT = Path(__file__).parents[2]
TEXT = """\
# who owns this
encryptionsalt: v1:abc
config:
  tfserving-mesh:models:
    half-plus: # the first
      path: /models/half_plus
      callers: any
      versions:
        v1: {model: 1}
        v2: {model: 2, replicas: 1}
    resnet: {path: gs://models/resnet, callers: any, versions: {v1: {model: 1}}}
  half-plus:v2Weight: 5 # see the dashboard
  # and the rest
  tfserving-mesh:namespace: "models"
"""
WEIGHT = ("config", "half-plus:v2Weight")


def test_a_value_is_changed_and_its_comment_stays() -> None:
    assert put(TEXT, WEIGHT, 25) == TEXT.replace("Weight: 5 #", "Weight: 25 #")


def test_a_new_key_is_the_last_of_its_block_and_indented_like_it() -> None:
    assert put(TEXT, ("config", "resnet:v2Weight"), 5) == TEXT + "  resnet:v2Weight: 5\n"
    stable = put(TEXT, ("config", "tfserving-mesh:models", "half-plus", "stable"), "v2")
    assert stable == TEXT.replace("replicas: 1}\n", "replicas: 1}\n      stable: v2\n")


def test_a_new_key_of_a_model_on_one_line_stays_on_that_line() -> None:
    stable = put(TEXT, ("config", "tfserving-mesh:models", "resnet", "stable"), "v1")
    assert stable == TEXT.replace("{v1: {model: 1}}}", "{v1: {model: 1}}, stable: v1}")


def test_a_key_goes_with_its_line() -> None:
    assert drop(TEXT, WEIGHT) == TEXT.replace("  half-plus:v2Weight: 5 # see the dashboard\n", "")
    assert drop(TEXT, ("config", "half-plus:v3Weight")) == TEXT


def test_an_alias_does_not_hide_where_a_model_ends() -> None:
    model = {"path": "/m", "callers": "any", "versions": {name: {"requests": {"cpu": "1m"}} for name in ("v1", "v2")}}
    model["versions"]["v2"]["requests"] = model["versions"]["v1"]["requests"]  # type: ignore[index]
    text = yaml.safe_dump({"config": {"tfserving-mesh:models": {"m": model}}}, sort_keys=False)
    assert "*id001" in text
    stable = yaml.safe_load(put(text, ("config", "tfserving-mesh:models", "m", "stable"), "v2"))
    assert stable["config"]["tfserving-mesh:models"]["m"] == {**model, "stable": "v2"}
    weight = yaml.safe_load(put(text, ("config", "v2Weight"), 5))
    assert weight["config"]["v2Weight"] == 5


def test_a_file_without_a_last_line_end_gets_its_new_line() -> None:
    assert put(TEXT.rstrip("\n"), ("config", "a:b"), 1) == TEXT + "  a:b: 1\n"


@pytest.mark.parametrize("name", ["true", "7", "null", "a: b"])
def test_a_word_that_yaml_takes_for_something_else_is_quoted(name: str) -> None:
    text = put(TEXT, ("config", "tfserving-mesh:namespace"), name)
    assert yaml.safe_load(text)["config"]["tfserving-mesh:namespace"] == name


def test_what_cannot_be_changed_alone_is_refused_with_the_command_that_does_it() -> None:
    shared = "config:\n  a: &one {x: 1}\n  b: *one\n"
    with pytest.raises(RolloutError, match=r"Run: pulumi config set --path 'a\.x' 2"):
        put(shared, ("config", "a", "x"), 2)
    with pytest.raises(RolloutError, match=r"no config\.none"):
        put(TEXT, ("config", "none", "x"), 2)


@pytest.fixture
def local(tmp_path: Path) -> Stack:
    file = tmp_path / "Pulumi.local.yaml"
    file.write_text((ROOT / file.name).read_text())
    return Stack("local", ROOT, file)


def test_weights_are_written_under_the_key_that_is_there(local: Stack) -> None:
    before = local.file.read_text()
    local.write(local.weighted("half-plus", {"v2": 40}))
    assert local.file.read_text() == before.replace("v2Weight: 5", "v2Weight: 40")
    assert local.settings.models[0].weights == {"v1": 60, "v2": 40}


def test_a_promoted_version_is_the_stable_one_and_has_no_weight_of_its_own(local: Stack) -> None:
    local.write(local.weighted("half-plus", {}, stable="v2"))
    assert "v2Weight" not in local.file.read_text()
    assert local.settings.models[0].weights == {"v1": 0, "v2": 100}
    assert local.settings.models[0].stable == "v2"
    assert "# an answer takes a millisecond" in local.file.read_text()


def test_a_wrong_weight_is_refused_and_the_file_stays(local: Stack) -> None:
    before = local.file.read_text()
    with pytest.raises(RolloutError, match="v2Weight is 120"):
        local.write(local.weighted("half-plus", {"v2": 120}))
    assert local.file.read_text() == before
    assert list(local.file.parent.iterdir()) == [local.file]


def test_a_model_is_named_where_there_are_several(local: Stack) -> None:
    assert local.model(None).name == "half-plus"
    with pytest.raises(RolloutError, match="no model nonsense; there are: half-plus"):
        local.model("nonsense")
    text = local.file.read_text().replace("  tfserving-mesh:v2Weight: 5\n", "")
    local.file.write_text(put(text, ("config", "tfserving-mesh:models", "resnet"), "x").replace(
        "resnet: x", "resnet: {path: /models/resnet, callers: any, versions: {v1: {model: 1}}}"
    ))  # fmt: skip
    local.__dict__.pop("settings", None)
    with pytest.raises(RolloutError, match="say which: half-plus, resnet"):
        local.model(None)


def test_the_stack_is_the_one_that_pulumi_has_selected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PULUMI_STACK", raising=False)
    monkeypatch.setenv("PULUMI_HOME", str(tmp_path / "home"))
    (tmp_path / "Pulumi.yaml").write_text("name: tfserving-mesh\n")
    import hashlib

    digest = hashlib.sha1(str(tmp_path / "Pulumi.yaml").encode(), usedforsecurity=False).hexdigest()
    kept = tmp_path / "home" / "workspaces" / f"tfserving-mesh-{digest}-workspace.json"
    kept.parent.mkdir(parents=True)
    kept.write_text('{"stack": "organization/tfserving-mesh/dev"}')
    assert find(None, None, tmp_path) == Stack("dev", tmp_path, tmp_path / "Pulumi.dev.yaml")
    assert find("prod", None, tmp_path).name == "prod"
    monkeypatch.setenv("PULUMI_STACK", "staging")
    assert find(None, None, tmp_path).name == "staging"
