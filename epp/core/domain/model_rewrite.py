"""InferenceModelRewrite: requests for one model are served by another, or spread over several by weight."""

import math

import msgspec


class RewriteTarget(msgspec.Struct, frozen=True):
    """A model that may serve instead; `weight` counts against the other weights of its rule."""

    model: str
    weight: int | None = None


class RewriteRule(msgspec.Struct, frozen=True):
    """What becomes of the requests for `models`; a rule without models is generic and matches every request."""

    models: tuple[str, ...]
    targets: tuple[RewriteTarget, ...]
    """never empty"""


class InferenceModelRewrite(msgspec.Struct, frozen=True):
    """Rules in order: of those that match a model the first one counts."""

    namespace: str
    name: str
    pool_name: str
    rules: tuple[RewriteRule, ...]
    created_at: float | None = None
    """creationTimestamp in seconds since 1970; None where the object has none, as in a file written by hand"""


def precedence(rewrite: InferenceModelRewrite) -> tuple[float, str, str]:
    """Sort key: the oldest object counts; without a time it is the youngest, among equals names decide."""
    created_at = math.inf if rewrite.created_at is None else rewrite.created_at
    return created_at, rewrite.namespace, rewrite.name
