"""A model's rules and its versions' ways of running: what is read, and what is said of what cannot be."""

from collections.abc import Callable
from typing import Any

import pytest

Make = Callable[..., Any]


@pytest.fixture
def inception_with(stack: Make, inception: dict[str, Any]) -> Make:
    """A stack whose model has more keys than path and versions."""

    def make(**more: Any) -> Any:
        return stack(models={"inception": inception["inception"] | more})

    return make


def test_a_model_that_says_nothing_is_routed_safely(inception_with: Make) -> None:
    (model,) = inception_with().parse().models
    assert (model.timeout_seconds, model.retries, model.matches, model.mirror) == (30, 2, (), None)
    ejection = model.outlier_ejection
    assert (ejection.enabled, ejection.consecutive_errors, ejection.max_percent) == (True, 5, 50)


@pytest.mark.parametrize(("value", "text"), [("v2", "v2"), (2, "2"), (True, "true"), ("a b", "a b")])
def test_a_matchs_value_is_a_text_however_it_was_typed(inception_with: Make, value: Any, text: str) -> None:
    (model,) = inception_with(matches=[{"header": "x-v", "value": value, "version": "v2"}]).parse().models
    assert model.matches[0].value == text


@pytest.mark.parametrize(
    ("match", "key", "said"),
    [
        ({"header": "X-Version"}, "header", "a header's name has a-z, 0-9, - and _"),
        ({"header": "host"}, "header", "is none of authority, cookie, host"),
        ({"header": "cookie"}, "header", "is none of authority, cookie, host"),
        ({"header": "x v"}, "header", "a header's name has"),
        ({"header": None, "cookie": "a b"}, "cookie", "a cookie's name has no space"),
        ({"header": None}, "header", "a match names a header or a cookie"),
        ({"cookie": "a"}, "cookie", "a match is by header or by cookie"),
        ({"value": ""}, "value", "it is the text to compare with"),
        ({"value": " x"}, "value", "it is the text to compare with"),
        ({"value": None}, "value", "it is the text to compare with"),
        ({"header": None, "cookie": "a", "value": "a;b"}, "value", "a cookie's value has no space"),
        ({"version": "v9"}, "version", "it is one of the model's versions: v1, v2, v3"),
        ({"version": "V2"}, "version", "it is one of the model's versions: v1, v2, v3"),
        ({"version": None}, "version", "it is one of the model's versions: v1, v2, v3"),
    ],
)
def test_a_match_that_cannot_be(inception_with: Make, match: dict[str, Any], key: str, said: str) -> None:
    whole = {"header": "x-version", "value": "2", "version": "v2"} | match
    broken = inception_with(matches=[{name: value for name, value in whole.items() if value is not None}])
    problem = broken.only()
    assert problem.key == f"models.inception.matches[0].{key}"
    assert said in problem.message
    broken.mend()


def test_a_match_by_the_header_that_names_the_model_from_outside(stack: Make, inception: Any) -> None:
    matches = [{"header": "model-name", "value": "2", "version": "v2"}]
    models = {"inception": inception["inception"] | {"matches": matches}}
    assert stack(models=models).parse().models[0].matches[0].header == "model-name"
    broken = stack({"host": "models.example.com", "plainHttp": "true"}, models=models)
    problem = broken.only()
    assert problem.key == "models.inception.matches[0].header"
    assert "is model-name" in str(problem)
    assert "which model a gRPC request is for" in problem.message
    assert problem.fix == "pulumi config set --path 'models.inception.matches[0].header' x-version"
    broken.mend()


def test_a_match_that_can_never_be_reached(inception_with: Make) -> None:
    matches = [{"header": "x-version", "value": "2", "version": version} for version in ("v2", "v3", "v1")]
    broken = inception_with(matches=matches)
    assert [problem.key for problem in broken.problems()] == [
        "models.inception.matches[2]",
        "models.inception.matches[1]",
    ]
    broken.mend()
    assert [match.version for match in broken.parse().models[0].matches] == ["v2"]


def test_a_mirror_of_a_model_with_one_version(stack: Make) -> None:
    models = {"m": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}}, "mirror": {"version": "v1"}}}
    broken = stack(models=models)
    assert broken.only().message == "the model has one version, which gets every request already"
    broken.mend()


