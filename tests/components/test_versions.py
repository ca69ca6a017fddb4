"""How a version's pods run: how many, where, on what, how they leave, and what a model without the mesh is."""

import json
from typing import Any

import pytest

from infra.model_server import DRAIN_PERIOD
from tests.components.conftest import Program, Record, Registered
from tests.components.test_program import (
    DEPLOYMENT,
    DESTINATION_RULE,
    SERVICE,
    STASH,
    VIRTUAL_SERVICE,
    deploy,
    needs,
)

AUTOSCALER = "kubernetes:autoscaling/v2:HorizontalPodAutoscaler"
BUDGET = "kubernetes:policy/v1:PodDisruptionBudget"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def serving(record: Record, first: dict[str, Any] | None = None, **model: Any) -> Program:
    """A stack of one model of two versions, with what is given of the first and of the model."""
    versions = {"v1": {"model": 1} | (first or {}), "v2": {"model": 2}}
    models = {"inception": {"path": "gs://my-models/inception", "callers": "any", "versions": versions} | model}
    return deploy(record, models=models, v2Weight=None)


def pod(program: Program, version: str = "v1") -> dict[str, Any]:
    template: dict[str, Any] = program.one(DEPLOYMENT, f"inception-{version}").inputs["spec"]["template"]
    return template


def container(program: Program, version: str = "v1") -> dict[str, Any]:
    (found,) = pod(program, version)["spec"]["containers"]
    return dict(found)


