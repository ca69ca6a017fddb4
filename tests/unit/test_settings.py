"""A config that is right: what the program makes of it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulumi
import pydantic
import pytest
import yaml
from pulumi.runtime import config as runtime

from infra import config_egress, config_istio, config_models, settings
from infra.config_rollout import RolloutSettings

ROOT = Path(__file__).parents[2]
Make = Callable[..., Any]


def weights(found: settings.Settings) -> dict[str, dict[str, int]]:
    return {model.name: model.weights for model in found.models}


def stack_file(name: str) -> dict[str, Any]:
    text = (ROOT / f"Pulumi.{name}.yaml").read_text()
    return {key.removeprefix("tfserving-mesh:"): value for key, value in yaml.safe_load(text)["config"].items()}


def as_set(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers and booleans of the top level reach the program as text."""
    return {key: json.dumps(value) if isinstance(value, int) else value for key, value in values.items()}


def test_a_canary_step_is_one_key(stack: Make, inception: dict[str, Any]) -> None:
    before, after = stack(models=inception, v2Weight="5").parse(), stack(models=inception, v2Weight="25").parse()
    assert weights(before) == {"inception": {"v1": 95, "v2": 5, "v3": 0}}
    assert weights(after) == {"inception": {"v1": 75, "v2": 25, "v3": 0}}


def test_zero_is_a_weight_like_any_other(stack: Make, inception: dict[str, Any]) -> None:
    assert weights(stack(models=inception, v2Weight="0").parse()) == {"inception": {"v1": 100, "v2": 0, "v3": 0}}


def test_with_several_models_each_has_weights_of_its_own(stack: Make, inception: dict[str, Any]) -> None:
    resnet = {"path": "/resnet", "callers": "any", "versions": {"v1": {"model": 7}, "v2": {"model": 9}}}
    models = inception | {"resnet": resnet}
    found = stack({"inception:v3Weight": "10", "resnet:v2Weight": "25"}, models=models).parse()
    assert weights(found) == {"inception": {"v1": 90, "v2": 0, "v3": 10}, "resnet": {"v1": 75, "v2": 25}}


def test_the_long_form_works_with_one_model_too(stack: Make, inception: dict[str, Any]) -> None:
    assert weights(stack({"inception:v2Weight": "5"}, models=inception).parse())["inception"]["v2"] == 5


def test_v10_comes_after_v2_and_the_first_is_the_stable_one(stack: Make) -> None:
    versions = {name: {"model": 1} for name in ("v10", "v2", "v1", "v01")}
    (model,) = stack(models={"m": {"path": "/m", "callers": "any", "versions": versions}}).parse().models
    assert [version.name for version in model.versions] == ["v01", "v1", "v2", "v10"]
    assert model.stable == "v01"


