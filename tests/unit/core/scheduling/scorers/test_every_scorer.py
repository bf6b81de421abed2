"""What holds for all scorers of the catalogue, whatever the load and the labels."""

import json
from random import Random
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from epp.core.config.catalogue import PluginKind
from epp.core.config.load import load_config
from epp.core.domain.decision import plain
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.scheduler import Scheduler
from tests.support.plugin_examples import REQUIRED
from tests.support.small_pool import SmallPool, text_request

SCORERS = sorted(entry.name for entry in CATALOGUE.types if PluginKind.SCORER in entry.kinds)
POLICY = load_config(
    "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n"
    + "".join(f"- {{type: {name}, parameters: {json.dumps(REQUIRED.get(name, {}))}}}\n" for name in SCORERS),
    "every scorer",
    CATALOGUE,
)
NUMBERS = st.floats(0, 1e12) | st.sampled_from([float("nan"), float("inf"), float("-inf"), -3.0, 1e308, -1e308])
LABELS = st.dictionaries(
    st.sampled_from(["zone", "llm-d.ai/context-length-range"]),
    st.sampled_from(["", "a", "0-0", "0-16", "10-4000", "4000-10", "99999999999999999999-999999999999999999999999"]),
)
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
        "labels": LABELS,
    }
)


PROMPTS = st.sampled_from(["", "one prompt " * 30, "another " * 40])


def loaded_pool(loads: list[dict[str, Any]]) -> SmallPool:
    pool = SmallPool(len(loads), labels=[load["labels"] for load in loads])
    start = pool.now
    for number, load in enumerate(loads):
        signals = {name: value for name, value in load.items() if name not in ("age_s", "in_flight", "labels")}
        pool.now = start - load["age_s"]
        pool.hold(number, load["in_flight"])
        pool.report(number, **signals)
    pool.now = start
    return pool


def request_of(prompt: str) -> InferenceRequest:
    return text_request(prompt, target_model="a", headers={"x-zone": "a", "x-session-id": "s"})


@given(st.lists(LOADS, min_size=1, max_size=6), PROMPTS)
def test_a_scorer_says_numbers_between_0_and_1_by_itself(loads: list[dict[str, Any]], prompt: str) -> None:
    pool, policy = loaded_pool(loads), build_policy(POLICY)
    cycle = pool.cycle(request_of(prompt))
    for producer in policy.producers:
        cycle.products[producer.name] = producer.plugin.produce(cycle, pool.candidates)
    for chosen in (pool.candidates, pool.candidates.keep([len(loads) - 1])):
        for scorer in policy.profiles[0].scorers:
            scores = scorer.plugin.score(cycle, chosen)
            assert scores.shape == (len(chosen),)
            assert np.isfinite(scores).all(), scorer.name
            assert ((scores >= 0.0) & (scores <= 1.0)).all(), scorer.name


@given(st.lists(LOADS, min_size=1, max_size=6), PROMPTS)
def test_scores_are_between_0_and_1_and_somebody_is_picked(loads: list[dict[str, Any]], prompt: str) -> None:
    pool = loaded_pool(loads)
    scheduler = Scheduler(build_policy(POLICY), pool.ledger, Random(1), lambda: pool.now)

    for _ in range(2):
        decision = scheduler.schedule(request_of(prompt), pool.snapshot, pool.candidates, pool.now)
        for lesson in decision.lessons:
            lesson()
        assert [column.plugin for column in decision.card.columns] == SCORERS
        for column in decision.card.columns:
            assert len(column.scores) == len(loads)
            assert all(0.0 <= score <= 1.0 for score in plain(column.scores))
        assert np.isfinite(decision.card.totals).all()
        assert decision.endpoint in pool.endpoints
