import pytest

from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.scorers.lora_affinity import LoraAffinityScorer
from tests.support.small_pool import SmallPool


@pytest.mark.parametrize(
    ("running", "waiting", "max_adapters", "score"),
    [
        (("food",), (), 2, 1.0),
        (("food",), ("other",), 1, 1.0),
        (("food",), ("food",), 1, 1.0),
        ((), (), 2, 0.8),
        (("other",), (), 2, 0.8),
        ((), ("food",), 2, 0.8),
        (("a",), ("food",), 2, 0.6),
        (("a", "b"), ("food",), 2, 0.6),
        (("a", "b"), (), 2, 0.0),
        (("a",), ("b",), 2, 0.0),
        ((), (), None, 0.8),
    ],
)
def test_formula(running: tuple[str, ...], waiting: tuple[str, ...], max_adapters: int | None, score: float) -> None:
    pool = SmallPool(2)
    pool.report(1, running_adapters=running, waiting_adapters=waiting, max_adapters=max_adapters)
    request = InferenceRequest("r", model="client-name", target_model="food")

    pool.report(0, running_adapters=("x", "y", "z"), max_adapters=1)
    assert LoraAffinityScorer().score(pool.cycle(request), pool.candidates).tolist() == [0.0, score]


def test_an_engine_that_has_shown_no_limit_yet_counts_as_the_largest_shown() -> None:
    pool = SmallPool(3)
    pool.report(0, running_adapters=("other",), max_adapters=2)
    pool.report(1)
    request = InferenceRequest("r", target_model="food")
    assert LoraAffinityScorer().score(pool.cycle(request), pool.candidates).tolist() == [0.8, 0.8, 0.8]


def test_without_any_limit_nobody_is_preferred() -> None:
    pool = SmallPool(2)
    request = InferenceRequest("r", target_model="food")
    assert LoraAffinityScorer().score(pool.cycle(request), pool.candidates).tolist() == [0.0, 0.0]
