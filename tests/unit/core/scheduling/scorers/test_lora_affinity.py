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
        ((), (), None, 0.0),
    ],
)
def test_formula(running: tuple[str, ...], waiting: tuple[str, ...], max_adapters: int | None, score: float) -> None:
    pool = SmallPool(2)
    pool.report(1, running_adapters=running, waiting_adapters=waiting, max_adapters=max_adapters)
    request = InferenceRequest("r", model="client-name", target_model="food")

    assert LoraAffinityScorer().score(pool.cycle(request), pool.candidates).tolist() == [0.0, score]
