from epp.core.domain.ports import ObjectState
from epp.core.scheduling.per_snapshot import PerSnapshot
from epp.core.state.snapshot import PoolSnapshot
from tests.support.small_pool import POOL, SmallPool


def test_it_is_made_once_per_snapshot() -> None:
    made: list[int] = []

    def count(snapshot: PoolSnapshot) -> int:
        made.append(snapshot.version)
        return len(snapshot.endpoints)

    pool, counted = SmallPool(3), PerSnapshot(count)
    assert [counted.of(pool.snapshot) for _ in range(3)] == [3, 3, 3]
    pool.roster.objects_changed(ObjectState(POOL, pool.endpoints[:1]))
    assert [counted.of(pool.snapshot) for _ in range(3)] == [1, 1, 1]
    assert made == [1, 2]