@pytest.mark.parametrize(
    ("more", "key", "fix"),
    [
        ({"mirror": {"version": "v9"}}, "mirror.version", "rm --path models.inception.mirror"),
        ({"mirror": {"version": "v_2"}}, "mirror.version", "set --path models.inception.mirror.version v2"),
        ({"mirror": {"percent": 5}}, "mirror.version", "rm --path models.inception.mirror"),
        ({"mirror": {"version": "v2", "percent": 101}}, "mirror.percent", "mirror.percent 100"),
        (
            {"mirror": {"version": "v2", "percents": 5}},
            "mirror.percents",
            "set --path models.inception.mirror.percent 5",
        ),
        ({"mirror": "v2"}, "mirror", "rm --path models.inception.mirror"),
        ({"matches": {"header": "x"}}, "matches", "rm --path models.inception.matches"),
        ({"timeoutSeconds": 0}, "timeoutSeconds", "timeoutSeconds 30"),
        ({"timeoutSeconds": "30s"}, "timeoutSeconds", "timeoutSeconds 30"),
        ({"retries": -1}, "retries", "retries 2"),
        ({"retries": 11}, "retries", "retries 2"),
        ({"outlierEjection": {"maxPercent": 100}}, "outlierEjection.maxPercent", "maxPercent 50"),
        ({"outlierEjection": {"consecutiveErrors": 0}}, "outlierEjection.consecutiveErrors", "consecutiveErrors 5"),
        ({"outlierEjection": {"ejectionSeconds": "x"}}, "outlierEjection.ejectionSeconds", "ejectionSeconds 30"),
        ({"outlierEjection": False}, "outlierEjection", "rm --path models.inception.outlierEjection"),
        ({"timeoutSecond": 5}, "timeoutSecond", "set --path models.inception.timeoutSeconds 5"),
    ],
)
def test_a_rule_that_cannot_be(inception_with: Make, more: dict[str, Any], key: str, fix: str) -> None:
    broken = inception_with(**more)
    problem = broken.only()
    assert problem.key == f"models.inception.{key}"
    assert fix in problem.fix
    broken.mend()


def versioned(stack: Make, **version: Any) -> Any:
    return stack(models={"m": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1} | version}}})


def test_a_version_that_says_little_runs_plainly(stack: Make) -> None:
    (version,) = versioned(stack).parse().models[0].versions
    assert (version.autoscaling, version.gpu, version.batching) == (None, 0, None)
    (version,) = versioned(stack, autoscaling={}, batching={}).parse().models[0].versions
    assert (version.autoscaling.min, version.autoscaling.max, version.autoscaling.cpu_percent) == (2, 10, 70)
    assert set(version.batching.model_dump().values()) == {None}


@pytest.mark.parametrize(
    ("stack_image", "model_image", "used"),
    [
        (None, None, "tensorflow/serving:2.20.0-gpu"),
        ("tensorflow/serving:2.20.0", None, "tensorflow/serving:2.20.0-gpu"),  # as Pulumi hands its default over
        ("here/serving:1", None, "here/serving:1"),
        (None, "tensorflow/serving:2.20.0", "tensorflow/serving:2.20.0"),
    ],
)
def test_a_gpu_changes_no_image_that_somebody_chose(
    stack: Make, stack_image: str | None, model_image: str | None, used: str
) -> None:
    model = {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1, "gpu": 1}}}
    config = stack(models={"m": model | ({"image": model_image} if model_image else {})})
    if stack_image:
        config.values["image"] = stack_image
    assert config.parse().models[0].versions[0].image == used


