"""Kubeconfig files for clients of this server."""

from base64 import b64encode
from pathlib import Path

import yaml


def kubeconfig(url: str, ca_pem: str, token: str, *, namespace: str = "default", context: str = "lab") -> str:
    """The text: one cluster, one user with a token, one context, which is the current one."""
    user = f"{context}-user"
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": context,
                    "cluster": {"server": url, "certificate-authority-data": b64encode(ca_pem.encode()).decode()},
                }
            ],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": context, "context": {"cluster": context, "user": user, "namespace": namespace}}],
            "current-context": context,
            "preferences": {},
        },
        sort_keys=False,
    )


def write_kubeconfig(path: Path, text: str) -> None:
    """Readable by its owner only, because it holds a token."""
    path.touch(mode=0o600)
    path.write_text(text)
