"""The schemas of built-in kinds that the kubernetes-validate package carries."""

from importlib.util import find_spec
from pathlib import Path

from epp.lab.kube_api.known_schemas import DefinitionsFile

VERSION = "1.37.0"


def built_in_schemas() -> DefinitionsFile:
    """Of Kubernetes 1.37."""
    package = find_spec("kubernetes_validate")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "kubernetes-json-schema"
    return DefinitionsFile(folder / f"v{VERSION}-local" / "_definitions.json")
