"""Names and values that are wrong: each by hand, what is said of it, and that its command mends it."""

import json
import shlex
import subprocess
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from infra.config_errors import quoted, shown

Make = Callable[..., Any]


@pytest.mark.parametrize("models", [{}, None])
def test_a_stack_without_a_model(stack: Make, models: dict[str, Any] | None) -> None:
    broken = stack({} if models is None else {"models": models})
    problem = broken.only()
    assert (problem.key, problem.value) == ("models", "missing" if models is None else "empty")
    assert problem.fix.startswith("pulumi config set --path models.my-model.path gs://my-bucket/my-model && ")
    broken.run(problem.fix)
    assert broken.parse().models[0].name == "my-model"


def test_weights_are_checked_even_when_their_models_cannot_be(stack: Make) -> None:
    broken = stack(models="[1, 2", v2Weight="120", v3Weight="5")
    assert {problem.key: problem.value for problem in broken.problems()} == {"models": "[1, 2", "v2Weight": "120"}
    broken = stack(models="[1, 2]", colour="red")
    assert [problem.key for problem in broken.problems()] == ["models", "colour"]


@pytest.mark.parametrize("versions", [{}, None])
def test_a_model_without_a_version(stack: Make, versions: dict[str, Any] | None) -> None:
    model = (
        {"path": "/m", "callers": "any"} if versions is None else {"path": "/m", "callers": "any", "versions": versions}
    )
    broken = stack(models={"m": model})
    problem = broken.only()
    assert problem.message == "a model has at least one version"
    broken.run(problem.fix)
    assert broken.parse().models[0].versions[0].model == 1


@pytest.mark.parametrize(
    "name", ["Inception", "in_ception", "1st", "a.b", "-a", "a-", "a b", "", "a" * 41, "ä", 'a"b', "-"]
)
def test_a_models_name_that_is_no_label(stack: Make, inception: dict[str, Any], name: str) -> None:
    broken = stack(models={name: inception["inception"]})
    problem = broken.only()
    assert problem.value == shown(name)
    assert "a model's name begins with a letter" in problem.message
    broken.run(problem.fix)
    (model,) = broken.parse().models
    assert len(model.versions) == 3


@pytest.mark.parametrize("name", ["tfserving-mesh", "gcp", "kubernetes", "pulumi"])
def test_a_models_name_that_is_somebody_elses_namespace(stack: Make, inception: dict[str, Any], name: str) -> None:
    broken = stack(models={name: inception["inception"]})
    assert "this one is somebody else's" in broken.only().message
    broken.mend()


def test_a_model_is_not_called_as_the_account_that_kubernetes_makes(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack(models={"default": inception["inception"]})
    assert "a service account's too" in broken.only().message
    broken.mend()


@pytest.mark.parametrize("name", ["V2", "2", "v.2", "v_2", "a" * 21, "v2-"])
def test_a_versions_name_that_is_no_label(stack: Make, name: str) -> None:
    broken = stack(models={"m": {"path": "/m", "callers": "any", "versions": {"v2": {"model": 1}, name: {"model": 7}}}})
    problem = broken.only()
    assert "a version's name begins with a letter" in problem.message
    broken.run(problem.fix)
    assert sorted(version.model for version in broken.parse().models[0].versions) == [1, 7]


def test_versions_of_two_models_whose_objects_would_have_one_name(stack: Make) -> None:
    first = {"path": "/m", "callers": "any", "versions": {"b-v1": {"model": 1}}}
    second = {"path": "/m", "callers": "any", "versions": {"v1": {"model": 2}}}
    broken = stack(models={"a": first, "a-b": second})
    problem = broken.only()
    assert problem.key == "models.a-b.versions.v1"
    assert problem.message == "its objects would be called a-b-v1, as those of a version of a are"
    broken.mend()


def test_a_stable_version_that_there_is_not(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"]["stable"] = "v9"
    broken = stack(models=inception, v1Weight="5")
    problem = broken.only()
    assert problem.message == "it is one of the model's versions: v1, v2, v3"
    assert problem.fix == "pulumi config rm --path models.inception.stable"
    inception["inception"]["stable"] = "V2"
    broken = stack(models=inception)
    assert broken.only().fix == "pulumi config set --path models.inception.stable v2"
    broken.mend()
    assert broken.parse().models[0].stable == "v2"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ('{"m":{"path":"/a","path":"/b","callers":"any","versions":{"v1":{"model":1}}}}', ["path"]),
        ('{"m":{"path":"/a","callers":"any","versions":{"v1":{"model":1},"v1":{"model":2}}}}', ["v1"]),
        ('{"m":{},"m":{"path":"/a","callers":"any","versions":{"v1":{"model":1}}}}', ["m"]),
    ],
)
def test_a_key_that_stands_twice_in_a_json_text(stack: Make, text: str, names: list[str]) -> None:
    broken = stack(models=text)
    assert [problem.message for problem in broken.problems()] == [
        f"it holds the key {name} twice, and one of the two values would be lost" for name in names
    ]
    broken.mend()


