"""What an API server sends, as far as it concerns everybody: lists, watch events, Status. Objects stay raw JSON."""

import msgspec


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    """`continue_` is the token of the next page, empty on the last one."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class ListPage(msgspec.Struct, frozen=True):
    """One page of a list."""

    metadata: ListMeta = ListMeta()
    items: list[msgspec.Raw] | None = None


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """What tells one object from another, and its versions."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""


class ObjectHead(msgspec.Struct, frozen=True):
    """The part that all objects share."""

    metadata: ObjectMeta = ObjectMeta()


class WatchEvent(msgspec.Struct, frozen=True):
    """`type` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR; with ERROR the object is a Status."""

    type: str
    object: msgspec.Raw


class StatusDetails(msgspec.Struct, frozen=True, rename="camel"):
    """What is read of the details."""

    retry_after_seconds: int = 0


class Status(msgspec.Struct, frozen=True):
    """Kind Status of meta/v1."""

    message: str = ""
    reason: str = ""
    code: int = 0
    details: StatusDetails | None = None

    @property
    def retry_after_s(self) -> float | None:
        """How long the server wants to be left alone, None when it does not say."""
        seconds = self.details.retry_after_seconds if self.details else 0
        return float(seconds) if seconds > 0 else None
