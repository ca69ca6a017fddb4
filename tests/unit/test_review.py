"""What a reviewer is told of a change, and what the check for weights alone lets pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rollout.cli import app
from rollout.review import ExitCode, Review, review

ROUTE = "kubernetes:networking.istio.io/v1:VirtualService"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
CLUSTER = "gcp:container/cluster:Cluster"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "v1:hunter2"}


def step(op: str, kind: str, name: str, old: Any = None, new: Any = None, **more: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {"op": op, "urn": f"urn:pulumi:dev::tfserving-mesh::{kind}::{name}", "detailedDiff": None}
    if old is not None:
        entry["oldState"] = {"type": kind, "inputs": old}
    if new is not None:
        entry["newState"] = {"type": kind, "inputs": new}
    return entry | more


def route(weights: dict[str, Any], **spec: Any) -> dict[str, Any]:
    destinations = [
        {"destination": {"host": "inception.models.svc.cluster.local", "subset": version}, "weight": weight}
        for version, weight in weights.items()
    ]
    metadata = {"name": "inception", "namespace": "models"}
    return {"metadata": metadata, "spec": {"hosts": ["inception"], "http": [{"route": destinations}], **spec}}


def moved(old: dict[str, Any], new: dict[str, Any], **more: Any) -> dict[str, Any]:
    return step("update", ROUTE, "inception-virtual-service", route(old), route(new), **more)


def digest(*steps: dict[str, Any], **more: Any) -> str:
    stack = step("same", "pulumi:pulumi:Stack", "tfserving-mesh-dev", {}, {})
    return json.dumps({"steps": [stack, *steps], "changeSummary": {"same": 1}} | more)


def stream(*events: dict[str, Any]) -> str:
    return "\n".join(json.dumps({"sequence": number} | event) for number, event in enumerate(events))


def reviewed(*steps: dict[str, Any], **more: Any) -> str:
    return review(digest(*steps, **more)).markdown


def checked(*steps: dict[str, Any], **more: Any) -> Review:
    return review(digest(*steps, **more), weights_only=True)


def first_line(markdown: str) -> str:
    return markdown.split("\n")[1].removeprefix("### `dev`: ")


STEP = moved({"v1": 95, "v2": 5}, {"v1": 75, "v2": 25})


def test_a_step_is_told_in_the_first_line_and_its_comment_can_be_found_again() -> None:
    markdown = reviewed(STEP)
    assert markdown.startswith("<!-- tfserving-mesh review: dev -->\n### `dev`: ")
    assert first_line(markdown) == "`inception`: `v2` 5 % → 25 %, nothing else changes"


def test_a_cluster_that_is_replaced_is_the_first_thing_one_reads() -> None:
    namespace = {"metadata": {"name": "models"}}
    markdown = reviewed(
        step("replace", "kubernetes:core/v1:Namespace", "models", namespace, namespace),
        step(
            "replace",
            CLUSTER,
            "serving",
            {"location": "europe-west1"},
            {"location": "europe-west4"},
            replaceReasons=["location"],
            detailedDiff={"location": {"kind": "update-replace", "inputDiff": True}},
        ),
        STEP,
    )
    assert first_line(markdown).startswith(
        "The cluster `serving` will be REPLACED: everything on it is lost and made anew"
    )
    assert "Because of `location`: `europe-west1` → `europe-west4`." in markdown
    assert markdown.index("[!CAUTION]") < markdown.index("#### Traffic")


@pytest.mark.parametrize("streaming", [False, True])
def test_a_region_change_of_a_protected_cluster_names_the_cluster_in_the_first_line(streaming: bool) -> None:  # noqa: FBT001 - a case
    change = step("replace", CLUSTER, "serving", {}, {})
    message = f'unable to replace resource "{change["urn"]}"\nas it is currently marked for protection. To unprotect'
    text = digest(change, diagnostics=[{"severity": "error", "message": f"error: {message}"}])
    if streaming:
        text = stream(
            {"resourcePreEvent": {"metadata": {"op": "replace", "urn": change["urn"]}}},
            {"diagnosticEvent": {"severity": "error", "prefix": "error: ", "message": message}},
            {"summaryEvent": {"resourceChanges": {}, "result": "failed"}},
        )
    result = review(text, weights_only=True)
    assert first_line(result.markdown) == (
        "The preview failed: the cluster `serving` would have to be REPLACED, which its protection forbids"
    )
    assert result.code is ExitCode.MORE_THAN_WEIGHTS


def test_ended_deletion_protection_is_a_warning() -> None:
    old, new = {"deletionProtection": True}, {"deletionProtection": False}
    assert "**will no longer be PROTECTED**" in reviewed(step("update", CLUSTER, "serving", old, new))
    assert "PROTECTED" not in reviewed(step("update", CLUSTER, "serving", new, old))


def test_ended_protection_of_what_stays_otherwise_is_a_warning_and_more_than_weights() -> None:
    entry = step("same", CLUSTER, "serving", {}, {})
    entry["oldState"]["protect"] = True
    result = checked(STEP, entry)
    assert first_line(result.markdown).startswith("The cluster `serving` will no longer be PROTECTED")
    assert "- unprotect cluster `serving`" in result.markdown
    assert result.code is ExitCode.MORE_THAN_WEIGHTS


def test_what_an_interrupted_replacement_left_is_deleted_and_never_passes() -> None:
    result = checked(step("delete-replaced", CLUSTER, "serving", {}))
    assert first_line(result.markdown).startswith("The cluster `serving` will be DELETED")
    assert result.code is ExitCode.MORE_THAN_WEIGHTS


def test_an_autoscaler_that_leaves_the_config_is_deleted_and_the_note_of_it_is_no_key() -> None:
    autoscaler, note = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler", "pulumi:index:Stash"
    gone = [step(op, autoscaler, "inception-v1-autoscaler", {}) for op in ("delete-replaced", "remove-pending-replace")]
    markdown = reviewed(*gone, step("replace", note, "inception-v1-scaling", {"input": "a"}, {"input": "b"}))
    assert "CAUTION" not in markdown
    assert "- delete HorizontalPodAutoscaler `inception-v1-autoscaler`" in markdown
    assert "note of who scales (Stash) `inception-v1-scaling`" in markdown


def test_a_preview_that_failed_without_a_word_does_not_pass() -> None:
    events: list[dict[str, Any]] = [
        {"resourcePreEvent": {"metadata": STEP | {"old": STEP["oldState"], "new": STEP["newState"]}}},
        {"summaryEvent": {"resourceChanges": {"update": 1}, "result": "failed"}},
    ]
    result = review(stream(*events), weights_only=True)
    assert first_line(result.markdown).startswith("The preview failed: it gives no reason")
    assert result.code is ExitCode.MORE_THAN_WEIGHTS
    events[-1]["summaryEvent"]["result"] = "succeeded"
    assert review(stream(*events), weights_only=True).code is ExitCode.FINE


def test_a_removed_subset_alone_is_no_loss_but_a_replaced_one_is() -> None:
    rule = "kubernetes:networking.istio.io/v1:DestinationRule"
    assert "CAUTION" not in reviewed(step("delete", rule, "inception-v2-subset", {}))
    assert "requests for this version fail" in reviewed(step("replace", rule, "inception-v2-subset", {}, {}))


def test_access_rules_that_go_with_their_model_are_no_loss_but_replaced_ones_are() -> None:
    rules = "kubernetes:security.istio.io/v1:AuthorizationPolicy"
    assert "CAUTION" not in reviewed(step("delete", rules, "inception-callers", {}))
    assert "whoever reaches a pod may call it" in reviewed(step("replace", rules, "inception-callers", {}, {}))


@pytest.mark.parametrize(
    "more",
    [
        step("update", DEPLOYMENT, "inception-v2", {"spec": {"replicas": 1}}, {"spec": {"replicas": 2}}),
        step("create", "kubernetes:core/v1:ConfigMap", "x", None, {}),
        step("delete", ROUTE, "resnet-virtual-service", route({"v1": 100})),
        step("replace", ROUTE, "resnet-virtual-service", route({"v1": 100}), route({"v1": 100})),
        step("update", ROUTE, "x", route({"v1": 100}), route({"v1": 100}, gateways=["open/gateway"])),
        step("update", ROUTE, "x", route({"v1": 100}), route({"v1": 90, "v2": 10})),
        step("update", ROUTE, "x", route({"v1": 90, "v2": 10}), route({"v1": 90, "v3": 10})),
        step("update", ROUTE, "x", route({"v1": 90, "v2": 10}), route({"v1": 90, "v2": UNKNOWN})),
        step("update", ROUTE, "x", route({"v1": 90, "v2": 10}), route({"v1": 90, "v2": "[secret]"})),
        step("update", ROUTE, "x", route({"v1": 100}), route({"v1": 100})),
        moved({"v1": 90, "v2": 10}, {"v1": 80, "v2": 20}, detailedDiff={"spec.http[0].timeout": {"kind": "update"}}),
        step("import", CLUSTER, "serving", None, {}),
        step("something-new", CLUSTER, "serving", {}, {}),
    ],
)
def test_whatever_goes_beyond_weights_fails_the_check_and_is_named(more: dict[str, Any]) -> None:
    result = checked(STEP, more)
    assert result.code is ExitCode.MORE_THAN_WEIGHTS
    named = result.markdown.split("This goes beyond weights:")[1].split("####")[0]
    assert "- " + more["op"] in named
    assert "nothing else changes" not in result.markdown


def test_weights_alone_pass_the_check_whatever_the_plugins_diff_looks_like() -> None:
    detailed = {f"spec.http[0].route[{index}].weight": {"kind": "update"} for index in (0, 1)}
    steps = [
        STEP,
        STEP | {"detailedDiff": detailed},
        STEP | {"diffReasons": ["spec"]},
    ]
    for entry in steps:
        result = checked(entry)
        assert result.code is ExitCode.FINE
        assert "Weights only: yes" in result.markdown
    assert checked().code is ExitCode.FINE


def test_a_diff_of_the_whole_spec_does_not_pass_when_something_in_it_is_hidden() -> None:
    old, new = route({"v1": 95, "v2": 5}, exportTo=SECRET), route({"v1": 75, "v2": 25}, exportTo=SECRET)
    assert checked(step("update", ROUTE, "x", old, new, diffReasons=["spec"])).code is ExitCode.MORE_THAN_WEIGHTS


def test_stack_outputs_may_repeat_the_weights_and_nothing_else() -> None:
    def events(new: dict[str, Any]) -> str:
        urn = "urn:pulumi:dev::tfserving-mesh::pulumi:pulumi:Stack::tfserving-mesh-dev"
        old = {"models": {"inception": {"weights": {"v1": 95, "v2": 5}, "url": "http://inception"}}}
        state = {"op": "same", "urn": urn, "type": "pulumi:pulumi:Stack", "old": {"outputs": old}}
        return stream(
            {"resourcePreEvent": {"metadata": state | {"new": {}}}},
            {"resOutputsEvent": {"metadata": state | {"new": {"outputs": new}}}},
            {"summaryEvent": {"resourceChanges": {"same": 1}, "result": "succeeded"}},
        )

    weights = {"weights": {"v1": 75, "v2": 25}}
    same = review(events({"models": {"inception": weights | {"url": "http://inception"}}}), weights_only=True)
    assert same.code is ExitCode.FINE
    other = review(events({"models": {"inception": weights | {"url": "http://elsewhere"}}}), weights_only=True)
    assert other.code is ExitCode.MORE_THAN_WEIGHTS
    assert "`models.inception.url`" in other.markdown


def test_no_secret_is_printed_in_any_of_its_forms() -> None:
    hidden = {"password": "hunter2", "data": SECRET, "other": "[secret]", "certs": {"ca.pem": "hunter2"}}
    shown = {"password": "hunter3", "data": "plain", "other": "plain", "certs": {"ca.pem": "hunter3"}}
    markdown = reviewed(step("update", "kubernetes:core/v1:Secret", "key", hidden, shown))
    assert "hunter" not in markdown
    assert "`other`: secret, not shown → `plain`" in markdown
    assert "`data`: secret, not shown → `plain`" in markdown


def test_what_is_not_known_yet_is_said_so() -> None:
    old, new = {"spec": {"template": {"image": "a"}}}, {"spec": {"template": {"image": UNKNOWN}}}
    markdown = reviewed(step("update", DEPLOYMENT, "x", old, new))
    assert "`image`: `a` → known after apply" in markdown
    assert UNKNOWN not in markdown


def test_a_pod_restart_says_how_many_and_why_and_scaling_is_none() -> None:
    def deployment(image: str, replicas: int) -> dict[str, Any]:
        template = {"spec": {"containers": [{"image": image}]}}
        return {"metadata": {"name": "x"}, "spec": {"replicas": replicas, "template": template}}

    restart = reviewed(step("update", DEPLOYMENT, "x", deployment("a", 3), deployment("b", 3)))
    assert "- Deployment `x` (3 pods) restarts: `spec.containers[0].image`: `a` → `b`\n" in restart
    scaled = reviewed(step("update", DEPLOYMENT, "x", deployment("a", 3), deployment("a", 1)))
    assert "- Deployment `x` (1 pod) is scaled; running pods stay: `spec.replicas`: `3` → `1`\n" in scaled
    assert "restart" not in scaled


def test_other_helm_values_of_istiod_may_restart_it() -> None:
    old, new = ({"chart": "oci://x/istiod", "values": {"pilot": {"cpu": cpu}}} for cpu in (1, 2))
    markdown = reviewed(step("update", "kubernetes:helm.sh/v3:Release", "istiod", old, new))
    assert "the pods of `istiod` may restart" in first_line(markdown)
    assert "`values.pilot.cpu`: `1` → `2`. Proxies take up injection settings" in markdown


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "its output is empty"),
        ("error: no stack named 'dev' found", "no stack named"),
        (digest(STEP)[:-30], "cut short"),
        ("[1, 2]", "no JSON"),
        ('{"answer": 42}', "not of"),
        ('{"steps": [{"op": "same"}]}', "no URN"),
        ('{"steps": 5}', "not of"),
        ('{"sequence": 0, "preludeEvent": {"config": {}}}', "cut short"),
        ('{"sequence": 0, "preludeEvent": {"config": {}}}\n{"sequence": 1, "resource', "cut short"),
        ('{"steps": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_what_is_no_preview_is_said_so_and_never_passes(text: str, why: str) -> None:
    for weights_only in (False, True):
        result = review(text, "dev", weights_only=weights_only)
        assert first_line(result.markdown).startswith("The preview failed: ")
        assert "it cannot be read: " in result.markdown
        assert why in result.markdown
        assert result.code is ExitCode.UNREADABLE


def test_a_preview_of_nothing_and_one_that_failed_do_not_pass_the_check() -> None:
    for text in ("{}", digest(diagnostics=[{"severity": "error", "message": "error: boom\n"}])):
        result = review(text, weights_only=True)
        assert "The preview failed: " in result.markdown
        assert result.code is ExitCode.MORE_THAN_WEIGHTS
        assert review(text).code is ExitCode.FINE


def test_of_a_python_traceback_the_first_line_has_the_last() -> None:
    trace = "error: Program failed:\nTraceback (most recent call last):\n  File x\nValueError: v2Weight is 120\n"
    markdown = reviewed(diagnostics=[{"severity": "error", "message": trace}])
    assert first_line(markdown).startswith("The preview failed: `ValueError: ")
    assert "v2Weight is 120" in first_line(markdown)


def test_a_drifted_route_is_told_from_what_is_live_to_what_will_be() -> None:
    live = step("update", ROUTE, "inception-virtual-service", route({"v1": 95, "v2": 5}), route({"v1": 46, "v2": 54}))
    back = step("update", ROUTE, "inception-virtual-service", route({"v1": 46, "v2": 54}), route({"v1": 95, "v2": 5}))
    assert first_line(reviewed(live, back)) == "`inception`: `v2` 54 % → 5 %, nothing else changes"


def test_the_command_reads_a_file_or_standard_input_and_writes_a_file(tmp_path: Path) -> None:
    plan, output = tmp_path / "plan.json", tmp_path / "comment.md"
    plan.write_text(digest(STEP))
    done = CliRunner().invoke(app, ["review", str(plan), "--stack", "prod", "--output", str(output)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert output.read_text().startswith("<!-- tfserving-mesh review: prod -->\n### `prod`: `inception`")
    done = CliRunner().invoke(app, ["review", "--weights-only"], input=digest(STEP))
    assert done.exit_code == 0
    assert "nothing else changes" in done.stdout
    assert CliRunner().invoke(app, ["review", str(tmp_path / "absent")]).exit_code == 2
    assert CliRunner().invoke(app, ["review", "--weights-olny"], input="{}").exit_code == 2