def test_mending_an_object_that_was_set_as_one_text_keeps_the_rest_of_it(
    stack: Make, inception: dict[str, Any]
) -> None:
    inception["inception"]["versions"]["v2"] |= {"model": 0, "replica": 3}
    broken = stack(models=json.dumps(inception), egress='{ "hosts": 5, "gcs": false }', cluster=' "x"')
    for problem in broken.problems():
        assert problem.fix.startswith(
            ("pulumi config set models '{", "pulumi config set egress '{", "pulumi config rm cl")
        )
    broken.mend()
    version = broken.parse().models[0].versions[1]
    assert (version.model, version.replicas, broken.parse().egress.gcs) == (1, 3, False)
    assert "--path" not in str(broken.problems())


def test_a_text_that_lacks_something_gets_it_without_losing_the_rest(stack: Make) -> None:
    broken = stack(models='{ "m": { "path": "/m", "callers": "any" } }')
    broken.run(broken.only().fix)
    assert [version.model for version in broken.parse().models[0].versions] == [1]
    assert broken.parse().models[0].path == "/m"


@pytest.mark.parametrize("text", ["abc", "[1", "", "NaN", "5" * 5000, "[" * 100_000, "5", "[]", '"x"', "null", "true"])
@pytest.mark.parametrize("key", ["models", "istio", "egress", "rollout", "cluster"])
def test_an_object_that_is_none(stack: Make, inception: dict[str, Any], key: str, text: str) -> None:
    broken = stack({"models": inception, key: text})
    problem = broken.problems()[0]
    assert (problem.key, problem.message) == (key, "it is an object of keys and values")
    broken.mend()


