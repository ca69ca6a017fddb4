"""A recorder that stands where the engine would: it keeps every resource a program registers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pulumi
import pulumi.runtime
import pytest
from google.protobuf.json_format import MessageToDict
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_pulumi_func
from pulumi.runtime.sync_await import _sync_await


@dataclass(frozen=True)
class Registered:
    """One registered resource, as it reached the engine.

    `inputs` holds plain values, and `secrets` the dotted paths of those that were marked secret on the way.
    """

    name: str
    token: str
    inputs: dict[str, Any]
    secrets: frozenset[str]
    dependencies: frozenset[str]
    parent: str
    provider: str
    delete_before_replace: bool
    protect: bool
    ignore_changes: tuple[str, ...]
    replacement_trigger: Any
    replace_with: frozenset[str]
    hooks: dict[str, list[str]]
    aliases: tuple[str, ...]


class Recorder(MockMonitor):
    """Keeps each request; the answers are those of a provider that fills nothing in."""

    def __init__(self, mocks: Mocks) -> None:
        super().__init__(mocks)
        self.requests: list[Registered] = []

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802 - the protocol's name
        paths: set[str] = set()
        self.requests.append(
            Registered(
                name=request.name,
                token=request.type,
                inputs=_plain(MessageToDict(request.object), "", paths),
                secrets=frozenset(paths),
                dependencies=frozenset(urn.rpartition("::")[2] for urn in request.dependencies),
                parent=request.parent.rpartition("::")[2],
                provider=request.provider.rpartition("::")[0].rpartition("::")[2],
                delete_before_replace=request.deleteBeforeReplace,
                protect=request.protect,
                ignore_changes=tuple(request.ignoreChanges),
                replacement_trigger=MessageToDict(request.replacement_trigger),
                replace_with=frozenset(urn.rpartition("::")[2] for urn in request.replace_with),
                aliases=tuple(alias.urn or alias.spec.parentUrn for alias in request.aliases),
                hooks=MessageToDict(request.hooks, preserving_proto_field_name=True),
            )
        )
        return super().RegisterResource(request)  # type: ignore[no-untyped-call]


class Provider(Mocks):
    """A provider that hands inputs back, names what has no name, and keeps what a stash is first given."""

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = dict(args.inputs)
        if args.typ == "pulumi:index:Stash":
            outputs["output"] = outputs["input"]
        outputs |= _of_google(args.typ, args.name, outputs)
        if "metadata" in outputs:
            outputs["metadata"] = {"name": f"{args.name}-1a2b3c4d", **outputs["metadata"]}
        return f"{args.name}-id", outputs

    def call(self, args: MockCallArgs) -> Any:
        raise AssertionError(f"the program called {args.token}")


def _of_google(token: str, name: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what Google would have filled in, of what the program reads."""
    if token == "gcp:serviceaccount/account:Account":
        email = f"{inputs['accountId']}@my-project.iam.gserviceaccount.com"
        return {"email": email, "member": f"serviceAccount:{email}", "name": f"projects/my-project/{email}"}
    if token == "gcp:container/cluster:Cluster":
        endpoint = {
            "endpoint": "gke-1a2b.europe-west1.gke.goog",
            **inputs["controlPlaneEndpointsConfig"]["dnsEndpointConfig"],
        }
        return {
            "name": f"{name}-1a2b3c4",
            "endpoint": "198.51.100.7",
            "masterAuth": {"clusterCaCertificate": "Y2E="},
            "controlPlaneEndpointsConfig": {"dnsEndpointConfig": endpoint},
        }
    if token in {"gcp:compute/router:Router", "gcp:dns/managedZone:ManagedZone"}:
        return {"name": f"{name}-1a2b3c4"}
    return {"etag": "BwX"} if "IAMMember" in token else {}


@dataclass(frozen=True)
class Program:
    """What a program registered, in order, and what it exported."""

    resources: list[Registered]
    outputs: dict[str, Any] = field(default_factory=dict)

    def of(self, token: str) -> list[Registered]:
        """Return all resources of one type."""
        return [resource for resource in self.resources if resource.token == token]

    def one(self, token: str, name: str | None = None) -> Registered:
        """Return the only resource of a type, or of a type and Kubernetes name."""
        found = [r for r in self.of(token) if name is None or r.inputs.get("metadata", {}).get("name") == name]
        assert len(found) == 1, f"{len(found)} of {token} {name or ''} among {[r.name for r in self.resources]}"
        return found[0]


def _plain(value: Any, path: str, secrets: set[str]) -> Any:
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            secrets.add(path)
            return _plain(value["value"], path, secrets)
        return {key: _plain(item, f"{path}.{key}" if path else key, secrets) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item, f"{path}[{index}]", secrets) for index, item in enumerate(value)]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the wire knows no integers
    return value


Record = Callable[[Callable[[], None]], Program]


@pytest.fixture
def record() -> Record:
    """Run a program against the recorder; return what it registered once everything has settled."""

    def run(program: Callable[[], None]) -> Program:
        recorder = Recorder(Provider())
        pulumi.runtime.set_mocks(
            recorder.mocks, project="tfserving-mesh", stack="test", preview=False, monitor=recorder
        )
        _sync_await(run_pulumi_func(program))
        return Program(resources=recorder.requests)

    return run
