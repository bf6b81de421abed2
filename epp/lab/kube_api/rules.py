"""What a kind demands of its objects: how they are read, completed and checked."""

from typing import Protocol

import msgspec

from epp.lab.kube_api.json_object import Json
from epp.lab.kube_api.resources import Resource
from epp.lab.kube_api.status import Cause


class Reading(msgspec.Struct, frozen=True):
    """An object as the server understood it."""

    value: Json
    unknown: tuple[str, ...] = ()
    """fields that the kind does not have, as `unknown field "spec.foo"`"""


class Rules(Protocol):
    """What the schema of a resource says."""

    def read(self, resource: Resource, value: Json) -> Reading:
        """Without unknown fields and with defaults; raises ApiError 400 for what cannot be decoded."""

    def problems(self, resource: Resource, value: Json, before: Json | None) -> list[Cause]:
        """Everything that is wrong with it."""