ADDRESSES = [{"cidr": "203.0.113.0/24", "reason": "where they are"}]
WRONG: dict[str, list[Any]] = {
    "namespace": ["default", "istio-system", "kube-system", "kube-x", "A", "", "a.b", "-a", "a" * 64],
    "image": [
        "tensorflow/serving",
        "tensorflow/serving:latest",
        "",
        "a b:1",
        "UP:1",
        "x@sha256:12",
        ":1",
        "http://x:1",
    ],
    "caGeneration": ["0", "-1", "1.5", "x", ""],
    "caRoot": ["0", "1+3", "two", "1+", ""],
    "caRootDays": ["0", "179", "7301", "3650d", ""],
    "caIntermediateDays": ["29", "-1", "3651", "x", ""],
    "workloadCertHours": ["0", "2161", "24h", "1.5", ""],
    "cluster.kind": ["gkee", 5, None],
    "cluster.kubeconfig": ["", " a", 5],
    "cluster.context": ["", True],
    "istio.charts": ["", "http://x", 5, "ftp://a", "-x", None],
    "istio.version": ["1", "latest", 1.3, ">=1.2.0"],
    "istio.hub": ["a b", "x:y z", "", 5],
    "istio.tag": ["", "a b", 5, None],
    "istio.gateway": ["yes", 1, None],
    "istio.values": ["x", 5],
    "istio.revisions": ["x", 5],
    "istio.revisions.x": ["x", 5, None],
    "istio.revisions.default.version": ["1", "latest", 1.3],
    "istio.revisions.default.tag": ["", "a b", 5],
    "istio.revision": ["", "A", "a.b", 5, None, "x" * 47],
    "istio.values.istiod": ["x", []],
    "egress.policy": ["DENY", "registry_only", None],
    "egress.gcs": ["x", 0],
    "egress.hosts": ["x.com", 5],
    "egress.hosts[0]": ["x.com", "*.x.com", "https://x.com", "x", 5, None, []],
    "egress.hosts[0].host": [
        *("*", "*.com", "*x.com", "x.*.com", "https://x.com", "10.0.0.1", "x", "X.com", "x.com:443", 5, None),
        *("a.svc.cluster.local", "*.cluster.local"),
    ],
    "egress.hosts[0].reason": ["", " ", "two\nlines", "x" * 301, 5, None],
    "egress.addresses": ["10.0.0.0/8", 5],
    "egress.addresses[0]": ["10.0.0.0/8", None],
    "egress.addresses[0].cidr": ["10.0.0.1", "10.0.0.1/8", "x", "10.0.0.0/33", "2001:db8::/32", 5, None],
    "egress.addresses[0].reason": ["", None],
    "egress.s3[0]": ["bucket", None],
    "egress.s3[0].region": ["", "us", 5, None],
    "egress.s3[0].bucket": ["", "A_b", "x", None],
    "egress.azure[0].account": ["", "A", "ab", 5, "x.y"],
    "rollout.largestStep": [0, 101, "x", 2.5, None],
    "rollout.shortestSoakSeconds": [-1, "10m", True],
    "rollout.zeroToAll": ["yes", 1],
    "rollout.override": [5, True, "two\nlines", "x" * 301],
    "models.m": ["x", 5, None, []],
    "models.m.path": [
        "gs:/x",
        "relative",
        "http://x",
        5,
        "gs://",
        "gs://my-bucket",
        "gs://my-bucket/",
        "",
        "/",
        "gs://b k",
        "file:///x",
        None,
    ],
    "models.m.image": ["x", 5],
    "models.m.stable": [5, True],
    "models.m.versions": ["x", 5, []],
    "models.m.versions.v1": ["x", 1, None],
    "models.m.versions.v1.model": [0, -1, 1.0, True, "x", None, 2**63],
    "models.m.versions.v1.replicas": [0, -1, "x", 1001, 2.5, None],
    "models.m.versions.v1.loadTimeoutSeconds": [0, 9, 7201, "10s", True],
    "models.m.versions.v1.image": ["x:latest", 5],
    "models.m.versions.v1.resources": ["x", None],
    "models.m.versions.v1.resources.requests": [5],
    "models.m.versions.v1.resources.requests.cpu": ["", "x", "500Mi", 0, "-1", True, "0.0001", "1e3", "5" * 400],
    "models.m.versions.v1.resources.requests.memory": ["", "1000", 5, "2GB", "2gi", "500m", "lots"],
    "models.m.versions.v1.resources.limits.cpu": ["two"],
    "models.m.versions.v1.resources.limits.memory": ["1K"],
}


@pytest.mark.parametrize(("place", "value"), [(place, value) for place, values in WRONG.items() for value in values])
def test_a_value_that_cannot_be(stack: Make, place: str, value: object) -> None:
    broken = stack(models={"m": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}}}})
    if "." in place:
        broken._set(broken._steps(place), value)
    else:
        broken.values[place] = value
    found = {problem.key: problem for problem in broken.problems()}
    assert place in found, found
    problem = found[place]
    assert problem.value == shown(value)
    assert problem.message
    assert problem.fix.startswith("pulumi config ")
    broken.mend()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("istio.vesion", "version"),
        ("istio.values.Istiod", "istiod"),
        ("istio.revisions.default.vesion", "version"),
        ("egress.host", "hosts"),
        ("cluster.Context", "context"),
        ("models.m.versions.v1.loadTimeoutSecond", "loadTimeoutSeconds"),
        ("models.m.versions.v1.load_timeout_seconds", "loadTimeoutSeconds"),
        ("models.m.versions.v1.resources.request", "requests"),
        ("models.m.versions.v1.resources.limits.memry", "memory"),
        ("egress.s3[0].buckt", "bucket"),
    ],
)
def test_a_typo_inside_an_object(stack: Make, wrong: str, right: str) -> None:
    broken = stack(models={"m": {"path": "/m", "callers": "any", "versions": {"v1": {"model": 1}}}})
    broken._set(broken._steps(wrong), "x")
    messages = [problem.message for problem in broken.problems() if problem.key == wrong]
    assert messages == [f"there is no such key; did you mean {right}?"]
    broken.mend()


