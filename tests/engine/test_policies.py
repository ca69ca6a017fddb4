"""Each policy of `policy/`, run by the real CLI: it stops what it is there for, and lets the good case pass."""

from __future__ import annotations

import base64
import json
import textwrap

import pytest

from sandbox.materials import istio_files
from sandbox.paths import CHECKOUT
from tests.engine.conftest import Outcome, Project

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("kubernetes_plugin", "no_cluster")]

PACK = CHECKOUT / "policy"
# A component has the properties of the real thing, and needs no plugin of Google's.
PRELUDE = """
    import json, pulumi

    class Cluster(pulumi.ComponentResource):
        def __init__(self, name, props, opts=None):
            super().__init__("gcp:container/cluster:Cluster", name, props, opts)

    def made(api, kind, name, **more):
        group = api if "/" in api else f"core/{api}"
        props = {"apiVersion": api, "kind": kind, "metadata": {"name": name}, **more}
        return pulumi.CustomResource(f"kubernetes:{group}:{kind}", name, props)

    def istio(kind, name, spec):
        return made("networking.istio.io/v1", kind, name, spec=spec)

    def deployment(name, **pod):
        return made("apps/v1", "Deployment", name, spec={"template": {"spec": pod}})

    later = pulumi.Stash("later", input=1).id  # unknown in a preview
"""


def write(project: Project, program: str) -> None:
    project.program(textwrap.dedent(PRELUDE) + textwrap.dedent(program))
    # as a shell has it that is in the folder
    project.environ["PWD"] = str(project.folder)


def previewed(project: Project, program: str, *, fails: bool = False) -> Outcome:
    write(project, program)
    return project.preview("--policy-pack", str(PACK), fails=fails)


def violations(outcome: Outcome, policy: str) -> list[str]:
    """Messages of one policy, in the order of the resources' names; the test fails when another one has any."""
    found = [event["policyEvent"] for event in outcome.events if "policyEvent" in event]
    assert {event["policyName"] for event in found} <= {policy}, outcome.text
    assert {event["enforcementLevel"] for event in found} <= {"mandatory"}
    return sorted(str(event["message"]).split("\n", 1)[1].strip() for event in found)


def stopped(project: Project, policy: str, program: str) -> list[str]:
    """What the policy says of a program that it stops."""
    found = violations(previewed(project, program, fails=True), policy)
    assert found, "the preview has failed for another reason"
    return found


def complaints(project: Project, program: str) -> list[str]:
    """What all policies say of a program whose preview goes through."""
    outcome = previewed(project, program)
    assert "tfserving-mesh" in outcome.text, "the pack has not run"
    return [str(event["policyEvent"]["message"]) for event in outcome.events if "policyEvent" in event]


def test_a_control_plane_that_the_world_can_reach_is_stopped(project: Project) -> None:
    found = stopped(
        project,
        "no-open-control-plane",
        """
        def networks(*cidrs, **more):
            return {"masterAuthorizedNetworksConfig": {"cidrBlocks": [{"cidrBlock": cidr} for cidr in cidrs], **more}}

        Cluster("all", networks("203.0.113.0/24", "0.0.0.0/0"))
        Cluster("all-six", networks("::/0"))
        Cluster("googles", networks("203.0.113.0/24", gcpPublicCidrsAccessEnabled=True))
        Cluster("half", networks("128.0.0.0/1"))
        Cluster("none", {"privateClusterConfig": {"enablePrivateNodes": True}})
        """,
    )
    blocks = "masterAuthorizedNetworksConfig.cidrBlocks"
    assert [message.split(";")[0] for message in found] == [
        "all-six: " + blocks + "[0].cidrBlock is ::/0",
        "all: " + blocks + "[1].cidrBlock is 0.0.0.0/0",
        "googles: masterAuthorizedNetworksConfig.gcpPublicCidrsAccessEnabled is true",
        "half: " + blocks + "[0].cidrBlock is 128.0.0.0/1",
        "none: masterAuthorizedNetworksConfig is missing",
    ]
    assert "Run: pulumi config set --path 'cluster.authorizedNetworks[1].cidr' 203.0.113.0/24" in found[1]
    assert "Run: pulumi config set --path cluster.endpoint dns" in found[4]


