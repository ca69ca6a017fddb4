"""How a client reaches a GKE cluster: its address, and a helper that gets a token when needed. No Pulumi import."""

import json

AUTH_PLUGIN = "gke-gcloud-auth-plugin"
INSTALL_HINT = f"Install {AUTH_PLUGIN}: gcloud components install {AUTH_PLUGIN}"


def kubeconfig(name: str, server: str, certificate_authority: str | None) -> str:
    """Return a kubeconfig as JSON. It holds no token: the helper gets a short-lived one for whoever runs the client.

    Args:
        name: of cluster, user and context.
        server: host of the control plane, without a scheme.
        certificate_authority: base64 of the PEM that signs the server's certificate; None for one that is publicly
            trusted, as that of a cluster's DNS name is.
    """
    cluster = {"server": f"https://{server}"}
    if certificate_authority is not None:
        cluster["certificate-authority-data"] = certificate_authority
    helper = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": AUTH_PLUGIN,
        "installHint": INSTALL_HINT,
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
    }
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": cluster}],
            "users": [{"name": name, "user": {"exec": helper}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        },
        sort_keys=True,
    )
