"""What the plugin does to resources, in terms of trees of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from sandbox.plugins.gcp import cloud, states
from sandbox.plugins.gcp.check import DEFAULTS, Check
from sandbox.plugins.gcp.cloud import Cloud, CloudError
from sandbox.plugins.gcp.diff import Difference, difference
from sandbox.plugins.gcp.google import api_of
from sandbox.plugins.gcp.google.resource import PlanError, Request, Setting
from sandbox.plugins.gcp.names import Mode, automatic
from sandbox.plugins.gcp.rules import rules_of
from sandbox.plugins.gcp.values import Tree, plain


@dataclass(frozen=True)
class Naming:
    """What the engine has to say about automatic names."""

    seed: bytes
    proposed: tuple[Mode, str] | None


def delete_first(token: str, inputs: Tree) -> bool:
    """Whether the old one has to go before the new one is made: a name that the program fixes cannot be there twice."""
    rules = rules_of(token)
    fixed = rules.name is not None and rules.name.property not in inputs.get(DEFAULTS, ())
    return rules.delete_first or fixed


@dataclass(frozen=True)
class Resources:
    """The resources of one configured provider."""

    setting: Setting
    environ: Mapping[str, str]

    def check(self, token: str, name: str, olds: Tree, news: Tree, naming: Naming) -> tuple[Tree, list[str]]:
        """Return completed inputs, and what is wrong with them.

        Raises:
            NamingError: it has no name, and gets none.
            WrongTypeError: a number is none.
        """
        rule, named = rules_of(token).name, dict(news)
        if rule is not None and news.get(rule.property) is None:
            if rule.property in olds.get(DEFAULTS, ()) and olds.get(rule.property):
                named[rule.property] = olds[rule.property]
            else:
                named[rule.property] = automatic(rule, name, naming.seed, naming.proposed)
        checked = Check(token, name).run(named)
        if named.keys() - news.keys():
            checked.inputs[DEFAULTS] = sorted([*checked.inputs[DEFAULTS], *(named.keys() - news.keys())])
        return checked.inputs, checked.failures

    def diff(self, token: str, state: Tree, before: Tree, news: Tree) -> Difference:
        """Return how new inputs differ from a resource."""
        return difference(token, state, before, news)

    def plan(self, token: str, urn: str, inputs: Tree, before: Tree | None = None) -> Tree:
        """Return what a preview can tell of a new resource, or of one that is changed.

        Raises:
            PlanError: the inputs do not go together.
        """
        known = self._plan(token, urn, self._request(inputs, before))
        if before:
            return states.with_secrets(token, states.overlay(plain(before), plain(inputs)))
        return states.planned(token, inputs, known)

    def create(self, token: str, urn: str, inputs: Tree) -> tuple[str, Tree]:
        """Make a resource and return its ID and state.

        Raises:
            PlanError: the inputs do not go together.
            CloudError: Google refuses it.
        """
        api = api_of(token)
        planned = self._plan(token, urn, self._request(inputs))
        with self._cloud(f"Error creating {_title(token)}: ") as held:
            request = self._request(inputs, held=held)
            api.require_service(request)
            identity = api.identity(request)
            if held.get(token, identity) is not None and not api.shared:
                raise api.conflict(identity)
            api.admit(request)
            state = states.overlay(planned | api.outputs(request), plain(inputs))
            held.put(token, identity, state)
        return identity, states.with_secrets(token, state)

    def update(self, token: str, urn: str, identity: str, before: Tree, news: Tree) -> Tree:
        """Change a resource and return its state.

        Raises:
            PlanError: the inputs do not go together.
            CloudError: Google refuses it.
        """
        api = api_of(token)
        self._plan(token, urn, self._request(news, before))
        with self._cloud(f"updating {urn}: ") as held:
            live = held.get(token, identity)
            if live is None:
                raise CloudError.of(404, f"The resource '{identity}' was not found", "notFound")
            held.remove(token, identity)  # it is not in its own way
            request = self._request(news, live, held)
            api.admit(request)
            state = states.overlay(states.overlay(api.outputs(request), states.kept(token, live, news)), plain(news))
            held.put(token, identity, state)
        return states.with_secrets(token, state)

    def read(self, token: str, identity: str, inputs: Tree) -> tuple[Tree, Tree] | None:
        """Return a resource's state and inputs as they are now; None when it is gone.

        Raises:
            CloudError: there is no cloud.
        """
        with self._cloud("") as held:
            live = held.get(token, identity)
        if live is None:
            return None
        return states.with_secrets(token, live), states.refreshed(token, inputs, live)

    def delete(self, token: str, urn: str, identity: str, state: Tree) -> None:
        """Delete a resource.

        Raises:
            CloudError: it is protected, or Google refuses it.
        """
        api = api_of(token)
        with self._cloud(f"deleting {urn}: ") as held:
            if state.get("deletionPolicy") == "PREVENT":
                raise CloudError(f'cannot destroy "{identity}" without setting deletion_policy="DELETE"')
            if state.get("deletionPolicy") == "ABANDON" or api.stays(state):
                return
            if state.get("deletionProtection"):
                raise CloudError(
                    "Cannot destroy cluster because deletion_protection is set to true. "
                    "Set it to false to proceed with cluster deletion."
                )
            api.dismiss(identity, held)
            held.remove(token, identity)

    def _request(self, inputs: Tree, before: Tree | None = None, held: Cloud | None = None) -> Request:
        return Request(self.setting, plain(inputs), plain(before or {}), self.environ, held or Cloud({}))

    def _plan(self, token: str, urn: str, request: Request) -> Tree:
        try:
            return api_of(token).plan(request)
        except PlanError as error:
            raise PlanError(f"diffing {urn}: {_one_error(str(error))}") from error

    @contextmanager
    def _cloud(self, doing: str) -> Iterator[Cloud]:
        try:
            with cloud.opened(cloud.file_from(dict(self.environ))) as held:
                yield held
        except CloudError as error:
            begins = doing.startswith("Error")
            raise CloudError(_one_error(f"{doing}{error}") if begins else f"{doing}{_one_error(str(error))}") from error


def _one_error(message: str) -> str:
    return f"1 error occurred:\n\t* {message}\n\n"


def _title(token: str) -> str:
    return token.rpartition(":")[2]