def test_a_control_plane_for_named_networks_or_by_dns_passes(project: Project) -> None:
    found = complaints(
        project,
        """
        def networks(*cidrs):
            return {"masterAuthorizedNetworksConfig": {"cidrBlocks": [{"cidrBlock": cidr} for cidr in cidrs]}}

        Cluster("office", networks("203.0.113.0/24", "10.0.0.0/8", "2001:db8::/32"))
        Cluster("nobody", networks())
        Cluster("private", {"privateClusterConfig": {"enablePrivateEndpoint": True}})
        Cluster("dns", {"controlPlaneEndpointsConfig": {
            "dnsEndpointConfig": {"allowExternalTraffic": True}, "ipEndpointsConfig": {"enabled": False}}})
        Cluster("unknown-network", networks(later))
        Cluster("unknown-endpoint", {"privateClusterConfig": {"enablePrivateEndpoint": later}})
        """,
    )
    assert found == []


PRIVATE = '"privateClusterConfig": {"enablePrivateEndpoint": True}'


def test_an_unprotected_cluster_in_production_is_stopped(project: Project) -> None:
    project.run("stack", "init", "prod")
    found = stopped(
        project,
        "production-is-protected",
        f"""
        Cluster("by-google-alone", {{{PRIVATE}, "deletionProtection": True}})
        Cluster("by-pulumi-alone", {{{PRIVATE}, "deletionProtection": False}}, pulumi.ResourceOptions(protect=True))
        """,
    )
    assert [message.split(";")[0] for message in found] == [
        "by-google-alone: protect is false",
        "by-pulumi-alone: deletionProtection is false",
    ]
    assert all("Run: pulumi config set --path cluster.deletionProtection true" in message for message in found)


def test_a_protected_cluster_in_production_passes_and_any_other_elsewhere(project: Project) -> None:
    assert complaints(project, f'Cluster("open", {{{PRIVATE}, "deletionProtection": False}})') == []
    project.run("stack", "init", "prod")
    found = complaints(
        project,
        f"""
        protected = pulumi.ResourceOptions(protect=True)
        Cluster("protected", {{{PRIVATE}, "deletionProtection": True}}, protected)
        Cluster("unknown", {{{PRIVATE}, "deletionProtection": later}}, protected)
        """,
    )
    assert found == []


WILDCARDS = """
    istio("ServiceEntry", "cdn", {"hosts": ["api.example.com", "*.cdn.example.com"]})
    istio("Sidecar", "open", {"outboundTrafficPolicy": {"mode": "ALLOW_ANY"}})
"""


def list_wildcard(project: Project, host: str, reason: str) -> str:
    """Lists a host by the command that the messages name, and gives that command back."""
    key = f'policy:allowedWildcards["{host}"]'
    project.set(key, reason, "--path")
    return f"pulumi config set --path '{key}' "


def test_a_wildcard_that_is_not_listed_with_a_reason_is_stopped(project: Project) -> None:
    command = list_wildcard(project, "*.cdn.example.com", "  ")
    list_wildcard(project, "*.example.com", "a wider one does not allow a narrower one")
    cdn, open_policy = stopped(project, "no-wildcard-egress", WILDCARDS)
    assert cdn.startswith("cdn: spec.hosts[1] is *.cdn.example.com; ")
    assert "policy:allowedWildcards lists it without a reason" in cdn
    assert command in cdn
    assert open_policy.startswith("open: spec.outboundTrafficPolicy.mode is ALLOW_ANY; ")
    assert "policy:allowedWildcards does not list it" in open_policy


def test_named_hosts_and_wildcards_with_a_reason_pass(project: Project) -> None:
    list_wildcard(project, "*.cdn.example.com", "the CDN names its hosts by the hour")
    list_wildcard(project, "*", "a trial without a list yet")
    assert complaints(project, WILDCARDS + '    istio("ServiceEntry", "unknown", {"hosts": [later]})\n') == []


