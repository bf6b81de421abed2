"""Where the API server is and with which credentials: as `kubectl` and client-go look for them.

In this order: --kubeconfig, $KUBECONFIG, the service account of the pod, ~/.kube/config. The official client reads all
of them (certificates, tokens, token files, exec plugins, OIDC).
"""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from yaml import YAMLError

from epp.core.domain.errors import InvalidInput

IN_CLUSTER = "KUBERNETES_SERVICE_HOST"
Access = Callable[[], Awaitable[Configuration]]
"""reads everything anew: a token or certificate may be another one now; raises InvalidInput"""


class AccessSettings(msgspec.Struct, frozen=True):
    """What flags say."""

    kubeconfig: str = ""
    """path, or several with `:` between them; empty: look around"""
    context: str = ""
    """name of a context of the kubeconfig; empty: its current one"""


def find_access(settings: AccessSettings, environment: Mapping[str, str]) -> Access:
    """How to reach the API server; raises InvalidInput where there is nothing to go by."""
    files = settings.kubeconfig or environment.get("KUBECONFIG", "")
    if files:
        return _from_files(files, settings.context, "--kubeconfig" if settings.kubeconfig else "$KUBECONFIG")
    if settings.context:
        files = str(_default_file(environment))
        return _from_files(files, settings.context, "--kube-context")
    if environment.get(IN_CLUSTER):
        return _in_cluster
    default = _default_file(environment)
    if default.exists():
        return _from_files(str(default), "", str(default))
    raise InvalidInput(
        "API server",
        "no credentials found: this process is in no pod of a cluster (no $KUBERNETES_SERVICE_HOST), and there is no "
        f"--kubeconfig, no $KUBECONFIG and no {default}; to work without a cluster give --objects PATH",
    )


def _default_file(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("HOME", "/")) / ".kube" / "config"


def _from_files(files: str, context: str, named_by: str) -> Access:
    load: Any = load_kube_config

    async def access() -> Configuration:
        configuration = _fresh()
        try:
            await load(
                config_file=files, context=context or None, client_configuration=configuration, persist_config=False
            )
        except (ConfigException, YAMLError, OSError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise InvalidInput(files, f"cannot be used as kubeconfig: {str(error) or type(error).__name__}") from error
        if not configuration.host.startswith(("https://", "http://")):
            raise InvalidInput(files, f"{named_by}: the cluster of the context has no server address")
        return configuration

    return access


async def _in_cluster() -> Configuration:
    configuration = _fresh()
    load: Any = load_incluster_config
    try:
        load(client_configuration=configuration)
    except (ConfigException, OSError) as error:
        raise InvalidInput("service account of the pod", f"{error}; is automountServiceAccountToken off?") from error
    return configuration


def _fresh() -> Configuration:
    """One of our own: the library keeps a default for the whole process."""
    make: Any = Configuration
    configuration: Configuration = make(host="")
    configuration.retries = None  # asking again is the reflector's business
    return configuration