@pytest.mark.parametrize(
    ("version", "key", "fix"),
    [
        ({"replicas": 2, "autoscaling": {}}, "replicas", "rm --path models.m.versions.v1.replicas"),
        ({"autoscaling": {"min": 5, "max": 3}}, "autoscaling.max", "autoscaling.max 5"),
        ({"autoscaling": {"min": 11}}, "autoscaling.max", "autoscaling.max 11"),
        ({"autoscaling": {"min": 0}}, "autoscaling.min", "autoscaling.min 2"),
        ({"autoscaling": {"cpuPercent": "70%"}}, "autoscaling.cpuPercent", "autoscaling.cpuPercent 70"),
        ({"autoscaling": {"maximum": 5}}, "autoscaling.maximum", "rm --path models.m.versions.v1.autoscaling.maximum"),
        ({"autoscaling": {"cpupercent": 5}}, "autoscaling.cpupercent", "autoscaling.cpuPercent 5"),
        ({"autoscaling": True}, "autoscaling", "rm --path models.m.versions.v1.autoscaling"),
        ({"gpu": -1}, "gpu", "gpu 1"),
        ({"gpu": True}, "gpu", "gpu 1"),
        ({"batching": {"maxBatchSize": 0}}, "batching.maxBatchSize", "maxBatchSize 32"),
        ({"batching": {"batchTimeoutMicros": -1}}, "batching.batchTimeoutMicros", "batchTimeoutMicros 1000"),
        ({"batching": {"maxEnqueuedBatches": 0}}, "batching.maxEnqueuedBatches", "maxEnqueuedBatches 100"),
        ({"batching": {"numBatchThreads": 0}}, "batching.numBatchThreads", "numBatchThreads 4"),
        ({"warmup": {}}, "warmup.request", "request.instances[0]' 1"),
        ({"warmup": {"request": {"instance": [1]}}}, "warmup.request", "rm --path"),
        ({"warmup": {"request": "x"}}, "warmup.request", "rm --path"),
        ({"warmup": {"request": {"instances": ["x" * 100_000]}}}, "warmup.request", "rm --path"),
        ({"warmup": {"request": {"inputs": [1]}, "count": 0}}, "warmup.count", "warmup.count 10"),
        ({"batching": {"max_batch_size": 8}}, "batching.max_batch_size", "batching.maxBatchSize 8"),
    ],
)
def test_a_version_that_cannot_run_so(stack: Make, version: dict[str, Any], key: str, fix: str) -> None:
    broken = versioned(stack, **version)
    problem = broken.only()
    assert problem.key == f"models.m.versions.v1.{key}"
    assert fix in problem.fix
    broken.mend()


@pytest.mark.parametrize("off", [False, "false"])
@pytest.mark.parametrize("key", ["v2Weight", "inception:v2Weight"])
def test_without_the_mesh_a_weight_is_an_error_that_says_why(inception_with: Make, off: Any, key: str) -> None:
    broken = inception_with(mesh=off, callers=None)
    broken.values[key] = "5"
    problem = broken.only()
    assert (problem.key, problem.fix) == (key, f"pulumi config rm {key}")
    assert "nothing can split requests; all of them go to the stable version of inception" in problem.message
    broken.mend()
    assert broken.parse().models[0].weights == {"v1": 100, "v2": 0, "v3": 0}


def test_without_the_mesh_a_weight_of_zero_is_what_holds(inception_with: Make) -> None:
    config = inception_with(mesh=False, callers=None)
    config.values["v2Weight"] = "0"
    assert config.parse().models[0].mesh is False


@pytest.mark.parametrize(
    "more",
    [
        {"callers": ["web/shop"]},
        {"strictCallers": True},
        {"matches": [{"header": "x", "value": "y", "version": "v2"}]},
        {"mirror": {"version": "v2"}},
        {"retries": 1},
        {"outlierEjection": {"maxPercent": 20}},
    ],
)
def test_without_the_mesh_what_proxies_do_is_an_error(inception_with: Make, more: dict[str, Any]) -> None:
    inception_with(**more).parse()
    broken = inception_with(**{"mesh": False, "callers": None} | more)
    problem = broken.only()
    assert problem.key == f"models.inception.{next(iter(more))}"
    assert problem.message == "with mesh: false there are no proxies, and nobody to do this"
    broken.mend()


@pytest.mark.parametrize("key", ["mesh", "strictCallers"])
def test_a_switch_is_true_or_false(inception_with: Make, key: str) -> None:
    broken = inception_with(**{key: "maybe"})
    assert (broken.only().key, broken.only().message) == (f"models.inception.{key}", "it is true or false")
    broken.mend()
