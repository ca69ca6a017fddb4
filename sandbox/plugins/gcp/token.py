"""A stand-in for gke-gcloud-auth-plugin: gives Kubernetes clients a token for the cluster that stands in for Google's.

A client starts it and reads an ExecCredential from its output. The real one has a token of Google's; this one asks the
sandbox's API server for one that is good for an hour, as a service account that may do everything there, which it makes
when it is missing. It reaches the API server by the sandbox's own kubeconfig, that of SANDBOX_KUBECONFIG, or else of
KUBECONFIG: clients hand their environment on. The token is on no command line and in no file; nothing is cached.

What it does not do: the real one's flags, and clusters that are not the sandbox.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from sandbox.plugins.gcp.kubeconfig import Access, NoSandboxError, access

_NAMESPACE, _ACCOUNT = "kube-system", "gke-user"
_ACCOUNTS = f"/api/v1/namespaces/{_NAMESPACE}/serviceaccounts"
_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
_LIFETIME_SECONDS = 3600
_TIMEOUT_SECONDS = 10.0
_API = "client.authentication.k8s.io/v1beta1"
_BINDING = {
    "metadata": {"name": _ACCOUNT},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"kind": "ServiceAccount", "name": _ACCOUNT, "namespace": _NAMESPACE}],
}


class RefusedError(Exception):
    """The API server gives no token; the message says why."""


def credential(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the ExecCredential for the sandbox's cluster.

    Raises:
        NoSandboxError: there is none, or another cluster is asked for.
        RefusedError: its API server gives no token.
        OSError: it does not answer.
    """
    found = access(environ)
    _refuse_another(found, environ)
    api = _Api(found)
    status, answer = api.ask_token()
    if status == http.HTTPStatus.NOT_FOUND:
        api.make(_ACCOUNTS, {"metadata": {"name": _ACCOUNT}})
        api.make(_BINDINGS, _BINDING)
        status, answer = api.ask_token()
    if status != http.HTTPStatus.CREATED:
        raise RefusedError(f"{found.server} gives no token: {answer.get('message') or status}")
    given = answer["status"]
    return {
        "apiVersion": _API,
        "kind": "ExecCredential",
        "status": {"token": given["token"], "expirationTimestamp": given["expirationTimestamp"]},
    }


def _refuse_another(found: Access, environ: Mapping[str, str]) -> None:
    """Keep the sandbox's token from other clusters, where the client says which one it means."""
    info = json.loads(environ.get("KUBERNETES_EXEC_INFO") or "{}")
    server = ((info.get("spec") or {}).get("cluster") or {}).get("server")
    if server and server.rstrip("/") != found.server.rstrip("/"):
        raise NoSandboxError(
            f"{server} is not the sandbox's cluster ({found.server}), and this is the sandbox's stand-in for "
            "gke-gcloud-auth-plugin: use a shell without the sandbox's environment"
        )


class _Api:
    """The sandbox's API server, by one connection."""

    def __init__(self, found: Access) -> None:
        address = urlsplit(found.server)
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token := found.user.get("token"):
            self._headers["Authorization"] = f"Bearer {token}"
        trust = ssl.create_default_context(cadata=found.authority.decode() or None)
        certificate, key = found.data("client-certificate"), found.data("client-key")
        if certificate and key:
            _identify(trust, certificate + b"\n" + key)
        elif not token:
            raise NoSandboxError("the sandbox's kubeconfig has neither a client certificate nor a token")
        self._connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, context=trust, timeout=_TIMEOUT_SECONDS
        )

    def ask_token(self) -> tuple[int, dict[str, Any]]:
        """Ask for a token of the account; 404 when there is no such account yet."""
        wanted = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": _LIFETIME_SECONDS},
        }
        return self._post(f"{_ACCOUNTS}/{_ACCOUNT}/token", wanted)

    def make(self, path: str, content: dict[str, Any]) -> None:
        """Create an object; one that exists, made by another client at the same time, is as good."""
        status, answer = self._post(path, content)
        if status not in {http.HTTPStatus.CREATED, http.HTTPStatus.CONFLICT}:
            raise RefusedError(f"cannot create {path.rpartition('/')[2]}: {answer.get('message') or status}")

    def _post(self, path: str, content: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self._connection.request("POST", path, json.dumps(content), self._headers)
        response = self._connection.getresponse()
        body = response.read()
        try:
            return response.status, dict(json.loads(body))
        except ValueError:
            return response.status, {}


def _identify(trust: ssl.SSLContext, pem: bytes) -> None:
    """Have the client's key used. ssl takes files only, so it is one that exists in memory alone."""
    memory = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        os.write(memory, pem)
        trust.load_cert_chain(f"/proc/self/fd/{memory}")
    finally:
        os.close(memory)


def main() -> None:
    """Print the credential, or one line that says why there is none."""
    try:
        found = credential(os.environ)
    except (NoSandboxError, RefusedError, OSError) as error:
        sys.exit(f"gke-gcloud-auth-plugin (the sandbox's stand-in): {error}")
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
