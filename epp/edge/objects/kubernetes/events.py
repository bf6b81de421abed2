"""Events: tell the author of an object, where `kubectl describe` shows it, that the picker cannot use it.

One event per object and text; nobody waits for it, and a server that does not take it is no problem of the pool.
"""

import asyncio
import datetime as dt
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.errors import ApiError
from epp.edge.objects.kubernetes.messages import ObjectMeta
from epp.edge.objects.kubernetes.resources import Resource

REASON = "InvalidObject"
COMPONENT = "endpoint-picker"
MOST_WAITING = 100
MOST_REMEMBERED = 1_000
MOST_NOTE_CHARACTERS = 1_024
"""the API's own limit"""


class _Complaint(msgspec.Struct, frozen=True):
    resource: Resource
    meta: ObjectMeta
    text: str


class EventRecorder:
    """`warn` notes, `run` sends. `on_problem` hears, once, why events are not taken."""

    def __init__(
        self,
        api: ApiServer,
        *,
        instance: str,
        now: Callable[[], dt.datetime],
        on_problem: Callable[[str], None],
    ) -> None:
        """`instance` is the name of this replica, `now` the time in UTC."""
        self._api = api
        self._instance = instance
        self._now = now
        self._on_problem = on_problem
        self._waiting: asyncio.Queue[_Complaint] = asyncio.Queue(MOST_WAITING)
        self._said: OrderedDict[str, str] = OrderedDict()
        self._is_refused = False

    def warn(self, resource: Resource, meta: ObjectMeta, text: str) -> None:
        """The object cannot be used; said again only when the reason is another one."""
        name = resource.name_of(meta.name)
        if self._said.get(name) == text or self._waiting.full():
            return
        self._said[name] = text
        self._said.move_to_end(name)
        if len(self._said) > MOST_REMEMBERED:
            self._said.popitem(last=False)
        self._waiting.put_nowait(_Complaint(resource, meta, text))

    async def run(self) -> None:
        """Sends until it is cancelled."""
        while True:
            complaint = await self._waiting.get()
            path = f"/apis/events.k8s.io/v1/namespaces/{complaint.resource.namespace}/events"
            try:
                await self._api.request("POST", path, body=self._event(complaint))
            except ApiError as error:
                if not self._is_refused:
                    self._on_problem(str(error))
                self._is_refused = True
            else:
                self._is_refused = False

    def _event(self, complaint: _Complaint) -> dict[str, Any]:
        """An Event of events.k8s.io/v1."""
        resource, meta = complaint.resource, complaint.meta
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta.name[:200]}.", "namespace": resource.namespace},
            "eventTime": self._now().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "reportingController": COMPONENT,
            "reportingInstance": self._instance[:128],
            "action": "Read",
            "reason": REASON,
            "type": "Warning",
            "note": complaint.text[:MOST_NOTE_CHARACTERS],
            "regarding": {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                "namespace": resource.namespace,
                "name": meta.name,
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
            },
        }
