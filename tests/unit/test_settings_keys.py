"""Weights and keys that are wrong: each by hand, what is said of it, and that its command mends it."""

from collections.abc import Callable
from typing import Any

import pytest

from infra import settings

Make = Callable[..., Any]


@pytest.mark.parametrize(
    "value", ["25.5", "abc", "", "true", "25%", " 5", "+5", "0x1F", "1e1", "٣", "5" * 5000, "-1", "101"]
)
def test_a_weight_that_is_none(stack: Make, inception: dict[str, Any], value: str) -> None:
    broken = stack(models=inception, v2Weight=value)
    problem = broken.only()
    assert (problem.key, problem.fix) == ("v2Weight", "pulumi config set v2Weight 25")
    assert problem.message == "a weight is an integer from 0 to 100"
    broken.run(problem.fix)
    assert broken.parse().models[0].versions[1].weight == 25


def test_a_message_reads_as_one_line(stack: Make, inception: dict[str, Any]) -> None:
    with pytest.raises(settings.SettingsError) as caught:
        stack(models=inception, v2Weight="120").parse()
    assert str(caught.value) == (
        "v2Weight is 120; a weight is an integer from 0 to 100. Run: pulumi config set v2Weight 25"
    )


def test_a_weight_that_is_none_is_mended_with_what_the_others_leave(stack: Make, inception: dict[str, Any]) -> None:
    problem = stack(models=inception, v2Weight="120", v3Weight="90").only()
    assert problem.fix == "pulumi config set v2Weight 10"


def test_weights_that_sum_to_more_than_there_is(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack({"inception:v3Weight": "61"}, models=inception, v2Weight="60")
    problem = broken.only()
    assert (problem.key, problem.value) == ("v2Weight + inception:v3Weight", "60 + 61 = 121")
    assert problem.fix == "pulumi config set inception:v3Weight 40"
    broken.run(problem.fix)
    assert [version.weight for version in broken.parse().models[0].versions] == [0, 60, 40]


def test_a_sum_of_secret_weights_is_not_shown(stack: Make, inception: dict[str, Any]) -> None:
    problem = stack(models=inception, v2Weight="60", v3Weight="61", secrets=("v3Weight",)).only()
    assert problem.value == "[secret]"
    assert problem.fix == "pulumi config set --secret v3Weight"


def test_a_weight_for_the_stable_version(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack(models=inception, v1Weight="95", v2Weight="5")
    problem = broken.only()
    assert "v1 is the stable version of inception, which gets what the others leave" in problem.message
    assert problem.fix == "pulumi config rm v1Weight"
    broken.mend()


@pytest.mark.parametrize("key", ["v4Weight", "inception:v4Weight", "v22Weight", "canaryWeight"])
def test_a_weight_for_a_version_that_is_not_declared(stack: Make, inception: dict[str, Any], key: str) -> None:
    broken = stack({key: "5"}, models=inception)
    problem = broken.only()
    assert (problem.key, problem.fix) == (key, f"pulumi config rm {key}")
    assert "is declared, so nothing has this weight" in problem.message
    broken.mend()


@pytest.mark.parametrize(
    ("key", "right"),
    [
        ("v2weight", "v2Weight"),
        ("V2Weight", "v2Weight"),
        ("v2Weigth", "v2Weight"),
        ("v2_weight", "v2Weight"),
        ("inception:V2Weight", "inception:v2Weight"),
        ("incepton:v2Weight", "inception:v2Weight"),
        ("Inception:v2Weight", "inception:v2Weight"),
        ("inception-:v2weight", "inception:v2weight"),
    ],
)
def test_a_typo_in_a_weights_key(stack: Make, inception: dict[str, Any], key: str, right: str) -> None:
    broken = stack({key: "5"}, models=inception)
    problem = broken.only()
    assert problem.message.endswith(f"did you mean {right}?")
    assert problem.fix == f"pulumi config set {right} 5 && pulumi config rm {key}"
    broken.mend()
    assert broken.parse().models[0].versions[1].weight == 5


@pytest.mark.parametrize(
    ("key", "value", "right"),
    [
        ("namespaces", "m", "namespace"),
        ("Image", "tensorflow/serving:2.19.1", "image"),
        ("cageneration", "3", "caGeneration"),
        ("ca-generation", "3", "caGeneration"),
        ("isto", '{"gateway":false}', "istio"),
        ("modles", "{}", "models"),
    ],
)
def test_a_typo_in_a_known_key(stack: Make, inception: dict[str, Any], key: str, value: str, right: str) -> None:
    broken = stack({key: value}, models=inception)
    assert broken.only().message.endswith(f"did you mean {right}?")
    broken.mend()
    assert key not in broken.values


def test_a_key_that_looks_like_no_other(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack({"colour": "red", "inception:colour": "red"}, models=inception)
    own, qualified = broken.problems()[1], broken.problems()[0]
    assert "there is no such key; there are v2Weight, v3Weight, cluster, istio, caGeneration" in own.message
    assert qualified.message == "there is no such key; there are v2Weight, v3Weight"
    assert own.fix == "pulumi config rm colour"
    broken.mend()


def test_a_model_with_one_version_knows_no_key_at_all(stack: Make) -> None:
    broken = stack(
        {"m:colour": "red"}, models={"m": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}}}}
    )
    assert broken.only().message == "there is no such key"


