import msgspec
import pytest

from epp.core.domain.ports import ObjectState
from epp.core.scheduling.filters.by_label import ByLabelFilter, ByLabelParameters
from tests.support.routed_requests import endpoint
from tests.support.small_pool import POOL, SmallPool

LABELS = [{"gpu": "h100"}, {"gpu": "l4"}, {"zone": "h100"}, {"gpu": ""}]


@pytest.mark.parametrize(
    ("values", "or_none", "left"),
    [
        (("h100",), False, [0]),
        (("h100", "l4"), False, [0, 1]),
        (("h100",), True, [0, 2]),
        ((), True, [2]),
        (("",), False, [3]),
        (("a100",), False, []),
    ],
)
def test_values_and_absence(values: tuple[str, ...], or_none: bool, left: list[int]) -> None:
    pool = SmallPool(4, labels=LABELS)
    plugin = ByLabelFilter(ByLabelParameters("gpu", values, or_none))
    assert plugin.filter(pool.cycle(), pool.candidates).positions.tolist() == left


def test_only_candidates_in_their_order() -> None:
    pool = SmallPool(4, labels=LABELS)
    plugin = ByLabelFilter(ByLabelParameters("gpu", ("h100", "l4")))
    assert plugin.filter(pool.cycle(), pool.candidates.keep([3, 1, 0])).positions.tolist() == [1, 0]


def test_labels_that_change_count_with_the_next_snapshot() -> None:
    pool, plugin = SmallPool(1, labels=LABELS), ByLabelFilter(ByLabelParameters("gpu", ("l4",)))
    assert not len(plugin.filter(pool.cycle(), pool.candidates))
    pool.roster.objects_changed(ObjectState(POOL, (endpoint(labels={"gpu": "l4"}),)))
    assert len(plugin.filter(pool.cycle(), pool.candidates)) == 1


def test_nothing_to_accept_is_a_mistake() -> None:
    with pytest.raises(msgspec.ValidationError, match="no endpoint would be left"):
        msgspec.convert({"label": "gpu"}, ByLabelParameters)
