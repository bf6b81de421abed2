"""What Envoy's admin interface reports, decoded: counters and gauges, listeners, clusters and their endpoints."""

import msgspec


class HostStatus(msgspec.Struct, frozen=True):
    """One endpoint of a cluster, with its own counters (cx_active, rq_total, rq_error, ...)."""

    address: str
    port: int
    ejected: bool
    stats: dict[str, int]


class ClusterStatus(msgspec.Struct, frozen=True):
    """One cluster and its endpoints, in Envoy's order."""

    name: str
    hosts: tuple[HostStatus, ...]


class _Stat(msgspec.Struct):
    name: str | None = None
    value: int | float | str | None = None


class _Stats(msgspec.Struct):
    stats: list[_Stat] = []


class _SocketAddress(msgspec.Struct):
    address: str = ""
    port_value: int = 0


class _Address(msgspec.Struct):
    socket_address: _SocketAddress = msgspec.field(default_factory=_SocketAddress)


class _HostHealth(msgspec.Struct):
    failed_outlier_check: bool = False


class _HostStat(msgspec.Struct):
    name: str
    value: str = "0"


class _Host(msgspec.Struct):
    address: _Address
    health_status: _HostHealth = msgspec.field(default_factory=_HostHealth)
    stats: list[_HostStat] = []


class _Cluster(msgspec.Struct):
    name: str
    host_statuses: list[_Host] = []


class _Clusters(msgspec.Struct):
    cluster_statuses: list[_Cluster] = []


class _Listener(msgspec.Struct):
    name: str
    local_address: _Address


class _Listeners(msgspec.Struct):
    listener_statuses: list[_Listener] = []


def decode_stats(body: bytes) -> dict[str, int | float]:
    """`/stats?format=json` -> value by name. Histograms and text readouts are left out."""
    decoded = msgspec.json.decode(body, type=_Stats)
    return {stat.name: stat.value for stat in decoded.stats if stat.name and isinstance(stat.value, (int, float))}


def decode_listeners(body: bytes) -> dict[str, tuple[str, int]]:
    """`/listeners?format=json` -> the address and port that each listener really has, by its name."""
    decoded = msgspec.json.decode(body, type=_Listeners)
    return {
        listener.name: (listener.local_address.socket_address.address, listener.local_address.socket_address.port_value)
        for listener in decoded.listener_statuses
    }


def decode_clusters(body: bytes) -> tuple[ClusterStatus, ...]:
    """`/clusters?format=json` -> clusters with their endpoints."""
    decoded = msgspec.json.decode(body, type=_Clusters)
    return tuple(
        ClusterStatus(cluster.name, tuple(_host_status(host) for host in cluster.host_statuses))
        for cluster in decoded.cluster_statuses
    )


def _host_status(host: _Host) -> HostStatus:
    where = host.address.socket_address
    return HostStatus(
        address=where.address,
        port=where.port_value,
        ejected=host.health_status.failed_outlier_check,
        stats={stat.name: int(stat.value) for stat in host.stats},
    )
