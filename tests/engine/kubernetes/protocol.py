"""The engine's side of the plugin protocol, in a few lines: what the engine sends, and what it keeps of the answers."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import engine_pb2, engine_pb2_grpc, errors_pb2, provider_pb2, provider_pb2_grpc
from pulumi.runtime.proto.status_pb2 import Status

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Tree = dict[str, Any]


def secret(value: Any) -> Tree:
    """A value as the engine sends it when it is secret."""
    return {SIGNATURE: SECRET, "value": value}


def is_secret(value: Any) -> bool:
    """Whether a value came back as a secret."""
    return isinstance(value, dict) and value.get(SIGNATURE) == SECRET


def reveal(value: Any) -> Any:
    """The value with secrets as plain values."""
    if is_secret(value):
        return reveal(value["value"])
    if isinstance(value, dict):
        return {key: reveal(element) for key, element in value.items()}
    if isinstance(value, list):
        return [reveal(element) for element in value]
    return value


def plain_text(value: Any) -> list[str]:
    """Every string that stands in a value outside of secrets."""
    if is_secret(value):
        return []
    if isinstance(value, dict):
        return [text for element in value.values() for text in plain_text(element)]
    if isinstance(value, list):
        return [text for element in value for text in plain_text(element)]
    return [value] if isinstance(value, str) else []


def encode(tree: Tree) -> Struct:
    """A tree as the wire has it."""
    struct = Struct()
    struct.update(tree)
    return struct


def decode(struct: Struct) -> Tree:
    """A tree from the wire."""
    return MessageToDict(struct)


@dataclass
class Line:
    """A line that the plugin asked the engine to show."""

    severity: str
    message: str
    passing: bool
    """Shown beside the resource for the time being only."""


class Engine(engine_pb2_grpc.EngineServicer):
    """An engine that only listens."""

    def __init__(self) -> None:
        self.lines: list[Line] = []

    def Log(self, request: Any, context: Any) -> Empty:  # noqa: N802, ARG002 - the protocol's name and arguments
        """Keeps a line."""
        severity = engine_pb2.LogSeverity.Name(request.severity).lower()
        self.lines.append(Line(severity, request.message, request.ephemeral))
        return Empty()

    def said(self, severity: str) -> list[str]:
        """Messages of one severity that were not cleared again."""
        return [line.message for line in self.lines if line.severity == severity and line.message]


class Failed(Exception):  # noqa: N818 - what the engine calls it
    """An operation that failed; with a state where the object exists all the same."""

    def __init__(self, error: grpc.RpcError) -> None:
        self.message = str(error.details())
        super().__init__(self.message)
        self.id, self.reasons = "", list[str]()
        self.state: Tree | None = None
        self.inputs: Tree | None = None
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._read(Status.FromString(value))

    def _read(self, status: Status) -> None:
        for detail in status.details:
            failed = provider_pb2.ErrorResourceInitFailed()
            cause = errors_pb2.ErrorCause()
            if detail.Unpack(failed):
                self.id, self.state = failed.id, decode(failed.properties)
                self.reasons, self.inputs = list(failed.reasons), decode(failed.inputs)
            elif detail.Unpack(cause):
                self.message += f"\n{cause.message}"


@dataclass
class Resource:
    """What the engine keeps of a resource."""

    type: str
    name: str
    id: str
    state: Tree
    inputs: Tree = field(default_factory=dict)


@dataclass
class Difference:
    """The answer to a diff."""

    changes: bool
    kinds: dict[str, str]
    """Property path to add, update or delete, or the same with _replace."""
    replaces: list[str]
    delete_before_replace: bool


def urn(token: str, name: str) -> str:
    """The URN of a resource in the tests' stack."""
    return f"urn:pulumi:test::plugin-test::{token}::{name}"