def test_a_short_weight_with_several_models_says_which_keys_there_are(stack: Make, inception: dict[str, Any]) -> None:
    models = inception | {
        "resnet": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}, "v2": {"model": 2}}}
    }
    broken = stack(models=models, v2Weight="5", v3Weight="6", v4Weight="7")
    second, third, fourth = broken.problems()
    assert "with several models a weight is one model's own: inception:v2Weight or resnet:v2Weight" in second.message
    assert second.fix == "pulumi config set inception:v2Weight 5 && pulumi config rm v2Weight"
    assert third.message.endswith(": inception:v3Weight")
    assert fourth.fix == "pulumi config rm v4Weight"
    broken.mend()
    assert [version.weight for version in broken.parse().models[0].versions] == [89, 5, 6]


def test_a_short_weight_with_several_models_that_is_none_either(stack: Make, inception: dict[str, Any]) -> None:
    models = inception | {"resnet": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}}}}
    broken = stack(models=models, v2Weight="lots", other="x")
    problem = broken.problems()[0]
    assert problem.message.startswith("a weight is an integer from 0 to 100, and with several models")
    broken.mend()


def test_one_weight_in_both_forms(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack({"inception:v2Weight": "5"}, models=inception, v2Weight="6")
    problem = broken.only()
    assert (problem.key, problem.message) == (
        "v2Weight",
        "inception:v2Weight is the same weight, and only one of the two can hold",
    )
    broken.mend()
    assert broken.parse().models[0].versions[1].weight == 5


def test_a_typo_whose_right_key_is_there_just_goes(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack(models=inception, v2Weight="5", V2Weight="6")
    assert broken.only().fix == "pulumi config rm V2Weight"


def test_a_weight_of_a_model_that_is_gone(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack({"resnet:v2Weight": "5"}, models=inception)
    assert broken.only().message == "there is no model resnet, so nothing has this weight"
    broken.mend()


def test_a_resnet_50_is_not_taken_for_a_resnet_101(stack: Make, inception: dict[str, Any]) -> None:
    inception["resnet-101"] = inception.pop("inception")
    problem = stack({"resnet-50:v2Weight": "5"}, models=inception).only()
    assert problem.fix == "pulumi config rm resnet-50:v2Weight"
    problem = stack({"resnet-50:canaryWeight": "5"}, models=inception).only()
    assert problem.fix == "pulumi config rm resnet-50:canaryWeight"
