"""What holds for all filters of the catalogue, whatever the load, the labels and the request."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.config.catalogue import PluginKind, PluginType
from epp.core.config.load import load_config
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from tests.support.plugin_examples import REQUIRED
from tests.support.small_pool import SmallPool, text_request

FILTERS = [plugin for plugin in CATALOGUE.types if PluginKind.FILTER in plugin.kinds]
NUMBERS = st.floats(0, 10) | st.sampled_from([float("nan"), float("inf"), float("-inf"), -3.0, 1e308])
ENDPOINTS = st.fixed_dictionaries(
    {
        "waiting": NUMBERS,
        "kv_usage": NUMBERS,
        "age_s": st.sampled_from([0.0, 3.0]),
        "in_flight": st.integers(0, 200),
        "labels": st.dictionaries(
            st.sampled_from(["zone", "llm-d.ai/role", "llm-d.ai/context-length-range"]),
            st.sampled_from(["", "a", "decode", "prefill", "encode", "0-10", "10-0"]),
        ),
    }
)
HEADERS = st.dictionaries(
    st.sampled_from(["x-session-token", "x-session-id", "test-epp-endpoint-selection"]),
    st.sampled_from(["", "s", "10.0.0.2", "\udc80"]),
)


@pytest.mark.parametrize("plugin", FILTERS, ids=lambda plugin: plugin.name)
@given(st.lists(ENDPOINTS, min_size=1, max_size=5), HEADERS, st.data())
def test_what_is_left_are_candidates(
    plugin: PluginType, loads: list[dict[str, Any]], headers: dict[str, str], data: st.DataObject
) -> None:
    text = f"apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: {plugin.name}\n"
    text += f"  parameters: {json.dumps(REQUIRED.get(plugin.name, {}))}\n"
    policy = build_policy(load_config(text, "one filter", CATALOGUE))
    pool = SmallPool(len(loads), labels=[load["labels"] for load in loads])
    start = pool.now
    for number, load in enumerate(loads):
        pool.now = start - load["age_s"]
        pool.report(number, waiting=load["waiting"], kv_usage=load["kv_usage"])
        pool.hold(number, load["in_flight"])
    pool.now = start
    offered = pool.candidates.keep(data.draw(st.permutations(range(len(loads))))[: data.draw(st.integers(1, 5))])

    cycle = pool.cycle(text_request("one prompt " * 30, headers=headers))
    for producer in policy.producers:
        cycle.products[producer.name] = producer.plugin.produce(cycle, offered)
    (named,) = policy.profiles[0].filters
    left = named.plugin.filter(cycle, offered).positions.tolist()

    assert len(set(left)) == len(left)
    assert set(left) <= set(offered.positions.tolist())
    if plugin.name != "header-based-testing-filter":
        assert left == [position for position in offered.positions.tolist() if position in left]