def test_another_version_can_be_the_stable_one(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"]["stable"] = "v2"
    assert weights(stack(models=inception, v1Weight="10").parse()) == {"inception": {"v1": 10, "v2": 90, "v3": 0}}


def test_the_nearest_image_counts(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"]["versions"]["v2"]["image"] = "here/serving:2"
    inception["resnet"] = {"path": "/m", "callers": "any", "image": "there/serving:3", "versions": {"v1": {"model": 1}}}
    found = stack(models=inception, image="tensorflow/serving:2.19.1").parse()
    assert [version.image for version in found.models[0].versions] == [
        "tensorflow/serving:2.19.1",
        "here/serving:2",
        "tensorflow/serving:2.19.1",
    ]
    assert found.models[1].versions[0].image == "there/serving:3"


@pytest.mark.parametrize(
    "image",
    [
        "tensorflow/serving:2.20.0-gpu",
        "localhost:5000/serving:1",
        "europe-docker.pkg.dev/team-1/models/serving_x:2.20.0",
        "serving@sha256:" + "0" * 64,
        "serving:latest@sha256:" + "a" * 64,
    ],
)
def test_an_image_may_come_from_any_registry(stack: Make, inception: dict[str, Any], image: str) -> None:
    assert stack(models=inception, image=image).parse().image == image


def test_a_version_that_says_little_gets_defaults(stack: Make, inception: dict[str, Any]) -> None:
    version = stack(models=inception).parse().models[0].versions[0]
    assert (version.model, version.replicas, version.load_timeout_seconds) == (1, 2, 600)
    assert version.resources.requests.by_name() == {"cpu": "500m", "memory": "2Gi"}
    assert version.resources.limits.by_name() == {"memory": "2Gi"}


def test_a_limit_alone_is_the_request_as_well(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"]["versions"]["v1"]["resources"] = {"limits": {"cpu": 0.5, "memory": "1Gi"}}
    resources = stack(models=inception).parse().models[0].versions[0].resources
    assert resources.requests.by_name() == resources.limits.by_name() == {"cpu": "0.5", "memory": "1Gi"}


def test_numbers_may_be_text_as_the_command_line_writes_them(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"]["versions"]["v1"] |= {"model": "3", "replicas": "4"}
    found = stack(models=inception, caGeneration="7", egress={"gcs": "false"}).parse()
    assert (found.models[0].versions[0].model, found.models[0].versions[0].replicas) == (3, 4)
    assert (found.ca.generation, found.egress.gcs) == (7, False)


def test_istio_may_come_from_a_mirror_and_its_images_follow_the_charts(stack: Make, inception: dict[str, Any]) -> None:
    istio = {"charts": "https://mirror.example.com/charts", "version": "1.31.0", "hub": "mirror.example.com:5000/istio"}
    found = stack(models=inception, istio=istio).parse().istio
    assert (found.charts, found.hub, found.tag) == (istio["charts"], istio["hub"], "1.31.0")


def test_egress_takes_hosts_addresses_buckets_and_accounts(stack: Make, inception: dict[str, Any]) -> None:
    egress = {
        "hosts": [
            {"host": "models.example.com", "reason": "where models are registered"},
            {"host": "*.cdn.example.com", "reason": "it names its hosts by the hour"},
        ],
        "addresses": [{"cidr": "203.0.113.0/24", "reason": "where all of these are"}],
        "s3": [{"region": "eu-central-1", "bucket": "my.models"}],
        "azure": [{"account": "models1"}],
    }
    found = stack(models=inception, egress=egress).parse().egress
    assert [each.host for each in found.hosts] == ["models.example.com", "*.cdn.example.com"]
    assert found.hosts[1].reason == "it names its hosts by the hour"
    assert found.cidrs == ("199.36.153.8/30", "203.0.113.0/24")
    assert (found.s3[0].region, found.s3[0].bucket, found.azure[0].account) == ("eu-central-1", "my.models", "models1")


def test_an_object_may_be_set_as_one_json_text(stack: Make, inception: dict[str, Any]) -> None:
    assert stack(models=json.dumps(inception, indent=2)).parse() == stack(models=inception).parse()


def test_what_other_programs_and_providers_keep_in_the_stack_is_theirs(stack: Make, inception: dict[str, Any]) -> None:
    theirs = {
        "gcp:project": "p",
        "kubernetes:context": "c",
        "pulumi:tags": "{}",
        "other:thing": "x",
        "gcp:v2Weight": "5",
    }
    assert stack(theirs, models=inception).parse()


def test_nothing_can_change_after_reading(stack: Make, inception: dict[str, Any]) -> None:
    found = stack(models=inception).parse()
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        found.models[0].versions[0].weight = 7


@pytest.mark.parametrize(("name", "kind"), [("local", "existing"), ("dev", "gke")])
def test_the_stacks_of_this_repository_can_be_read(stack: Make, name: str, kind: str) -> None:
    found = stack(as_set(stack_file(name))).parse()
    assert [version.weight for version in found.models[0].versions] == [95, 5]
    assert found.cluster.kind == kind


def test_the_sandbox_asks_its_sidecars_for_nothing_that_a_plain_envoy_lacks(stack: Make) -> None:
    istio = stack(as_set(stack_file("local"))).parse().istio
    assert istio.charts == ".sandbox/charts"
    assert istio.values.istiod["telemetry"] == {"enabled": False}
    assert istio.values.istiod["env"] == {
        "PILOT_ENABLE_METADATA_EXCHANGE": "false",
        "PILOT_ENABLE_ALPN_FILTER": "false",
    }
    assert istio.values.gateway["imagePullPolicy"] == istio.values.istiod["global"]["imagePullPolicy"] == "IfNotPresent"


def test_the_schema_of_the_project_is_what_the_program_reads(stack: Make, inception: dict[str, Any]) -> None:
    schema = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    fields = {info.alias or name: info for name, info in settings.StackInput.model_fields.items()}
    assert set(schema) == set(fields)
    types: dict[Any, str] = {str: "string", int: "integer", bool: "boolean"}
    for key, declared in schema.items():
        assert declared["type"] == types.get(fields[key].annotation, "object"), key
        assert declared["description"].strip(), key
    assert "default" not in schema["models"]
    defaults = {key: declared["default"] for key, declared in schema.items() if "default" in declared}
    assert stack(as_set(defaults), models=inception).parse() == stack(models=inception).parse()
    for key in defaults:
        assert stack(as_set({key: defaults[key]}), models=inception).parse(), key


def test_every_key_inside_an_object_is_described_in_the_schema() -> None:
    schema = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    sections: dict[str, list[type[pydantic.BaseModel]]] = {
        "cluster": [settings.ExistingCluster],
        "istio": [config_istio.IstioSettings, config_istio.ChartValues, config_istio.IstioRevision],
        "egress": [
            config_egress.EgressSettings,
            config_egress.EgressHost,
            config_egress.EgressAddresses,
            config_egress.S3Bucket,
            config_egress.AzureAccount,
        ],
        "rollout": [RolloutSettings],
        "models": [
            config_models.ModelInput,
            config_models.VersionInput,
            config_models.Resources,
            config_models.Quantities,
            config_models.Match,
            config_models.Mirror,
            config_models.OutlierEjection,
            config_models.Autoscaling,
            config_models.Batching,
            config_models.Warmup,
        ],
    }
    for key, shapes in sections.items():
        for shape in shapes:
            for name, info in shape.model_fields.items():
                assert (info.alias or name) in schema[key]["description"], (key, name)


@pytest.fixture
def running(monkeypatch: pytest.MonkeyPatch, inception: dict[str, Any]) -> Iterator[dict[str, str]]:
    values = {"tfserving-mesh:models": json.dumps(inception), "tfserving-mesh:v2Weight": "5"}
    monkeypatch.setattr(pulumi, "get_project", lambda: "tfserving-mesh")
    monkeypatch.setattr(pulumi, "get_stack", lambda: "test")
    monkeypatch.delenv("PULUMI_CONFIG", raising=False)
    monkeypatch.delenv("PULUMI_CONFIG_SECRET_KEYS", raising=False)
    token = runtime.CONFIG.set({})
    monkeypatch.setattr(runtime, "_SECRET_KEYS", type(runtime._SECRET_KEYS)("secrets", default=set()))
    yield values
    runtime.CONFIG.reset(token)


def test_the_running_program_reads_what_the_language_host_set(running: dict[str, str]) -> None:
    runtime.set_all_config(running, [])
    found = settings.load()
    assert (found.project, found.stack, found.models[0].versions[1].weight) == ("tfserving-mesh", "test", 5)


def test_the_running_program_reads_what_stands_in_the_environment(
    running: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PULUMI_CONFIG", json.dumps(running))
    assert settings.load().models[0].versions[1].weight == 5


@pytest.mark.parametrize("source", ["host", "environment"])
def test_a_secret_of_the_stack_is_shown_in_no_message(
    running: dict[str, str], monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    broken = running | {"tfserving-mesh:v2Weight": "hunter2"}
    secrets = ["tfserving-mesh:v2Weight"]
    if source == "host":
        runtime.set_all_config(broken, secrets)
    else:
        monkeypatch.setenv("PULUMI_CONFIG", json.dumps(broken))
        monkeypatch.setenv("PULUMI_CONFIG_SECRET_KEYS", json.dumps(secrets))
    with pytest.raises(settings.SettingsError) as caught:
        settings.load()
    assert "hunter2" not in str(caught.value)
    assert "v2Weight is [secret]" in str(caught.value)


def test_reading_the_config_does_not_cost_the_import_of_a_provider() -> None:
    program = "import sys, infra.settings; print([name for name in sys.modules if name.startswith('pulumi_')])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
