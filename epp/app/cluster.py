"""What a picker has when its pool is in a cluster: objects from the API server, leader election, who may read pages."""

import asyncio
import datetime as dt
import os
import re
import socket
import uuid
from collections.abc import Callable
from random import random

from epp.app.flag import FlagError
from epp.app.options import ServeOptions
from epp.core.domain.errors import InvalidInput
from epp.core.domain.pool import InferencePool
from epp.core.domain.ports import AccessReviewer, Clock, ObjectSink
from epp.edge.objects.findings import Notice
from epp.edge.objects.kubernetes.access import AccessSettings, find_access
from epp.edge.objects.kubernetes.api_server import ApiServer
from epp.edge.objects.kubernetes.election import Election, Leadership
from epp.edge.objects.kubernetes.events import EventRecorder
from epp.edge.objects.kubernetes.lease import KubernetesLease
from epp.edge.objects.kubernetes.resources import POOL_VERSIONS
from epp.edge.objects.kubernetes.reviews import KubernetesReviewer
from epp.edge.objects.kubernetes.source import KubernetesObjects
from epp.edge.objects.object_store import WantedPool
from epp.edge.observe.logs import Logger

DEFAULT_NAMESPACE = "default"
LEASE_SUFFIX = "gateway-api-inference-extension.sigs.k8s.io"
"""as the reference names its lease, so that a picker of each kind never lead one pool together"""
_POD_OF_DEPLOYMENT = re.compile(r"(.+)-[a-z0-9]+-[a-z0-9]+")


class Cluster:
    """`start`, then `run` until cancelled; `resign` when the process is about to end, `close` at the end."""

    def __init__(
        self,
        options: ServeOptions,
        sink: ObjectSink,
        *,
        on_problem: Callable[[InvalidInput], None],
        on_notice: Callable[[Notice], None],
        on_leadership: Callable[[], None],
        logger: Logger,
        clock: Clock,
    ) -> None:
        """Raises FlagError for flags that do not fit together, InvalidInput where there are no credentials."""
        self._logger = logger
        self._on_leadership = on_leadership
        self._api = ApiServer(
            find_access(AccessSettings(options.cluster.kubeconfig, options.cluster.kube_context), os.environ), clock
        )
        wanted = _wanted(options)
        instance = options.cluster.pod_name or socket.gethostname()
        self._recorder = EventRecorder(self._api, instance=instance, now=_now, on_problem=self._event_refused)
        self.source = KubernetesObjects(
            self._api,
            sink,
            wanted=wanted,
            fixed_pool=_fixed_pool(options, wanted),
            pod_selector=options.cluster.endpoint_selector,
            recorder=self._recorder,
            on_problem=on_problem,
            on_notice=on_notice,
            clock=clock,
            random=random,
        )
        self.reviewer: AccessReviewer | None = KubernetesReviewer(self._api, clock) if options.metrics_auth else None
        self._election = self._make_election(wanted, instance, clock) if options.cluster.leader_election else None
        self._electing: asyncio.Task[None] | None = None

    @property
    def not_leading(self) -> str:
        """Why this replica is to stay in the background; empty when it is not."""
        if self._election is None or self._election.leadership.leads:
            return ""
        leadership = self._election.leadership
        waiting = f"{leadership.holder} leads" if leadership.holder else "no replica leads yet"
        return f"a standby: {waiting}" + (f"; {leadership.problem}" if leadership.problem else "")

    async def start(self) -> None:
        """Reads the credentials; raises InvalidInput. Whether the server answers is seen later."""
        await self._api.open()

    async def run(self) -> None:
        """Background work; runs until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.source.run())
            group.create_task(self._recorder.run())
            if self._election is not None:
                self._electing = group.create_task(self._election.run())

    async def resign(self) -> None:
        """Makes way for another replica, which need not wait until the lease has run out."""
        if self._election is None:
            return
        if self._electing is not None:
            self._electing.cancel()
            await asyncio.wait((self._electing,))
        await self._election.release()

    async def close(self) -> None:
        """Ends every connection to the API server."""
        await self._api.close()

    def _make_election(self, wanted: WantedPool, instance: str, clock: Clock) -> Election:
        lease = KubernetesLease(self._api, wanted.namespace, f"epp-{wanted.namespace}-{wanted.name}.{LEASE_SUFFIX}")
        return Election(
            lease,
            f"{instance}_{uuid.uuid4()}",
            on_change=self._leadership_changed,
            clock=clock,
            now=_now,
            sleep=asyncio.sleep,
            random=random,
        )

    def _leadership_changed(self, leadership: Leadership) -> None:
        if leadership.problem:
            self._logger.warning("leader election", leads=leadership.leads, problem=leadership.problem)
        else:
            self._logger.info("leader election", leads=leadership.leads, leader=leadership.holder or None)
        self._on_leadership()

    def _event_refused(self, problem: str) -> None:
        self._logger.warning("events about objects with mistakes are not taken by the API server", problem=problem)


def _wanted(options: ServeOptions) -> WantedPool:
    namespace = options.pool_namespace or DEFAULT_NAMESPACE
    if options.pool_group not in POOL_VERSIONS:
        raise FlagError("pool-group", f"{options.pool_group!r} is none of {', '.join(POOL_VERSIONS)}")
    if not options.cluster.endpoint_selector:
        return WantedPool(options.pool_name, namespace, options.pool_group)
    if not options.cluster.pod_name:
        problem = "the pool is named after the picker's deployment: set $POD_NAME from metadata.name (downward API)"
        raise FlagError("endpoint-selector", problem)
    found = _POD_OF_DEPLOYMENT.fullmatch(options.cluster.pod_name)
    return WantedPool(found[1] if found else options.cluster.pod_name, namespace, options.pool_group)


def _fixed_pool(options: ServeOptions, wanted: WantedPool) -> InferencePool | None:
    """The server selects the pods, so the pool takes them all."""
    if not options.cluster.endpoint_selector:
        return None
    return InferencePool(wanted.namespace, wanted.name, {}, options.cluster.endpoint_target_ports, group=wanted.group)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
