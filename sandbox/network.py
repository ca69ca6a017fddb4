"""The pair of interfaces between host and node, and the host's route to the pods; all of it ends with the node."""

from __future__ import annotations

import ipaddress
import json
import socket
from pathlib import Path

from sandbox.commands import output_of, system_environment
from sandbox.errors import SandboxError
from sandbox.node_config import HOST_ADDRESS, INTERFACE, LINK, NODE_ADDRESS, NODE_PODS, PODS, SERVICES


def _ip(*arguments: str, inside: int | None = None) -> str:
    enter = [] if inside is None else ["nsenter", "--target", str(inside), "--net"]
    return output_of("ip " + " ".join(arguments), [*enter, "ip", *arguments], env=system_environment())


def interface_exists() -> bool:
    """True when the host's end is there."""
    return any(name == INTERFACE for _, name in socket.if_nameindex())


def require_free_addresses(state_root: Path) -> None:
    """Refuse addresses that this machine already uses for something else.

    Raises:
        SandboxError: another user's sandbox has the interface, or another network the addresses.
    """
    if interface_exists() and not owned_by(state_root):
        raise SandboxError(
            f"another sandbox runs with its state in {_owner()}; end it with `python -m sandbox down` as its user"
        )
    for route in json.loads(_ip("-json", "-4", "route", "show", "table", "all")):
        used = route.get("dst", "default")
        if used == "default" or route.get("dev") in {INTERFACE, None}:
            continue
        network = ipaddress.IPv4Network(used)
        for ours in (LINK, PODS):
            if ours.overlaps(network) and network.prefixlen > 8:  # a VPN's 10.0.0.0/8 gives way to a longer prefix
                raise SandboxError(
                    f"the sandbox needs the addresses {ours}, but this machine has {network} on {route['dev']}: "
                    f"end what uses {route['dev']} first"
                )


def connect(node: int, state_root: Path) -> None:
    """Join the host and the node whose first process is `node`; nothing of the node's traffic leaves this machine."""
    _ip("link", "add", INTERFACE, "type", "veth", "peer", "name", "eth0", "netns", str(node))
    _ip("link", "set", INTERFACE, "alias", str(state_root))
    _ip("address", "add", f"{HOST_ADDRESS}/{LINK.prefixlen}", "dev", INTERFACE)
    _ip("link", "set", INTERFACE, "up")
    _ip("route", "add", str(NODE_PODS), "via", NODE_ADDRESS, "dev", INTERFACE)
    _ip("address", "add", f"{NODE_ADDRESS}/{LINK.prefixlen}", "dev", "eth0", inside=node)
    _ip("link", "set", "eth0", "up", inside=node)
    # The node's own programs need a route to Services before kube-proxy's rules turn them to a pod: on the link, where
    # nobody answers for an address without a rule. There is no route to anything else: what runs in the sandbox reaches
    # the host's end and nothing behind it.
    _ip("route", "add", str(SERVICES), "dev", "eth0", "scope", "link", "src", NODE_ADDRESS, inside=node)
    _ip("route", "add", "unreachable", "default", inside=node)


def disconnect(state_root: Path) -> None:
    """Remove the host's end (and with it the node's end and the routes) where it is still there and ours."""
    if owned_by(state_root):
        _ip("link", "delete", INTERFACE)


def owned_by(state_root: Path) -> bool:
    """True when the interface is there and belongs to the sandbox with that state folder."""
    return interface_exists() and _owner() == str(state_root)


def _owner() -> str:
    return str(json.loads(_ip("-json", "link", "show", INTERFACE))[0].get("ifalias", "an unknown place"))
