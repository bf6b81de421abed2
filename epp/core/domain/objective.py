"""InferenceObjective: the priority of the requests that name it."""

import msgspec


class InferenceObjective(msgspec.Struct, frozen=True):
    """`priority`: larger is more important, negative may be shed; unset in the object means 0."""

    namespace: str
    name: str
    pool_name: str
    priority: int = 0