def test_an_image_that_may_be_another_tomorrow_is_stopped(project: Project) -> None:
    found = stopped(
        project,
        "pinned-images",
        """
        deployment("latest", containers=[{"name": "a", "image": "nginx:1.29"}, {"name": "b", "image": "nginx:latest"}])
        deployment("port", initContainers=[{"name": "a", "image": "registry:5000/name"}])
        made("v1", "Pod", "pod", spec={"containers": [{"name": "a", "image": "nginx"}]})
        job = {"template": {"spec": {"containers": [{"name": "a", "image": "job"}]}}}
        made("batch/v1", "CronJob", "cron", spec={"jobTemplate": {"spec": job}})
        """,
    )
    assert [message.split(";")[0] for message in found] == [
        "cron: spec.jobTemplate.spec.template.spec.containers[0].image is job",
        "latest: spec.template.spec.containers[1].image is nginx:latest",
        "pod: spec.containers[0].image is nginx",
        "port: spec.template.spec.initContainers[0].image is registry:5000/name",
    ]


def test_pinned_images_pass(project: Project) -> None:
    digest = "sha256:" + "0123456789abcdef" * 4
    found = complaints(
        project,
        f"""
        deployment("tag", containers=[{{"name": "a", "image": "registry:5000/name:1.2"}}])
        deployment("digest", containers=[{{"name": "a", "image": "nginx@{digest}"}}])
        deployment("unknown", containers=[{{"name": "a", "image": later}}])
        made("v1", "ConfigMap", "no-containers", data={{"image": "nginx"}})
        """,
    )
    assert found == []


ROUTE = """
    def route(name, protocol, *weights):
        hosts = [{"destination": {"host": f"h{n}"}} for n, _ in enumerate(weights)]
        shares = [host if weight is None else host | {"weight": weight} for host, weight in zip(hosts, weights)]
        istio("VirtualService", name, {"hosts": ["h"], protocol: [{"route": shares}]})
"""


def test_shares_that_do_not_sum_to_a_hundred_are_stopped(project: Project) -> None:
    found = stopped(
        project,
        "shares-of-a-hundred",
        ROUTE
        + """
    route("less", "http", 95, 4)
    route("more", "tcp", 95, 50)
    route("negative", "tls", 120, -20)
    route("none", "http", None, None)
    route("one", "http", 50)
        """,
    )
    assert [message.split(";")[0] for message in found] == [
        "less: the sum of spec.http[0].route[*].weight is 95 + 4 = 99",
        "more: the sum of spec.tcp[0].route[*].weight is 95 + 50 = 145",
        "negative: the sum of spec.tls[0].route[*].weight is 120 + -20 = 100",
        "none: the sum of spec.http[0].route[*].weight is nothing + nothing = 0",
        "one: the sum of spec.http[0].route[*].weight is 50 = 50",
    ]


def test_shares_of_a_hundred_pass(project: Project) -> None:
    found = complaints(
        project,
        ROUTE
        + """
    route("split", "http", 95, 5)
    route("all", "tcp", 100, 0, None)
    route("single", "tls", None)
    route("unknown", "http", 95, later)
    istio("VirtualService", "redirect", {"hosts": ["h"], "http": [{"redirect": {"uri": "/"}}]})
        """,
    )
    assert found == []


CHARTS = f"""
    import pulumi_kubernetes

    def chart(chart, name, values):
        path = {str(istio_files() / "charts")!r} + "/" + chart
        values["meshConfig"] = {{"outboundTrafficPolicy": {{"mode": "REGISTRY_ONLY"}}}}
        pulumi_kubernetes.helm.v3.Release(name, pulumi_kubernetes.helm.v3.ReleaseArgs(chart=path, values=values))
"""


def test_injection_without_being_asked_is_stopped(project: Project) -> None:
    found = stopped(
        project,
        "injection-on-request",
        CHARTS
        + """
    disabled = {"global": {"proxy": {"autoInject": "disabled"}}}
    chart("istiod", "all-namespaces", disabled | {"sidecarInjectorWebhook": {"enableNamespacesByDefault": True}})
    chart("istiod", "default", {})
    chart("istiod", "enabled", {"global": {"proxy": {"autoInject": "enabled"}}})
    always = {"alwaysInjectSelector": [{"matchLabels": {"a": "b"}}]}
    chart("istiod", "selector", disabled | {"sidecarInjectorWebhook": always})
        """,
    )
    assert [message.split(";")[0] for message in found] == [
        "all-namespaces: values.sidecarInjectorWebhook.enableNamespacesByDefault is true",
        "default: values.global.proxy.autoInject is missing",
        "enabled: values.global.proxy.autoInject is enabled",
        "selector: values.sidecarInjectorWebhook.alwaysInjectSelector is [{'matchLabels': {'a': 'b'}}]",
    ]