def test_an_unknown_key_inside_an_object_says_which_there_are(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"]["colour"] = "red"
    broken = stack(models=inception)
    assert broken.only().message.startswith("there is no such key here; there are path, image, stable, versions, ")
    broken.mend()


@pytest.mark.parametrize(("name", "asked", "most"), [("cpu", "2", "1500m"), ("memory", "1G", "512Mi")])
def test_a_request_above_its_limit(stack: Make, inception: dict[str, Any], name: str, asked: str, most: str) -> None:
    resources = {"requests": {name: asked}, "limits": {name: most}}
    inception["inception"]["versions"]["v2"]["resources"] = resources
    broken = stack(models=inception)
    problem = broken.only()
    assert problem.key == f"models.inception.versions.v2.resources.requests.{name}"
    assert (problem.value, problem.message) == (asked, "a request is at most its limit")
    broken.mend()


def test_things_that_stand_twice_in_a_list(stack: Make, inception: dict[str, Any]) -> None:
    bucket, account = {"region": "us-east-1", "bucket": "abc"}, {"account": "abc"}
    hosts = [{"host": host, "reason": f"{index}"} for index, host in enumerate(("a.b", "a.b", "c.d", "a.b"))]
    egress = {"hosts": hosts, "s3": [bucket, dict(bucket)], "azure": [account, dict(account)]}
    broken = stack(models=inception, egress={**egress, "addresses": ADDRESSES})
    assert [problem.key for problem in broken.problems()] == [
        "egress.hosts[3]",
        "egress.hosts[1]",
        "egress.s3[1]",
        "egress.azure[1]",
    ]
    for problem in broken.problems():
        broken.run(problem.fix)
    assert [(each.host, each.reason) for each in broken.parse().egress.hosts] == [("a.b", "0"), ("c.d", "2")]


@pytest.mark.parametrize("written", [dict, partial(json.dumps, indent=1)])
def test_hosts_without_a_reason_are_kept_and_get_one(stack: Make, inception: dict[str, Any], written: Make) -> None:
    told = {"host": "b.c", "reason": "known"}
    egress = {"hosts": ["a.b", told, "*.c.d", "a.b", dict(told), 5], "addresses": ADDRESSES}
    broken = stack(models=inception, egress=written(egress))
    problem = next(each for each in broken.problems() if each.key == "egress.hosts[2]")
    assert (problem.value, problem.message) == (
        "*.c.d",
        "a host stands with the reason why models need it, as {host, reason}",
    )
    for each in broken.problems():
        broken.run(each.fix)
    sample = "the reason why models need it"
    found = {each.host: each.reason for each in broken.parse().egress.hosts}
    assert found == {"b.c": "known", "a.b": sample, "*.c.d": sample}


@pytest.mark.parametrize("needs", ["hosts", "s3", "azure"])
def test_what_pods_reach_by_name_has_an_address(stack: Make, inception: dict[str, Any], needs: str) -> None:
    item = {
        "hosts": {"host": "a.b", "reason": "x"},
        "s3": {"region": "us-east-1", "bucket": "abc"},
        "azure": {"account": "abc"},
    }[needs]
    broken = stack(models=inception, egress={needs: [item]})
    problem = broken.only()
    assert (problem.key, problem.value) == ("egress.addresses", "missing")
    assert problem.message.startswith(f"pods reach {needs} only where their addresses are listed")
    broken.mend()
    assert stack(models=inception, egress={needs: [item], "policy": "ALLOW_ANY"}).parse()


def test_helm_is_not_handed_a_number_that_json_does_not_have(stack: Make, inception: dict[str, Any]) -> None:
    broken = stack(models=inception, istio='{"values": {"istiod": {"traceSampling": NaN}}}')
    assert broken.only().key == "istio"
    broken.mend()


def test_no_command_shifts_what_the_next_one_names(stack: Make, inception: dict[str, Any]) -> None:
    s3 = ["x", {"region": "us", "bucket": "abc"}]
    broken = stack(models=inception, egress={"s3": s3, "addresses": ADDRESSES})
    for problem in broken.problems():
        broken.run(problem.fix)
    assert [(item.region, item.bucket) for item in broken.parse().egress.s3] == [("us-east-1", "abc")]


@pytest.mark.parametrize("gcs", ['"gcs": 5', '"gcs": true, "gcs": 5'])
def test_each_command_for_a_text_makes_the_same_whole(stack: Make, inception: dict[str, Any], gcs: str) -> None:
    account, other = '{"account": "abc"}', '{"account": "abd"}'
    azure = f'"azure": [{account}, {account}, {other}], "addresses": {json.dumps(ADDRESSES)}'
    broken = stack(models=inception, egress=f"{{ {azure}, {gcs} }}")
    assert len({problem.fix for problem in broken.problems()}) == 1
    broken.run(broken.problems()[-1].fix)
    assert [each.account for each in broken.parse().egress.azure] == ["abc", "abd"]


def test_all_that_is_wrong_is_told_at_once(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"]["versions"]["v2"] = {"modle": 2}
    broken = stack(
        {"incepton:v3Weight": "5"}, models=inception, v1Weight="5", v2Weight="-5", image="x", egress={"policy": "x"}
    )
    assert sorted(problem.key for problem in broken.problems()) == [
        "egress.policy",
        "image",
        "incepton:v3Weight",
        "models.inception.versions.v2.model",
        "models.inception.versions.v2.modle",
        "v1Weight",
        "v2Weight",
    ]
    broken.mend()


def test_no_value_of_a_secret_object_is_shown_and_no_command_carries_it(stack: Make, inception: dict[str, Any]) -> None:
    inception["inception"] |= {"path": "hunter1", "image": "hunter2", "stabel": "hunter3", "stable": "hunter4"}
    inception["inception"]["versions"]["V4"] = {"model": "hunter5"}
    for models in (inception, json.dumps(inception)):
        broken = stack(models=models, v2Weight="hunter6", secrets=("models", "v2Weight"))
        told = "\n".join(map(str, broken.problems()))
        assert told.count("[secret]") >= 6
        assert "hunter" not in told
        assert "pulumi config set --secret " in told


def test_a_value_of_any_length_or_kind_is_one_short_line() -> None:
    assert shown("x" * 500) == "x" * 57 + "..."
    assert shown("") == '""'
    assert shown("a\nb") == r'"a\nb"'
    assert shown({"a": [None]}) == '{"a": [null]}'


def test_a_key_with_odd_characters_stays_on_one_line(stack: Make, inception: dict[str, Any]) -> None:
    inception['a"b'], inception["a\nb"] = dict(inception["inception"]), dict(inception["inception"])
    broken = stack(models=inception)
    assert len("\n".join(map(str, broken.problems())).splitlines()) == 2
    assert {problem.key for problem in broken.problems()} == {r'models["a\"b"]', r"models[\"a\nb\"]"}


@pytest.mark.parametrize("word", ["plain", "it's", "a\nb'c\\d", "\u2028", "-5", "$HOME `x`", ""])
def test_a_word_in_a_command_is_read_by_the_shell_as_it_was(word: str) -> None:
    line = quoted(word)
    assert len(line.splitlines()) == 1
    done = subprocess.run(["bash", "-c", f"printf %s {line}"], capture_output=True, text=True, check=True)
    assert done.stdout == word


def test_a_value_that_looks_like_a_flag_is_none_in_the_command(stack: Make, inception: dict[str, Any]) -> None:
    problem = stack(models=inception, V2Weight="-5").only()
    first = shlex.split(problem.fix)[: shlex.split(problem.fix).index("&&")]
    assert first == ["pulumi", "config", "set", "--", "v2Weight", "-5"]
