"""Configs by the thousand: the good ones are read, and of the bad ones none gets through, none ends in a traceback."""

from collections.abc import Callable
from itertools import cycle
from typing import Any, Final, TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infra.settings import SettingsError

Make: TypeAlias = Callable[..., Any]
Config: TypeAlias = dict[str, Any]
Pick: TypeAlias = Callable[[list[Any]], Any]
Fault: TypeAlias = Callable[[Config, Pick], None]

NAMES: Final = ["inception", "resnet-50", "half-plus", "bert"]
VERSIONS: Final = ["v1", "v2", "v3", "v10", "canary"]
RULES: Final = [
    "mesh",
    "callers",
    "jwt",
    "strictCallers",
    "timeoutSeconds",
    "retries",
    "matches",
    "mirror",
    "outlierEjection",
]
PODS: Final = ["autoscaling", "gpu", "batching"]
ROUNDS: Final = 8
BAD_CLUSTERS: Final[list[Config]] = [
    {"kind": "gke"},  # nowhere
    {"kind": "gke", "zone": 5, "gpu": {"count": "x"}},
    {"kind": "gke", "ranges": {"nodes": "10.4.0.0/16", "services": "x"}, "labels": []},
    {"kind": "gke", "endpoint": "ip", "kubernetesVersion": "1.20"},
    {"kind": "gke", "authorizedNetworks": [{"cidr": "0.0.0.0/0"}], "nodes": {"min": 50}},
]
MANY = settings(max_examples=1200, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def picker(choices: bytes) -> Pick:
    """Choose as the bytes say: one draw makes a whole config, for a draw of each choice would take most of the time."""
    left = cycle(choices)
    return lambda options: options[next(left) % len(options)]


def good(pick: Pick) -> tuple[Config, dict[str, dict[str, int]]]:
    """A config that is right, and the weights it gives."""
    config: Config = {"models": {}}
    expected: dict[str, dict[str, int]] = {}
    names = list(dict.fromkeys(pick(NAMES) for _ in range(pick([1, 2, 3]))))
    for name in names:
        versions = list(dict.fromkeys(pick(VERSIONS) for _ in range(pick([1, 2, 3, 4]))))
        stable = pick(versions)
        model: Config = {"path": f"gs://my-models/{name}", "callers": "any", "stable": stable, "versions": {}}
        expected[name] = dict.fromkeys(versions, 0)
        left = 100
        for number, version in enumerate(versions, start=1):
            model["versions"][version] = {"model": number}
            if version != stable and pick([True, False]):
                weight = pick([0, 1, 5, left // 2, left])
                weight = min(weight, left)
                left -= weight
                short = len(names) == 1 and pick([True, False])
                config[f"{version}Weight" if short else f"{name}:{version}Weight"] = str(weight)
                expected[name][version] = weight
        expected[name][stable] = left
        config["models"][name] = model
    return config, expected


def first_model(config: Config) -> Config:
    model: Config = next(iter(config["models"].values()))
    return model


def first_version(config: Config) -> Config:
    version: Config = next(iter(first_model(config)["versions"].values()))
    return version


def canary_key(config: Config) -> str:
    """The key of a weight that may be given."""
    name, model = next(iter(config["models"].items()))
    model["versions"].setdefault("v7", {"model": 7})
    model["stable"] = model.get("stable", "v1") if model.get("stable") != "v7" else "v7"
    return f"{name}:v7Weight"


def no_weight(config: Config, pick: Pick) -> None:
    config[canary_key(config)] = pick(["25.5", "abc", "", "true", "-1", "101", "1e2", "null", "[]", " 5", "5" * 400])


def too_much(config: Config, pick: Pick) -> None:
    name = next(iter(config["models"]))
    for version in ("v8", "v9"):
        first_model(config)["versions"][version] = {"model": 8}
        config[f"{name}:{version}Weight"] = pick(["51", "99", "100"])


def undeclared(config: Config, pick: Pick) -> None:
    config[f"{next(iter(config['models']))}:{pick(['v4', 'v99', 'blue', ''])}Weight"] = "5"


def stable_weight(config: Config, pick: Pick) -> None:
    name, model = next(iter(config["models"].items()))
    config[f"{name}:{model['stable']}Weight"] = pick(["5", "95", "x"])


def key_typo(config: Config, pick: Pick) -> None:
    key = pick(
        ["v2weight", "V2Weight", "v2Weigth", "modles", "Namespace", "imag", "x", "a b", "a.b", "weight", "Weight", "é"]
    )
    config[key] = pick(["5", "x", "", "{}"])


def model_key_typo(config: Config, pick: Pick) -> None:
    name = next(iter(config["models"]))
    config[f"{name}:{pick(['v1weight', 'weight', 'x', 'V1Weights', 'image', ''])}"] = pick(["5", "x", ""])


def namespace_typo(config: Config, pick: Pick) -> None:
    name = next(iter(config["models"]))
    wrong = pick([name.upper(), name + "x", name[:-1] + "_"])
    config[f"{wrong}:{pick(['v1', 'v2', 'other'])}Weight"] = "5"


def bad_model_name(config: Config, pick: Pick) -> None:
    name = pick(["Inception", "1st", "a_b", "", "a" * 41, "gcp", "tfserving-mesh", "a b", 'a"b', "a[0]", "a.b", "é"])
    config["models"][name] = {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}}}


def bad_version_name(config: Config, pick: Pick) -> None:
    first_model(config)["versions"][pick(["V1", "1", "v_1", "", "a" * 21, "v 1", "v.1"])] = pick(
        [{"model": 1}, {}, None, 5]
    )


def same_object_name(config: Config, pick: Pick) -> None:
    config["models"]["a"] = {"path": "/m", "callers": "any", "versions": {pick(["b-v1"]): {"model": 1}}}
    config["models"]["a-b"] = {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}}}


