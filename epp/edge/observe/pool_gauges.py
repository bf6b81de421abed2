"""Gauges of the pool, computed from a reading when a page is asked for and never on the request path.

Averages are taken over the endpoints with fresh metrics and are not rounded; without any they are left out, because a
number would be a lie that an autoscaler believes.
"""

from epp.edge.observe import families
from epp.edge.observe.exposition import Series
from epp.edge.observe.families import Family
from epp.edge.observe.pool_reading import PoolReading


def pool_gauges(reading: PoolReading) -> list[tuple[Family, list[Series]]]:
    """Every family of the pool with its series."""
    names = [endpoint.name for endpoint in reading.endpoints]
    fresh = ~reading.stale
    fresh_names = [name for name, is_fresh in zip(names, fresh.tolist(), strict=True) if is_fresh]
    gauges: list[tuple[Family, list[Series]]] = [
        (families.IN_FLIGHT, _by_name(names, reading.in_flight.tolist())),
        (families.LOAD_GAP, _by_name(fresh_names, reading.load_gap[fresh].tolist())),
        (families.RESERVATIONS, [((), reading.reservations_open)]),
        (families.STALE_ENDPOINTS, [((), int(reading.stale.sum()))]),
        (families.COOLING_ENDPOINTS, [((), int(reading.cooling.sum()))]),
    ]
    pool = reading.pool_name
    if not pool:
        return gauges
    waiting = reading.waiting[fresh]
    gauges += [
        (families.READY_ENDPOINTS, [((pool,), len(names))]),
        (
            families.ENDPOINT_QUEUE,
            [((pool, name), size) for name, size in zip(fresh_names, waiting.tolist(), strict=True)],
        ),
    ]
    if fresh.any():
        gauges += [
            (families.AVERAGE_KV_CACHE, [((pool,), float(reading.kv_usage[fresh].mean()))]),
            (families.AVERAGE_QUEUE, [((pool,), float(waiting.mean()))]),
            (families.AVERAGE_RUNNING, [((pool,), float(reading.running[fresh].mean()))]),
        ]
    return gauges


def _by_name(names: list[str], values: list[float]) -> list[Series]:
    return [((name,), value) for name, value in zip(names, values, strict=True)]
