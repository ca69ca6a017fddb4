"""The plugin's side of the engine's protocol: one method for each question of the engine."""

# The protocol names the methods, and gives each of them a context.
# ruff: noqa: N802, ARG002

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeAlias

import grpc  # type: ignore[import-untyped]
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from sandbox.plugins.gcp import configuration, resources
from sandbox.plugins.gcp.check import WrongTypeError
from sandbox.plugins.gcp.cloud import CloudError
from sandbox.plugins.gcp.diff import Change
from sandbox.plugins.gcp.google.resource import PlanError, Setting
from sandbox.plugins.gcp.names import Mode, NamingError
from sandbox.plugins.gcp.resources import Resources
from sandbox.plugins.gcp.schema import TYPES, version
from sandbox.plugins.gcp.values import Tree, decode, encode

Message: TypeAlias = Any
"""A request or an answer; their classes are generated without types."""
Context: TypeAlias = Any

_NOT_HERE = "is not supported by this stand-in of the GCP plugin"


def _answers(
    method: Callable[[Provider, Message, Context], Message],
) -> Callable[[Provider, Message, Context], Message]:
    """Turn a refusal into the error that the engine shows."""

    @wraps(method)
    def answer(self: Provider, request: Message, context: Context) -> Message:
        try:
            return method(self, request, context)
        except (CloudError, PlanError, NamingError, WrongTypeError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))

    return answer


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """A provider, configured once."""

    def __init__(self) -> None:
        self._resources = Resources(Setting("", "", "", {}), dict(os.environ))

    def GetPluginInfo(self, request: Message, context: Context) -> Message:
        """Tell the version."""
        return plugin_pb2.PluginInfo(version=version())

    def GetSchema(self, request: Message, context: Context) -> Message:
        """Tell no more than the package's name: the SDKs bring their own."""
        schema = {"name": "gcp", "version": version(), "resources": {}}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def GetMapping(self, request: Message, context: Context) -> Message:
        """Have no mapping from other tools."""
        return provider_pb2.GetMappingResponse()

    def GetMappings(self, request: Message, context: Context) -> Message:
        """Have none either."""
        return provider_pb2.GetMappingsResponse()

    def Attach(self, request: Message, context: Context) -> Message:
        """Take note of an engine; there is nothing to tell it."""
        return Empty()

    def Cancel(self, request: Message, context: Context) -> Message:
        """End nothing: no operation takes long."""
        return Empty()

    def CheckConfig(self, request: Message, context: Context) -> Message:
        """Check the provider's configuration."""
        inputs, failures = configuration.check(_name(request.urn), decode(request.news))
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    def DiffConfig(self, request: Message, context: Context) -> Message:
        """Compare configurations; none of a change's kinds replaces resources."""
        olds, news = decode(request.old_inputs or request.olds), decode(request.news)
        differ = sorted(name for name in olds.keys() | news.keys() if olds.get(name) != news.get(name))
        changes = provider_pb2.DiffResponse.DIFF_SOME if differ else provider_pb2.DiffResponse.DIFF_NONE
        return provider_pb2.DiffResponse(changes=changes, diffs=differ)

    def Configure(self, request: Message, context: Context) -> Message:
        """Take over the configuration."""
        environ = dict(os.environ)
        self._resources = Resources(configuration.setting(decode(request.args), environ), environ)
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    @_answers
    def Check(self, request: Message, context: Context) -> Message:
        """Check inputs, and complete them with a name and defaults."""
        proposed = None
        if request.HasField("autonaming"):
            proposed = (Mode(request.autonaming.mode), str(request.autonaming.proposed_name))
        inputs, failures = self._resources.check(
            _type(request, context),
            _name(request.urn),
            decode(request.olds),
            decode(request.news),
            resources.Naming(request.randomSeed, proposed),
        )
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=_failures(failures))

    @_answers
    def Diff(self, request: Message, context: Context) -> Message:
        """Compare new inputs with what there is."""
        token, news = _type(request, context), decode(request.news)
        found = self._resources.diff(token, decode(request.olds), decode(request.old_inputs), news)
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if found.changes else provider_pb2.DiffResponse.DIFF_NONE,
            diffs=found.top,
            replaces=found.replaces_top,
            deleteBeforeReplace=bool(found.replaces) and resources.delete_first(token, news),
            detailedDiff={
                path: provider_pb2.PropertyDiff(kind=_kind(change, path in found.replaces))
                for path, change in found.changes.items()
            },
            hasDetailedDiff=True,
        )

    @_answers
    def Create(self, request: Message, context: Context) -> Message:
        """Make a resource, or say what a preview can tell of it."""
        token, inputs = _type(request, context), decode(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=encode(self._resources.plan(token, request.urn, inputs)))
        identity, state = self._resources.create(token, request.urn, inputs)
        return provider_pb2.CreateResponse(id=identity, properties=encode(state))

    @_answers
    def Read(self, request: Message, context: Context) -> Message:
        """Look at a resource; without an ID in the answer it is gone."""
        found = self._resources.read(_type(request, context), request.id, decode(request.inputs))
        if found is None:
            return provider_pb2.ReadResponse()
        state, inputs = found
        return provider_pb2.ReadResponse(id=request.id, properties=encode(state), inputs=encode(inputs))

    @_answers
    def Update(self, request: Message, context: Context) -> Message:
        """Change a resource, or say what a preview can tell of that."""
        token, olds, news = _type(request, context), decode(request.olds), decode(request.news)
        if request.preview:
            state: Tree = self._resources.plan(token, request.urn, news, olds)
        else:
            state = self._resources.update(token, request.urn, request.id, olds, news)
        return provider_pb2.UpdateResponse(properties=encode(state))

    @_answers
    def Delete(self, request: Message, context: Context) -> Message:
        """Delete a resource; one that is gone already is no error."""
        self._resources.delete(_type(request, context), request.urn, request.id, decode(request.properties))
        return Empty()

    def Invoke(self, request: Message, context: Context) -> Message:
        """Refuse functions."""
        _refuse(context, f"{request.tok} {_NOT_HERE}")

    def Call(self, request: Message, context: Context) -> Message:
        """Refuse methods."""
        _refuse(context, f"{request.tok} {_NOT_HERE}")

    def Construct(self, request: Message, context: Context) -> Message:
        """Refuse components."""
        _refuse(context, f"{request.type} {_NOT_HERE}")


def _kind(change: Change, replaces: bool) -> Message:  # noqa: FBT001 - the protocol's other half of a kind
    return int(change) + replaces


def _type(request: Message, context: Context) -> str:
    token = str(request.urn).split("::")[2].rpartition("$")[2]
    if token not in TYPES:
        _refuse(context, f"{token} {_NOT_HERE}")
    return token


def _name(urn: str) -> str:
    return urn.split("::", 3)[3]


def _failures(reasons: list[str]) -> list[Message]:
    return [provider_pb2.CheckFailure(reason=reason) for reason in reasons]


def _refuse(context: Context, reason: str) -> NoReturn:
    context.abort(grpc.StatusCode.UNIMPLEMENTED, reason)
    raise AssertionError  # abort does not return, which its types do not say
