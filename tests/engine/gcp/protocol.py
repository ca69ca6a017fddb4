"""The engine's side of the plugin protocol, as the GCP plugin is driven by it."""

from __future__ import annotations

from typing import Any

from pulumi.runtime.proto import provider_pb2

from tests.engine.kubernetes import protocol
from tests.engine.kubernetes.protocol import Tree, decode, encode, urn

PROJECT = "my-project"
REGION = "europe-west1"
TOKEN = "made-up-token-2f1c"
CONFIG = {"project": PROJECT, "region": REGION, "accessToken": TOKEN}
# The real plugin asks Google for its regions otherwise. It heeds the configuration's key for this in vain: the engine
# hands that over as text, and it looks for a boolean.
ENVIRON = {"PULUMI_GCP_SKIP_REGION_VALIDATION": "true"}


class Plugin(protocol.Plugin):
    """A running GCP plugin."""

    def configure(self, **variables: str) -> Any:
        """Configures the provider."""
        named = {f"gcp:config:{name}": value for name, value in variables.items()}
        return self.call(
            "Configure", provider_pb2.ConfigureRequest(variables=named, args=encode(variables), acceptSecrets=True)
        )

    def failures(self, token: str, news: Tree, name: str = "x") -> list[str]:
        """What a check finds wrong with inputs."""
        return [failure.reason for failure in self.check_answer(token, name, news, seed=b"seed").failures]

    def check(self, token: str, name: str, news: Tree, olds: Tree | None = None, seed: bytes = b"seed") -> Tree:
        """Checked inputs."""
        answer = self.check_answer(token, name, news, olds, seed)
        assert not answer.failures, answer.failures
        return decode(answer.inputs)

    def check_config(self, news: Tree, name: str = "default_10_2_0") -> Any:
        """The whole answer to a check of the provider's configuration."""
        request = provider_pb2.CheckRequest(urn=urn("pulumi:providers:gcp", name), news=encode(news))
        return self.call("CheckConfig", request)

    def made(self, token: str, name: str, inputs: Tree) -> protocol.Resource:
        """A resource, checked and created."""
        return self.create(token, name, self.check(token, name, inputs))
