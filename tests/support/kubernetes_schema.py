"""Whether an API server takes an object of one of its own kinds; schemas of kubernetes-validate, offline."""

from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # ships no types

OLDEST, NEWEST = "1.29", "1.37"
"""servers that the manifests are for: native side-cars are on by default since 1.29"""


def builtin_errors(value: dict[str, Any], version: str = NEWEST) -> list[str]:
    """What is wrong with it, unknown fields too; LookupError for a kind that is not built in."""
    try:
        kubernetes_validate.validate(value, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        raise LookupError(
            f"{value.get('kind')} ({value.get('apiVersion')}) is no kind of Kubernetes {version}"
        ) from error
    return []
