"""What holds for all scorers of the catalogue, whatever the load."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.config.catalogue import PluginKind
from epp.core.config.load import load_config
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from tests.support.small_pool import SmallPool, text_request

SCORERS = sorted(entry.name for entry in CATALOGUE.types if PluginKind.SCORER in entry.kinds)
POLICY = load_config(
    "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n"
    + "".join(f"- type: {name}\n" for name in SCORERS),
    "every scorer",
    CATALOGUE,
)
NUMBERS = st.floats(0, 1e12) | st.just(float("nan")) | st.just(float("inf"))
LOADS = st.fixed_dictionaries(
    {
        "waiting": NUMBERS,
        "running": NUMBERS,
        "kv_usage": NUMBERS,
        "max_adapters": st.none() | st.integers(0, 4),
        "running_adapters": st.sets(st.sampled_from("abc")),
        "waiting_adapters": st.sets(st.sampled_from("abc")),
        "age_s": st.sampled_from([0.0, 1.0, 3.0]),
        "in_flight": st.integers(0, 5),
    }
)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@given(st.lists(LOADS, min_size=1, max_size=6), st.sampled_from(["", "one prompt " * 30, "another " * 40]))
def test_scores_are_between_0_and_1_and_somebody_is_picked(loads: list[dict[str, Any]], prompt: str) -> None:
    pool = SmallPool(len(loads))
    scheduler = Scheduler(build_policy(POLICY), pool.ledger, Random(1))
    start = pool.now
    for number, load in enumerate(loads):
        signals = dict(load)
        pool.now = start - signals.pop("age_s")
        pool.hold(number, signals.pop("in_flight"))
        pool.report(number, **signals)
    pool.now = start

    for _ in range(2):
        request = text_request(prompt, target_model="a")
        decision = scheduler.schedule(request, pool.snapshot, pool.candidates, pool.now)
        for lesson in decision.lessons:
            lesson()
        assert [column.plugin for column in decision.card.columns] == SCORERS
        for column in decision.card.columns:
            assert column.scores.shape == (len(loads),)
            assert ((column.scores >= 0.0) & (column.scores <= 1.0)).all()
        assert np.isfinite(decision.card.totals).all()
        assert decision.endpoint in pool.endpoints
