"""The stacks that come with the project can be used as they are."""

import json
from pathlib import Path

import pytest
import yaml

from infra.settings import parse

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("file", sorted(ROOT.glob("Pulumi.*.yaml")), ids=lambda file: str(file.name))
def test_a_stack_that_comes_with_the_project_has_no_error(file: Path) -> None:
    config = yaml.safe_load(file.read_text())["config"]
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in config.items()}
    settings = parse(texts, project="tfserving-mesh", stack=file.name.split(".")[1])
    assert [sum(model.weights.values()) for model in settings.models] == [100] * len(settings.models)


def test_the_stack_for_a_cluster_of_ones_own_takes_released_istio() -> None:
    config = yaml.safe_load((ROOT / "Pulumi.own.yaml").read_text())["config"]
    assert not {"charts", "hub", "tag"} & set(config["tfserving-mesh:istio"])


def test_production_has_no_single_pod_that_all_requests_or_all_new_pods_wait_for() -> None:
    config = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"]
    values = config["tfserving-mesh:istio"]["values"]
    assert values["istiod"]["autoscaleMin"] > 1, "its chart then makes a disruption budget by itself"
    assert values["gateway"]["autoscaling"]["minReplicas"] > 1
    assert values["gateway"]["podDisruptionBudget"] == {"maxUnavailable": 1}


def test_no_key_but_the_models_has_to_be_given() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    assert {key for key, entry in declared.items() if "default" not in entry} == {"models"}


def test_a_stack_of_nothing_but_the_schemas_defaults_and_a_model_has_no_error() -> None:
    declared = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    defaults = {key: entry["default"] for key, entry in declared.items() if "default" in entry}
    config = {
        "models": {"m": {"path": "gs://my-models/m", "callers": "any", "versions": {"v1": {"model": 1}}}},
        **defaults,
    }
    texts = {
        f"tfserving-mesh:{key}": value if isinstance(value, str) else json.dumps(value) for key, value in config.items()
    }
    assert parse(texts, project="tfserving-mesh", stack="test").models[0].name == "m"