def bad_model(config: Config, pick: Pick) -> None:
    key = pick(["path", "image", "stable", "versions", "colour", "Path", *RULES])
    first_model(config)[key] = pick([1.5, "x", "", ["x"]] if key in RULES else [5, "x", "", True, [], {}, 1.5, ["x"]])


def bad_rule(config: Config, pick: Pick) -> None:
    model = first_model(config)
    if pick([True, False]):
        match = {pick(["header", "cookie", "hedaer"]): pick(["X", "", 5, "a b"]), "version": pick(["v1", "V1", "", 5])}
        model["matches"] = [match, pick([match, 5, {}, {"value": True}])]
    else:
        model["mirror"] = pick([{}, {"version": "v99"}, {"version": 5}, {"percent": 101, "version": "v1x"}])
    model["mesh"] = pick([True, False])


def bad_version(config: Config, pick: Pick) -> None:
    key = pick(["model", "replicas", "image", "loadTimeoutSeconds", "resources", "replica", "x y", *PODS])
    wrong = [0, -1, "x", "", True, [], 1.5, {"requests": {"cpu": "x"}}, {"x": None}]
    first_version(config)[key] = pick(wrong[1:] if key == "gpu" else wrong)


def bad_stack_value(config: Config, pick: Pick) -> None:
    wrong: Config = {
        "namespace": ["", "A b", "kube-system", "["],
        "image": ["", "A b", "[", "serving", "serving:latest"],
        "caGeneration": ["", "A b", "0", "1.5", "null"],
        "caRoot": ["", "A b", "0", "1+3", "null"],
        "caRootDays": ["", "A b", "0", "200.5", "7301", "180", "null"],
        "caIntermediateDays": ["", "A b", "0", "3651", "null"],
        "workloadCertHours": ["", "A b", "0", "2161", "null"],
        "cluster": ["", "[", "null", "5x", {"kind": "x"}, *BAD_CLUSTERS],
        "istio": ["", "[", "null", "5", {"hub": ""}],
        "egress": ["", "[", "null", "[]", {"hosts": 5}],
    }
    key = pick(list(wrong))
    config[key] = pick(wrong[key])


def bad_section(config: Config, pick: Pick) -> None:
    told = {"host": "b.c", "reason": "x"}
    hosts = [
        ["*.a.b"],
        ["a.b", "a.b"],
        ["a", told, "b.c"],
        [None, "a.b", told],
        "a.b",
        [["a.b"]],
        [told, {"host": "a"}],
    ]
    config["egress"] = {"hosts": pick(hosts), "addresses": pick([[], ["x"], [{"cidr": "10.0.0.0/8", "reason": "x"}]])}
    config["istio"] = {
        pick(["hub", "tag", "version", "charts", "gateway", "values", "vlues"]): pick(["a b", 5, None, {"x": {}}])
    }


def nothing_to_serve(config: Config, pick: Pick) -> None:
    if pick([True, False]):
        first_model(config)["versions"] = {}
    else:
        config["models"] = {}


# The last two take away what the others build on.
FAULTS: Final[list[Fault]] = [
    no_weight,
    too_much,
    undeclared,
    stable_weight,
    key_typo,
    model_key_typo,
    namespace_typo,
    bad_model_name,
    bad_version_name,
    same_object_name,
    bad_version,
    bad_stack_value,
    bad_section,
    bad_rule,
    bad_model,
    nothing_to_serve,
]


@settings(MANY, max_examples=300)
@given(choices=st.binary(min_size=40, max_size=40))
def test_every_good_config_is_read_and_its_weights_share_the_whole(stack_of: Make, choices: bytes) -> None:
    config, expected = good(picker(choices))
    found = stack_of(config).parse()
    shares = {model.name: model.weights for model in found.models}
    assert shares == expected
    for weights in shares.values():
        assert sum(weights.values()) == 100
        assert min(weights.values()) >= 0


@MANY
@given(choices=st.binary(min_size=60, max_size=60))
def test_no_bad_config_gets_through_and_each_says_how_to_mend_it(stack_of: Make, choices: bytes) -> None:
    pick = picker(choices)
    faults = {pick([*range(len(FAULTS))]) for _ in range(pick([1, 2, 3, 4]))}
    config, _ = good(pick)
    for number in sorted(faults):
        FAULTS[number](config, pick)
    stack = stack_of(config)
    problems = stack.problems()
    assert problems
    rounds = 0
    while problems and rounds < ROUNDS:
        rounds += 1
        for problem in problems:
            assert problem.key
            assert problem.value
            assert problem.message
            assert problem.fix.startswith("pulumi config ")
            assert len(str(problem).splitlines()) == 1
            stack.run(problem.fix)
        problems = stack.problems()
    assert problems == ()


@settings(MANY, max_examples=200)
@given(
    text=st.dictionaries(
        st.sampled_from(["models", "istio", "egress", "cluster", "namespace", "image", "caGeneration", "v2Weight", "x"])
        | st.text(min_size=1, max_size=8).map(lambda name: f"a:{name}"),
        st.text(max_size=20) | st.sampled_from(["{}", "[]", '{"a":{"versions":{"v1":{}}}}', '{"":1}', '{"\\ud800":1}']),
    )
)
def test_no_text_whatever_ends_in_a_traceback(stack_of: Make, text: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:  # none of them has a model with a path
        stack_of(text).parse()
    assert len(str(caught.value).splitlines()) == len(caught.value.problems)
