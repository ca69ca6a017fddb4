"""The environment in which `pulumi` and `kubectl` mean the sandbox; what the user has stays first on PATH.

Where the GCP plugin is a stand-in, a cluster on GKE is the sandbox too: the plugin finds its made-up cloud and the
sandbox's kubeconfig by variables of their own, since KUBECONFIG may come to mean something else.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping

from sandbox import plan
from sandbox.errors import SandboxError
from sandbox.node_config import HOST_ADDRESS, NODE_ADDRESS, NODE_PODS
from sandbox.plugins.gcp import cloud, kubeconfig, trust
from sandbox.pulumi_env import PluginsError, find_tools, pulumi_environment
from sandbox.state import State


def variables(state: State, environ: Mapping[str, str]) -> dict[str, str]:
    """What to set on top of `environ`; the same again when `environ` already has it.

    Raises:
        SandboxError: PLUGINS asks for plugins that are not there.
    """
    try:
        found = pulumi_environment(state.root, state.checkout, plan.pulumi_folder(), environ)
    except PluginsError as error:
        raise SandboxError(str(error)) from error
    result = found | {
        "PATH": _order(found["PATH"], str(state.checkout / ".venv" / "bin"), str(plan.path_folder())),
        "KUBECONFIG": str(state.kubeconfig),
    }
    gcp = find_tools(plan.pulumi_folder(), environ).gcp
    if gcp is not None and not gcp.real:
        result |= {cloud.FILE_VARIABLE: str(state.root / "cloud.json"), kubeconfig.FILE_VARIABLE: str(state.kubeconfig)}
        result |= trust.variables(state.root, state.kubeconfig, environ)
    return result | (_no_proxy(environ) if state.context is None else {})


def _order(path: str, first: str, last: str) -> str:
    inner = [entry for entry in path.split(os.pathsep) if entry not in {first, last}]
    return os.pathsep.join([first, *inner, last])


def _no_proxy(environ: Mapping[str, str]) -> dict[str, str]:
    """A user's proxy cannot reach the sandbox, so its addresses have to go past it."""
    if not any(environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")):
        return {}
    listed = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    known = [entry for entry in listed.split(",") if entry]
    ours = [address for address in (NODE_ADDRESS, HOST_ADDRESS, str(NODE_PODS)) if address not in known]
    value = ",".join([*known, *ours])
    return {"NO_PROXY": value, "no_proxy": value}


def export_lines(settings: Mapping[str, str]) -> str:
    """Shell lines for `eval`, in a fixed order."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(settings.items()))
