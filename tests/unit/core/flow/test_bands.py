"""Bands and flows come when they are needed and go when nobody has needed them for long."""

from epp.core.flow.item import FlowKey
from epp.core.flow.settings import BandSettings, FlowSettings
from tests.support.flow_pool import FlowPool


def priorities(pool: FlowPool) -> list[int]:
    return [band.priority for band in pool.flow.statistics()]


def flows(pool: FlowPool) -> list[FlowKey]:
    return [flow.key for band in pool.flow.statistics() for flow in band.flows]


def test_priority_0_and_configured_bands_are_always_there() -> None:
    pool = FlowPool(settings=FlowSettings(bands={10: BandSettings(), -10: BandSettings()}))
    assert priorities(pool) == [10, 0, -10]
    pool.advance(1e6)
    assert priorities(pool) == [10, 0, -10]


def test_a_dynamic_band_goes_after_10_idle_minutes() -> None:
    pool = FlowPool(places=9)
    pool.offer("a", priority=4)
    assert priorities(pool) == [4, 0]
    pool.advance(599.0)
    pool.offer("b", priority=4)
    pool.advance(599.0)
    assert priorities(pool) == [4, 0], "it was used"
    pool.advance(1.0)
    assert priorities(pool) == [0]


def test_a_band_does_not_go_while_somebody_waits_in_it() -> None:
    pool = FlowPool(places=1, settings=FlowSettings(default_ttl_s=0.0))
    pool.fill()
    pool.queue("a", priority=4)
    pool.advance(5000.0)
    assert priorities(pool) == [4, 0]
    pool.finish()
    assert pool.granted == "a"
    pool.advance(599.0)
    assert priorities(pool) == [4, 0]
    pool.advance(1.0)
    assert priorities(pool) == [0]


def test_an_idle_flow_goes_after_5_minutes() -> None:
    pool = FlowPool(places=1)
    pool.fill()
    pool.queue("a", tenant="x")
    pool.queue("b", tenant="y")
    pool.finish()
    pool.advance(50.0)
    pool.finish()
    assert len(flows(pool)) == 2
    pool.advance(250.0)
    assert flows(pool) == [FlowKey("y", 0)]
    pool.advance(50.0)
    assert flows(pool) == []


def test_the_number_of_idle_flows_is_bounded() -> None:
    pool = FlowPool(places=1, settings=FlowSettings(most_idle_flows=10))
    pool.fill()
    for number in range(50):
        pool.queue(f"r{number}", tenant=f"t{number}")
        pool.finish()
    assert flows(pool) == [FlowKey(f"t{number}", 0) for number in range(40, 50)]


def test_the_number_of_bands_is_bounded() -> None:
    pool = FlowPool(places=1, settings=FlowSettings(most_dynamic_bands=3))
    for priority in range(1, 20):
        pool.offer(f"r{priority}", priority=priority)
        pool.running.clear()
    assert priorities(pool) == [19, 18, 17, 0], "idle ones make room"
    pool.fill()
    pool.queue("a", priority=17)
    pool.queue("b", priority=18)
    pool.queue("c", priority=19)
    pool.queue("d", priority=25)
    pool.queue("e", priority=-3)
    assert priorities(pool) == [19, 18, 17, 0]
    assert FlowKey("t", 19) in flows(pool)
    pool.finish_all()
    assert pool.granted == "c d b a e", "in the next lower band; below all in the lowest"


def test_objectives_keep_their_bands() -> None:
    pool = FlowPool(places=9)
    pool.flow.keep_bands([7, -7], 0.0)
    assert priorities(pool) == [7, 0, -7]
    pool.advance(1e4)
    assert priorities(pool) == [7, 0, -7]
    pool.flow.keep_bands([7], pool.now)
    pool.advance(599.0)
    assert priorities(pool) == [7, 0, -7]
    pool.advance(1.0)
    assert priorities(pool) == [7, 0]