class Plugin:
    """A running plugin."""

    def __init__(self, path: Path, folder: Path | None = None, environ: dict[str, str] | None = None) -> None:
        """`folder` is what paths in programs are relative to; `environ` its whole environment unless None."""
        self._path, self._folder, self._environ = path, folder, environ

    def __enter__(self) -> Self:
        self.engine = Engine()
        self._server = grpc.server(ThreadPoolExecutor(4))
        engine_pb2_grpc.add_EngineServicer_to_server(self.engine, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()
        self._process = subprocess.Popen(
            [str(self._path), f"127.0.0.1:{port}"],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        own = int(self._process.stdout.readline())
        self._channel = grpc.insecure_channel(f"127.0.0.1:{own}")
        self._stub = provider_pb2_grpc.ResourceProviderStub(self._channel)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._channel.close()
        self._process.terminate()
        self._process.communicate(timeout=10)
        self._server.stop(None).wait(5)

    def call(self, method: str, request: Any) -> Any:
        """Calls a method of the protocol; Failed when it fails."""
        try:
            return getattr(self._stub, method)(request, timeout=120)
        except grpc.RpcError as error:
            raise Failed(error) from error

    def leave(self) -> int:
        """Vanishes as an engine does that was killed, and returns how the plugin ended."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.stdin = None
        return self._process.wait(10)

    def configure(self, **variables: str) -> Any:
        """Configures the provider; names are those of the provider's arguments."""
        named = {f"kubernetes:config:{name}": value for name, value in variables.items()}
        return self.call(
            "Configure",
            provider_pb2.ConfigureRequest(variables=named, args=encode(variables), acceptSecrets=True),
        )

    def check_answer(self, token: str, name: str, news: Tree, olds: Tree | None = None, seed: bytes = b"") -> Any:
        """The whole answer to a check."""
        request = provider_pb2.CheckRequest(
            urn=urn(token, name), news=encode(news), olds=encode(olds or {}), randomSeed=seed
        )
        return self.call("Check", request)

    def check(self, token: str, name: str, news: Tree, olds: Tree | None = None, seed: bytes = b"") -> Tree:
        """Checked inputs; apiVersion and kind are added to what the program says, as the SDKs do."""
        if not token.startswith("kubernetes:helm.sh"):
            module, kind = token.split(":")[1:]
            news = {"apiVersion": module.removeprefix("core/"), "kind": kind} | news
        answer = self.check_answer(token, name, news, olds, seed)
        assert not answer.failures, answer.failures
        return decode(answer.inputs)

    def diff(self, resource: Resource, news: Tree, ignore: tuple[str, ...] = ()) -> Difference:
        """How new inputs (checked before) differ from a resource's state."""
        request = provider_pb2.DiffRequest(
            id=resource.id,
            urn=urn(resource.type, resource.name),
            olds=encode(resource.state),
            news=encode(news),
            old_inputs=encode(resource.inputs),
            ignoreChanges=ignore,
        )
        answer = self.call("Diff", request)
        kinds = {
            path: provider_pb2.PropertyDiff.Kind.Name(difference.kind).lower()
            for path, difference in answer.detailedDiff.items()
        }
        return Difference(
            changes=answer.changes == provider_pb2.DiffResponse.DIFF_SOME,
            kinds=kinds,
            replaces=list(answer.replaces),
            delete_before_replace=answer.deleteBeforeReplace,
        )

    def create(self, token: str, name: str, inputs: Tree, *, preview: bool = False, timeout: float = 0) -> Resource:
        """Creates a resource from checked inputs; a preview has no ID."""
        request = provider_pb2.CreateRequest(
            urn=urn(token, name), properties=encode(inputs), preview=preview, timeout=timeout
        )
        answer = self.call("Create", request)
        return Resource(token, name, answer.id, decode(answer.properties), inputs)

    def update(
        self,
        resource: Resource,
        inputs: Tree,
        *,
        preview: bool = False,
        timeout: float = 0,
        ignore: tuple[str, ...] = (),
    ) -> Resource:
        """Updates a resource to checked inputs."""
        request = provider_pb2.UpdateRequest(
            id=resource.id,
            urn=urn(resource.type, resource.name),
            olds=encode(resource.state),
            news=encode(inputs),
            old_inputs=encode(resource.inputs),
            preview=preview,
            timeout=timeout,
            ignoreChanges=ignore,
        )
        answer = self.call("Update", request)
        return Resource(resource.type, resource.name, resource.id, decode(answer.properties), inputs)

    def read(self, resource: Resource) -> Resource | None:
        """Refreshes a resource, or imports one that has neither state nor inputs; None when it is gone."""
        request = provider_pb2.ReadRequest(
            id=resource.id,
            urn=urn(resource.type, resource.name),
            properties=encode(resource.state),
            inputs=encode(resource.inputs),
        )
        answer = self.call("Read", request)
        if not answer.id:
            return None
        return Resource(resource.type, resource.name, answer.id, decode(answer.properties), decode(answer.inputs))

    def delete(self, resource: Resource, *, timeout: float = 0) -> None:
        """Deletes a resource."""
        request = provider_pb2.DeleteRequest(
            id=resource.id,
            urn=urn(resource.type, resource.name),
            properties=encode(resource.state),
            old_inputs=encode(resource.inputs),
            timeout=timeout,
        )
        self.call("Delete", request)

    def diff_config(self, olds: Tree, news: Tree) -> Difference:
        """How a provider's new arguments differ from its old ones."""
        request = provider_pb2.DiffRequest(
            urn=urn("pulumi:providers:kubernetes", "cluster"), olds=encode(olds), news=encode(news)
        )
        answer = self.call("DiffConfig", request)
        return Difference(
            changes=answer.changes == provider_pb2.DiffResponse.DIFF_SOME,
            kinds={},
            replaces=sorted(answer.replaces),
            delete_before_replace=answer.deleteBeforeReplace,
        )