def test_injection_on_request_passes(project: Project) -> None:
    found = complaints(
        project,
        CHARTS
        + """
    chart("istiod", "on-request", {"global": {"proxy": {"autoInject": "disabled"}}})
    chart("istiod", "unknown", {"global": {"proxy": {"autoInject": later}}})
    made("v1", "Namespace", "models", metadata={"name": "models", "labels": {"istio-injection": "enabled"}})
        """,
    )
    assert found == []


PEM = "-----BEGIN PRIVATE KEY-----\\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg\\n-----END PRIVATE KEY-----\\n"


def test_a_secret_that_the_program_or_the_config_holds_in_the_clear_is_stopped(project: Project) -> None:
    project.set("token", "correct-horse")
    encoded = base64.b64encode(b"battery-staple").decode()
    outcome = previewed(
        project,
        f"""
        made("v1", "Secret", "config", stringData={{"token": pulumi.Config().require("token")}})
        made("v1", "Secret", "literal", stringData={{"password": "hunter2"}})
        made("v1", "Secret", "base64", data={{"password": "{encoded}"}})
        """,
        fails=True,
    )
    found = violations(outcome, "no-plain-secrets")
    assert [message.split(";")[0].rpartition(":")[0] for message in found] == [
        "base64: data.password is in the clear in __main__.py",
        "config: data.token is in the clear in Pulumi.test.yaml",
        "literal: data.password is in the clear in __main__.py",
    ]
    for value in ("correct-horse", "battery-staple", "hunter2"):
        assert value not in "".join(found)


def test_a_secret_that_is_one_in_the_config_or_of_another_resource_passes(project: Project) -> None:
    project.set("token", "correct-horse", "--secret")
    found = complaints(
        project,
        """
        import secrets
        kept = pulumi.Stash("kept", input=pulumi.Output.secret(secrets.token_hex(16)))
        content = {"token": pulumi.Config().require_secret("token"), "kept": kept.output, "later": later}
        made("v1", "Secret", "fine", stringData=content)
        """,
    )
    assert found == []


def test_a_key_that_the_state_would_hold_in_the_clear_is_stopped_before_it_is_there(project: Project) -> None:
    write(
        project,
        f"""
        pulumi.Stash("key", input={{"pem": "{PEM}"}})
        """,
    )
    outcome = project.up("--policy-pack", str(PACK), fails=True)
    [message] = violations(outcome, "no-plain-secrets")
    assert message.startswith("key: input.pem is a private key in the clear; ")
    assert "MIGHAgEA" not in json.dumps(project.export(show_secrets=True))


MANIFEST = """
    def manifest(value):
        return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "extra"}, "stringData": {"token": value}}
"""


def test_a_secret_among_a_charts_values_is_stopped_unless_it_is_marked(project: Project) -> None:
    [message] = stopped(
        project, "no-plain-secrets", CHARTS + MANIFEST + '    chart("base", "plain", {"extra": [manifest("open")]})'
    )
    assert message.startswith("plain: values.extra[0].stringData.token is in the clear; ")
    sealed = '    chart("base", "sealed", {"extra": [manifest(pulumi.Output.secret("open"))]})'
    assert complaints(project, CHARTS + MANIFEST + sealed) == []


def test_keys_that_are_marked_as_secret_pass_an_update(project: Project) -> None:
    write(
        project,
        f"""
        pulumi.Stash("key", input={{"pem": pulumi.Output.secret("{PEM}")}})
        """,
    )
    outcome = project.up("--policy-pack", str(PACK))
    assert violations(outcome, "no-plain-secrets") == []
    assert outcome.step("key").op == "create"
