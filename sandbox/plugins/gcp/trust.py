"""Makes the sandbox's certificate one that is publicly trusted, for whoever runs in the sandbox's environment.

The DNS name of a real cluster on GKE has a certificate that any client trusts, so a kubeconfig for it names no
authority. The sandbox stands in for such a cluster, and its certificate is its own. Go's clients and OpenSSL's read
their roots from the file in SSL_CERT_FILE: that becomes the user's own roots, or the system's, and the sandbox's.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sandbox.plugins.gcp.kubeconfig import FILE_VARIABLE, NoSandboxError, access

_USERS = "SANDBOX_USERS_CERT_FILE"
"""What SSL_CERT_FILE was before, so that evaluating the environment twice does not lose it."""
# Where distributions keep their roots, in the order in which Go looks.
_SYSTEM = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


def variables(root: Path, kubeconfig: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Write the roots and return what to set; nothing where there is no sandbox yet, or none with a root of its own.

    Args:
        root: the folder of the sandbox's state, which gets the file.
        kubeconfig: the sandbox's.
        environ: the caller's environment.
    """
    try:
        authority = access({FILE_VARIABLE: str(kubeconfig)}).authority
    except NoSandboxError:
        return {}
    if not authority:
        return {}
    ours = root / "roots.pem"
    current = environ.get("SSL_CERT_FILE", "")
    users = environ.get(_USERS, "") if current == str(ours) else current
    base = next((Path(file) for file in ([users] if users else _SYSTEM) if Path(file).is_file()), None)
    _write(ours, (base.read_bytes() + b"\n" if base else b"") + authority)
    return {"SSL_CERT_FILE": str(ours)} | ({_USERS: users} if users else {})


def _write(file: Path, content: bytes) -> None:
    if file.exists() and file.read_bytes() == content:
        return
    staged = file.with_name(f".{file.name}.{os.getpid()}")
    staged.write_bytes(content)
    staged.replace(file)
