import numpy as np

from epp.core.domain.decision import ScoreCard
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.cycle import Cycle, ProfileResult
from epp.core.scheduling.deciders.always_disagg import AlwaysDecider, MultimodalDecider
from tests.support.small_pool import SmallPool, text_request


def judged(request: InferenceRequest) -> tuple[Cycle, ProfileResult]:
    pool = SmallPool(1)
    return pool.cycle(request), ProfileResult(pool.candidates, [0], ScoreCard("decode", (), (), np.zeros(1)))


def test_always_wants_every_stage() -> None:
    assert AlwaysDecider().wants_stage(*judged(text_request("x")))


def test_multimodal_wants_images_and_the_like() -> None:
    assert MultimodalDecider().wants_stage(*judged(text_request('[{"type": "image_url"}]')))
    assert not MultimodalDecider().wants_stage(*judged(text_request("x")))