def test_an_autoscaler_decides_on_the_pods_and_up_does_not_fight_it(record: Record) -> None:
    program = serving(record, {"autoscaling": {"min": 3, "max": 7, "cpuPercent": 60}})
    deployment = program.one(DEPLOYMENT, "inception-v1")
    assert deployment.ignore_changes == ("spec.replicas",)
    assert deployment.inputs["spec"]["replicas"] == 3, "without a count a new Deployment has one pod"
    assert program.one(DEPLOYMENT, "inception-v2").ignore_changes == ()
    spec = program.one(AUTOSCALER).inputs["spec"]
    assert spec["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "inception-v1"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (3, 7)
    (metric,) = spec["metrics"]
    assert metric["containerResource"]["container"] == container(program)["name"]
    assert metric["containerResource"]["target"]["averageUtilization"] == 60


def test_an_autoscaler_goes_with_the_note_of_who_scales_and_the_pods_are_counted_after_it(record: Record) -> None:
    without, scaled = serving(record), serving(record, {"autoscaling": {"min": 2}})
    triggers = {}
    for program, key in ((without, "without"), (scaled, "scaled")):
        note = next(each for each in program.of(STASH) if each.name == "inception-v1-scaling")
        assert note.delete_before_replace
        assert note.name in needs(program, program.one(DEPLOYMENT, "inception-v1"))
        triggers[key] = note.replacement_trigger
    assert triggers["without"] != triggers["scaled"]
    assert scaled.one(AUTOSCALER).replace_with == {"inception-v1-scaling"}
    before, after = (each.one(DEPLOYMENT, "inception-v1").inputs for each in (scaled, without))
    assert before["spec"]["replicas"] == after["spec"]["replicas"] == 2
    assert before != after, "nothing would be applied, and the autoscaler's last count would stay"
    assert before["spec"]["template"] == after["spec"]["template"], "and no pod rolls for it"


@pytest.mark.parametrize(("path", "hurries"), [("gs://my-models/inception", True), ("/models/inception", False)])
def test_a_bucket_out_of_reach_is_told_within_a_short_load_timeout(
    record: Record,
    path: str,
    hurries: bool,  # noqa: FBT001
) -> None:
    variables = container(serving(record, path=path)).get("env", [])
    assert ({"name": "GCS_RETRY_CONFIG_MAX_RETRIES", "value": "3"} in variables) is hurries


def test_a_count_that_was_scaled_by_hand_or_by_an_autoscaler_that_is_gone_is_put_back(record: Record) -> None:
    for deployment in serving(record).of(DEPLOYMENT):
        assert deployment.inputs["metadata"]["annotations"]["pulumi.com/patchForce"] == "true"


@pytest.mark.parametrize(
    ("first", "guarded"),
    [
        ({"replicas": 1}, False),
        ({"replicas": 2}, True),
        ({"autoscaling": {"min": 1, "max": 1}}, False),
        ({"autoscaling": {"min": 1, "max": 2}}, True),
    ],
)
def test_a_drained_node_takes_one_pod_at_a_time_of_a_version_that_has_several(
    record: Record,
    first: dict[str, Any],
    guarded: bool,  # noqa: FBT001
) -> None:
    program = serving(record, first)
    budgets = {each.inputs["metadata"]["name"]: each.inputs["spec"] for each in program.of(BUDGET)}
    assert set(budgets) == ({"inception-v1", "inception-v2"} if guarded else {"inception-v2"})
    assert budgets["inception-v2"] == {
        "maxUnavailable": 1,
        "selector": {"matchLabels": {"app": "inception", "version": "v2"}},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def test_the_route_waits_for_all_that_a_version_owns_and_nothing_of_it_goes_before_the_route(record: Record) -> None:
    program = serving(record, {"autoscaling": {}})
    before = needs(program, program.one(VIRTUAL_SERVICE))
    for owned in [*program.of(AUTOSCALER), *program.of(BUDGET)]:
        assert owned.name in before
        assert owned.inputs["metadata"]["name"] + "-deployment" in needs(program, owned)


def test_pods_spread_over_nodes_and_zones_but_run_where_they_can(record: Record) -> None:
    constraints = pod(serving(record, {"replicas": 1}))["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for each in constraints:
        assert each["whenUnsatisfiable"] == "ScheduleAnyway"
        assert each["labelSelector"] == {"matchLabels": {"app": "inception", "version": "v1"}}
        assert each["matchLabelKeys"] == ["pod-template-hash"], "old pods of a rollout would push the new ones aside"


def test_more_pods_of_a_version_do_not_roll_the_ones_it_has(record: Record) -> None:
    assert pod(serving(record, {"replicas": 1})) == pod(serving(record, {"replicas": 5}))
    assert pod(serving(record, {"replicas": 1})) == pod(serving(record, {"autoscaling": {}}))


def test_a_version_with_a_gpu_runs_where_one_is(record: Record) -> None:
    program = serving(record, {"gpu": 2})
    assert container(program)["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert container(program)["resources"]["limits"]["memory"] == "2Gi"
    assert pod(program)["spec"]["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]
    assert container(program)["image"] == "tensorflow/serving:2.20.0-gpu"
    assert container(program, "v2")["image"] == "tensorflow/serving:2.20.0"
    assert "tolerations" not in pod(program, "v2")["spec"]
    assert "nvidia.com/gpu" not in container(program, "v2")["resources"]["limits"]


def test_batching_is_told_by_a_file_and_off_without_one(record: Record) -> None:
    batching = {"maxBatchSize": 32, "batchTimeoutMicros": 0, "numBatchThreads": 4}
    program = serving(record, {"batching": batching})
    first, second = sorted(program.of(CONFIG_MAP), key=lambda each: str(each.inputs["metadata"]["labels"]["version"]))
    assert first.inputs["data"]["batching.config"] == (
        "max_batch_size { value: 32 }\nbatch_timeout_micros { value: 0 }\nnum_batch_threads { value: 4 }\n"
    )
    assert "--enable_batching" in container(program)["args"]
    assert "--batching_parameters_file=/etc/tfserving/batching.config" in container(program)["args"]
    assert "batching.config" not in second.inputs["data"]
    assert not any("batching" in word for word in container(program, "v2")["args"])


def test_a_pod_with_a_warm_up_is_ready_after_it(record: Record) -> None:
    program = serving(record, {"warmup": {"request": {"instances": [1.5]}, "count": 7}})
    files = next(each for each in program.of(CONFIG_MAP) if each.inputs["metadata"]["labels"]["version"] == "v1")
    assert json.loads(files.inputs["data"]["warmup.json"]) == {"instances": [1.5]}
    assert "/v1/models/inception/versions/1:predict" in files.inputs["data"]["warmup.sh"]
    probe = container(program)["startupProbe"]
    assert probe["exec"] == {"command": ["/bin/bash", "/etc/tfserving/warmup.sh"]}
    assert "httpGet" not in probe
    assert probe["timeoutSeconds"] == 600, "a warm-up that is cut off has no reason to give"
    assert container(program)["readinessProbe"]["httpGet"]["path"].endswith("/versions/1/metadata")
    assert "httpGet" in container(program, "v2")["startupProbe"]


@pytest.mark.parametrize("seconds", [1, 30, 91])
def test_a_server_that_is_busy_for_as_long_as_a_request_may_take_stays_in_the_route(
    record: Record, seconds: int
) -> None:
    probe = container(serving(record, timeoutSeconds=seconds))["readinessProbe"]
    patience = probe["periodSeconds"] * probe["failureThreshold"]
    assert seconds + 6 <= patience < seconds + 8


@pytest.mark.parametrize("seconds", [30, 90])
def test_a_removed_pod_and_its_proxy_stay_for_the_longest_request(record: Record, seconds: int) -> None:
    program = serving(record, timeoutSeconds=seconds)
    stays = pod(program)["spec"]["terminationGracePeriodSeconds"]
    assert container(program)["lifecycle"]["preStop"]["sleep"]["seconds"] == DRAIN_PERIOD
    assert stays == DRAIN_PERIOD + seconds
    proxy = json.loads(pod(program)["metadata"]["annotations"]["proxy.istio.io/config"])
    assert proxy == {"holdApplicationUntilProxyStarts": True, "terminationDrainDuration": f"{stays}s"}


def test_a_token_for_a_bucket_does_not_wait_for_the_proxy_to_know_the_way(record: Record) -> None:
    past_the_proxy = "traffic.sidecar.istio.io/excludeOutboundIPRanges"
    in_bucket = pod(serving(record, path="gs://my-models/inception"))
    assert in_bucket["metadata"]["annotations"][past_the_proxy] == "169.254.169.254/32"
    assert past_the_proxy not in pod(serving(record, path="/models/inception"))["metadata"]["annotations"]


def test_a_server_in_a_cluster_of_ones_own_waits_for_no_token_that_might_never_come(record: Record) -> None:
    server = container(serving(record, path="gs://a-public-bucket/inception"))
    assert server["command"] == ["/usr/bin/tensorflow_model_server"]
    assert "GCE_METADATA_HOST" not in {each["name"] for each in server["env"]}


def test_a_pod_counts_only_when_every_proxy_has_had_time_to_hear_of_it(record: Record) -> None:
    for deployment in serving(record).of(DEPLOYMENT):
        assert deployment.inputs["spec"]["minReadySeconds"] == 2
        assert deployment.inputs["spec"]["progressDeadlineSeconds"] > 2, "Kubernetes refuses it otherwise"


def test_up_waits_until_the_longest_request_of_a_removed_pod_has_ended(record: Record) -> None:
    deployment = serving(record, {"loadTimeoutSeconds": 60}, timeoutSeconds=3000).one(DEPLOYMENT, "inception-v1")
    assert int(deployment.inputs["metadata"]["annotations"]["pulumi.com/timeoutSeconds"]) > 3000 + DRAIN_PERIOD


def test_a_model_without_the_mesh_is_a_plain_service_and_deployments(record: Record) -> None:
    program = serving(record, callers=None, mesh=False)
    for token in (VIRTUAL_SERVICE, DESTINATION_RULE):
        assert program.of(token) == []
    for version in ("v1", "v2"):
        assert pod(program, version)["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
        assert "annotations" not in pod(program, version)["metadata"]


@pytest.mark.parametrize("stable", ["v1", "v2"])
def test_without_the_mesh_only_the_stable_version_is_reached_and_only_when_it_is_ready(
    record: Record, stable: str
) -> None:
    program = serving(record, callers=None, mesh=False, stable=stable)
    service = program.one(SERVICE)
    assert service.inputs["spec"]["selector"] == {"app": "inception", "version": stable}
    assert {each.name for each in program.of(DEPLOYMENT)} <= needs(program, service)


def test_in_the_mesh_the_service_is_there_before_the_pods(record: Record) -> None:
    program = serving(record)
    for deployment in program.of(DEPLOYMENT):
        assert program.one(SERVICE).name in needs(program, deployment)


@pytest.mark.parametrize("mesh", [True, False])
def test_an_identity_is_there_before_the_pods_and_is_the_one_it_was(
    record: Record,
    mesh: bool,  # noqa: FBT001
) -> None:
    program = serving(record, callers="any" if mesh else None, mesh=mesh)
    account: Registered = program.one("kubernetes:core/v1:ServiceAccount")
    for deployment in program.of(DEPLOYMENT):
        assert account.name in needs(program, deployment)
    # Its parent was the model's service; under another URN it would be deleted as it is taken over.
    assert [alias.rpartition("::")[0].rpartition(":")[2] for alias in account.aliases] == ["ModelService"], (
        account.aliases
    )
