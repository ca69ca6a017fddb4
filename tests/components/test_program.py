"""The program as a whole: what it registers, what waits for what, and what stays out of sight."""

import base64
import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509

from infra.settings import parse
from tests.components.conftest import Program, Record, Registered

ROOT = Path(__file__).parents[2]
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
DESTINATION_RULE = "kubernetes:networking.istio.io/v1:DestinationRule"
NETWORK_POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
RELEASE = "kubernetes:helm.sh/v3:Release"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"
SERVICE_ENTRY = "kubernetes:networking.istio.io/v1:ServiceEntry"
STASH = "pulumi:index:Stash"
VIRTUAL_SERVICE = "kubernetes:networking.istio.io/v1:VirtualService"

CONFIG = {
    "tfserving-mesh:models": {
        "inception": {
            "path": "gs://my-models/inception",
            "callers": "any",
            "versions": {"v1": {"model": 1}, "v2": {"model": 2, "replicas": 3}},
        }
    },
    "tfserving-mesh:v2Weight": 25,
}


def main_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("program", ROOT / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def deploy(record: Record, **changes: Any) -> Program:
    """Run the program with a changed config; None takes a key out."""
    config = {**CONFIG, **{f"tfserving-mesh:{key}": value for key, value in changes.items()}}
    given = {key: value for key, value in config.items() if value is not None}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    settings = parse(texts, project="tfserving-mesh", stack="test")
    return record(lambda: main_module().deploy(settings))


@pytest.fixture
def program(record: Record) -> Program:
    return deploy(record)


def strings(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from strings(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from strings(item, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def needs(program: Program, later: Registered) -> set[str]:
    """Return the names of all that is there before `later` is made."""
    by_name = {resource.name: resource for resource in program.resources}
    found: set[str] = set()
    open_ = set(later.dependencies)
    while open_:
        name = open_.pop()
        if name not in found and name in by_name:
            found.add(name)
            open_ |= by_name[name].dependencies
    return found


def test_the_route_carries_the_configured_weights_and_lists_versions_at_zero(record: Record) -> None:
    for weight in (0, 25, 100):
        route = deploy(record, v2Weight=weight).one(VIRTUAL_SERVICE)
        destinations = route.inputs["spec"]["http"][0]["route"]
        host = "inception.models.svc.cluster.local"
        assert destinations == [
            {"destination": {"host": host, "subset": "v1"}, "weight": 100 - weight},
            {"destination": {"host": host, "subset": "v2"}, "weight": weight},
        ]


def test_the_route_moves_only_after_every_pod_and_subset_is_there(program: Program) -> None:
    before = needs(program, program.one(VIRTUAL_SERVICE))
    for resource in [*program.of(DEPLOYMENT), *program.of(DESTINATION_RULE), *program.of(SERVICE)]:
        assert resource.name in before


def test_a_subset_is_there_before_its_pods_and_after_them_and_names_them(program: Program) -> None:
    assert len(program.of(DESTINATION_RULE)) == 2
    for rule in program.of(DESTINATION_RULE):
        name = rule.inputs["metadata"]["name"]
        deployment = program.one(DEPLOYMENT, name)
        assert rule.name in needs(program, deployment), "what is needed is made first and deleted last"
        subset = rule.inputs["spec"]["subsets"][0]
        assert name == f"inception-{subset['name']}"
        labels = deployment.inputs["spec"]["template"]["metadata"]["labels"]
        assert subset["labels"].items() <= labels.items()
        assert rule.inputs["spec"]["host"] == "inception.models.svc.cluster.local"


def test_two_versions_pods_are_never_taken_for_each_other(program: Program) -> None:
    first, second = program.of(DEPLOYMENT)
    selector = first.inputs["spec"]["selector"]["matchLabels"]
    assert selector.items() <= first.inputs["spec"]["template"]["metadata"]["labels"].items()
    assert not selector.items() <= second.inputs["spec"]["template"]["metadata"]["labels"].items()


def test_the_service_reaches_the_pods_of_every_version(program: Program) -> None:
    selector = program.one(SERVICE).inputs["spec"]["selector"]
    for deployment in program.of(DEPLOYMENT):
        assert selector.items() <= deployment.inputs["spec"]["template"]["metadata"]["labels"].items()


def test_pods_are_made_after_the_injector_that_gives_them_a_sidecar(program: Program) -> None:
    releases = {release.name for release in program.of(RELEASE)}
    for deployment in program.of(DEPLOYMENT):
        assert releases <= needs(program, deployment)
        assert deployment.inputs["spec"]["template"]["metadata"]["labels"]["sidecar.istio.io/inject"] == "true"
    assert (
        program.one("kubernetes:core/v1:Namespace", "models").inputs["metadata"]["labels"]["istio-injection"]
        == "enabled"
    )


def test_istiod_starts_after_the_crds_and_with_our_ca_in_place(program: Program) -> None:
    istiod = release(program, "istiod")
    assert {release(program, "istio-base").name, program.one(SECRET, "cacerts").name} <= needs(program, istiod)
    assert istiod.name in needs(program, release(program, "istio-ingress"))


def release(program: Program, name: str) -> Registered:
    return next(resource for resource in program.of(RELEASE) if resource.inputs["name"] == name)


def test_injection_stays_opt_in_whatever_the_stack_adds(record: Record) -> None:
    values = {"istiod": {"global": {"proxy": {"autoInject": "enabled", "logLevel": "info"}}}}
    istiod = release(deploy(record, istio={"values": values}), "istiod")
    assert istiod.inputs["values"]["global"]["proxy"] == {"autoInject": "disabled", "logLevel": "info"}


def test_the_mesh_lets_out_only_what_is_listed(program: Program) -> None:
    mesh = release(program, "istiod").inputs["values"]["meshConfig"]
    assert mesh["outboundTrafficPolicy"] == {"mode": "REGISTRY_ONLY"}
    hosts = {host for entry in program.of(SERVICE_ENTRY) for host in entry.inputs["spec"]["hosts"]}
    assert hosts == {"storage.googleapis.com", "www.googleapis.com", "metadata.google.internal", "metadata"}
    assert all(entry.inputs["spec"]["exportTo"] == ["."] for entry in program.of(SERVICE_ENTRY))


def test_a_further_host_comes_with_its_reason_and_a_wildcard_is_not_looked_up(record: Record) -> None:
    hosts = [{"host": "*.cdn.example.com", "reason": "hourly"}, {"host": "cdn.example.com", "reason": "its index"}]
    egress = {"hosts": hosts, "addresses": [{"cidr": "203.0.113.0/24", "reason": "the CDN"}]}
    program = deploy(record, egress=egress)
    wild, plain = (program.one(SERVICE_ENTRY, f"{name}.cdn.example.com") for name in ("hosts-below", "host"))
    assert (wild.inputs["spec"]["hosts"], wild.inputs["spec"]["resolution"]) == (["*.cdn.example.com"], "NONE")
    assert (plain.inputs["spec"]["hosts"], plain.inputs["spec"]["resolution"]) == (["cdn.example.com"], "DNS")
    reasons = [each.inputs["metadata"]["annotations"]["tfserving-mesh/reason"] for each in (wild, plain)]
    assert reasons == ["hourly", "its index"]
    rule = program.one(NETWORK_POLICY, "isolation").inputs["spec"]["egress"][-1]
    assert [each["ipBlock"]["cidr"] for each in rule["to"]] == ["199.36.153.8/30", "203.0.113.0/24"]


def test_no_pod_of_a_model_is_there_before_all_that_holds_it(program: Program) -> None:
    policy = program.one(NETWORK_POLICY, "isolation")
    assert policy.inputs["metadata"]["namespace"] == "models"
    for deployment in program.of(DEPLOYMENT):
        assert policy.name in needs(program, deployment)


@pytest.mark.parametrize(
    ("charts", "expected"),
    [
        ("oci://registry.example/charts", {"chart": "oci://registry.example/charts/base", "version": "1.30.4"}),
        (
            "https://charts.example/istio",
            {"chart": "base", "version": "1.30.4", "repositoryOpts": {"repo": "https://charts.example/istio"}},
        ),
        ("mirror/charts", {"chart": "mirror/charts/base"}),
    ],
)
def test_charts_come_from_where_the_stack_says(record: Record, charts: str, expected: dict[str, Any]) -> None:
    inputs = release(deploy(record, istio={"charts": charts}), "istio-base").inputs
    assert {key: inputs[key] for key in ("chart", "version", "repositoryOpts") if key in inputs} == expected


def test_images_of_istio_come_from_the_stacks_registry(record: Record) -> None:
    istiod = release(deploy(record, istio={"hub": "registry.example/istio", "tag": "1.30.4-fips"}), "istiod")
    assert istiod.inputs["values"]["global"]["hub"] == "registry.example/istio"
    assert istiod.inputs["values"]["global"]["tag"] == "1.30.4-fips"


def test_no_private_key_leaves_the_program_unmarked(program: Program) -> None:
    keys = 0
    for resource in program.resources:
        for path, text in strings(resource.inputs):
            if "PRIVATE KEY" in text or b"PRIVATE KEY" in decoded(text):
                keys += 1
                assert any(path == secret or path.startswith(f"{secret}.") for secret in resource.secrets), (
                    f"{resource.name}: {path} is plain"
                )
    assert keys == 3, "two stashed keys and the one that istiod mounts"


def decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def kept_keys(program: Program) -> list[Registered]:
    """Return what the stack keeps of its CA: which roots are trusted, then their keys and the intermediate's."""
    return [each for each in program.of(STASH) if each.name.startswith("injector-")]


def test_the_ca_is_kept_across_runs_and_renewed_by_its_generation(record: Record) -> None:
    for generation in (1, 2):
        _, root, intermediate = kept_keys(deploy(record, caGeneration=generation))
        assert root.ignore_changes == intermediate.ignore_changes == ("input",)
        assert intermediate.replacement_trigger == generation
        assert root.replacement_trigger is None, "a root is not replaced by counting up: old and new pods would part"


@pytest.mark.parametrize(
    ("roots", "kept"),
    [
        ("1", ["injector-root", "injector-intermediate"]),
        ("1+2", ["injector-root", "injector-root-2", "injector-intermediate"]),
        ("2+1", ["injector-root-2", "injector-root", "injector-intermediate-2"]),
        ("2", ["injector-root-2", "injector-intermediate-2"]),
    ],
)
def test_while_a_root_is_replaced_the_first_signs_and_both_are_trusted(
    record: Record, roots: str, kept: list[str]
) -> None:
    program = deploy(record, caRoot=roots)
    step, *pairs = kept_keys(program)
    assert (step.inputs["input"], [pair.name for pair in pairs]) == (roots, kept)
    assert all(step.name in needs(program, pair) for pair in pairs), "the step is held against the last one before"
    certificates = [x509.load_pem_x509_certificate(pair.inputs["input"]["certificate"].encode()) for pair in pairs]
    secret = program.one(SECRET, "cacerts")
    assert secret.inputs["metadata"]["annotations"] == {"tfserving-mesh/ca-roots": roots}
    files = {
        name: x509.load_pem_x509_certificates(base64.b64decode(content))
        for name, content in secret.inputs["data"].items()
        if name != "ca-key.pem"
    }
    assert files == {
        "root-cert.pem": certificates[:-1],
        "ca-cert.pem": certificates[-1:],
        "cert-chain.pem": [certificates[-1], certificates[0]],
    }
    certificates[-1].verify_directly_issued_by(certificates[0])
    checked = [resource.name for resource in program.resources if resource.hooks and "injector" in resource.name]
    assert checked == ["injector-roots", "injector-cacerts"]
    assert all(resource.hooks["before_update"] for resource in (step, secret))


def test_istiod_and_proxies_take_other_roots_as_they_run(program: Program) -> None:
    values = release(program, "istiod").inputs["values"]
    assert values["env"] == {"ISTIO_MULTIROOT_MESH": "true"}
    assert values["meshConfig"]["defaultConfig"]["proxyMetadata"]["PROXY_CONFIG_XDS_AGENT"] == "true"


def test_the_stacks_lifetimes_reach_the_certificates(record: Record) -> None:
    program = deploy(record, caRootDays=200, caIntermediateDays=30, workloadCertHours=12)
    for stash, days in zip(kept_keys(program)[1:], (200, 30), strict=True):
        found = x509.load_pem_x509_certificate(stash.inputs["input"]["certificate"].encode())
        left = found.not_valid_after_utc - datetime.now(UTC)
        assert timedelta(days, minutes=-1) < left <= timedelta(days), stash.name
    mesh = release(program, "istiod").inputs["values"]["meshConfig"]
    assert mesh["defaultConfig"]["proxyMetadata"]["SECRET_TTL"] == "12h"


def test_istiod_finds_a_whole_ca(program: Program) -> None:
    data = program.one(SECRET, "cacerts").inputs["data"]
    assert set(data) == {"ca-cert.pem", "ca-key.pem", "root-cert.pem", "cert-chain.pem"}
    assert all(b"-----BEGIN" in base64.b64decode(content) for content in data.values())


def test_a_fixed_name_is_free_before_its_successor_takes_it(program: Program) -> None:
    for resource in program.resources:
        if resource.token.startswith("kubernetes:") and resource.inputs.get("metadata", {}).get("name"):
            assert resource.delete_before_replace, resource.name


def test_a_changed_model_configuration_rolls_the_pods(program: Program) -> None:
    configs = program.of("kubernetes:core/v1:ConfigMap")
    assert len(configs) == 2
    for config in configs:
        assert "name" not in config.inputs["metadata"]
        assert any(config.name in deployment.dependencies for deployment in program.of(DEPLOYMENT))


def test_a_version_serves_one_pinned_model_version_and_is_ready_only_when_it_is_available(program: Program) -> None:
    for version, number, replicas in (("v1", 1, 2), ("v2", 2, 3)):
        deployment = program.one(DEPLOYMENT, f"inception-{version}")
        container = deployment.inputs["spec"]["template"]["spec"]["containers"][0]
        for probe in ("startupProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["path"] == f"/v1/models/inception/versions/{number}/metadata"
        assert deployment.inputs["spec"]["replicas"] == replicas
        config = next(
            c
            for c in program.of("kubernetes:core/v1:ConfigMap")
            if c.inputs["metadata"]["labels"]["version"] == version
        )
        assert f"versions: {number} " in config.inputs["data"]["models.config"]
        assert 'base_path: "gs://my-models/inception"' in config.inputs["data"]["models.config"]


def test_up_waits_longer_than_a_model_may_load_so_that_the_reason_is_seen(record: Record) -> None:
    versions = {"v1": {"model": 1, "loadTimeoutSeconds": 120}}
    models = {"inception": {"path": "gs://my-models/inception", "callers": "any", "versions": versions}}
    config = {"tfserving-mesh:models": json.dumps(models)}
    settings = parse(config, project="tfserving-mesh", stack="test")
    deployment = record(lambda: main_module().deploy(settings)).one(DEPLOYMENT)
    probe = deployment.inputs["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    window = probe["periodSeconds"] * probe["failureThreshold"]
    assert window == 120
    timeout = int(deployment.inputs["metadata"]["annotations"]["pulumi.com/timeoutSeconds"])
    assert window + probe["terminationGracePeriodSeconds"] + 10 < timeout


def test_pods_run_without_privileges(program: Program) -> None:
    for deployment in program.of(DEPLOYMENT):
        pod = deployment.inputs["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        container = pod["containers"][0]["securityContext"]
        assert container["allowPrivilegeEscalation"] is False
        assert container["readOnlyRootFilesystem"] is True
        assert container["capabilities"] == {"drop": ["ALL"]}


def test_every_object_goes_to_the_stacks_own_cluster(program: Program) -> None:
    kubernetes = [r for r in program.resources if r.token.startswith("kubernetes:")]
    assert kubernetes
    providers = {resource.token: resource.provider for resource in kubernetes}
    assert providers.pop("kubernetes:core/v1:Namespace") == "cluster-kubernetes-new-only"
    assert set(providers.values()) == {"cluster-kubernetes"}


def test_a_namespace_that_is_somebody_elses_is_refused_and_an_unrecorded_object_taken_over(program: Program) -> None:
    takes_over = {r.name: r.inputs.get("upsertExistingObjects") for r in program.of("pulumi:providers:kubernetes")}
    assert takes_over == {"cluster-kubernetes": "true", "cluster-kubernetes-new-only": "false"}


def test_a_stack_without_cloud_resources_does_not_pay_for_pulumi_gcp() -> None:
    code = "import runpy, sys; runpy.run_path('__main__.py', run_name='program'); print('pulumi_gcp' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
