"""Adapters and subsets behind a real Envoy: requests go where the adapter runs, and only where the subset allows."""

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from epp.lab.envoy_parts import Config, http_manager
from epp.lab.plan import ADAPTERS, BASE_MODEL, StackPlan
from tests.support.live_stack import LiveStack, live_stack

LORA_CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: lora-affinity-scorer
- type: max-score-picker
"""
SUBSET = {"metadata_namespace": "envoy.lb.subset_hint", "key": "x-gateway-destination-endpoint-subset"}


async def test_requests_go_where_their_adapter_runs(tmp_path: Path) -> None:
    config = tmp_path / "lora.yaml"
    config.write_text(LORA_CONFIG)
    async with live_stack(StackPlan(pods=4, config_file=config)) as stack:
        long = asyncio.ensure_future(stack.complete("a long answer", model=ADAPTERS[0], max_tokens=150))

        async def is_seen() -> bool:
            return any(ADAPTERS[0] in endpoint.running_adapters for endpoint in (await stack.endpoints()).values())

        await stack.until(is_seen, "the picker knows where the adapter runs")
        short = [await stack.complete(f"{number}", model=ADAPTERS[0], max_tokens=1) for number in range(8)]
        for reply in short:
            assert (await stack.decision(reply.request_id)).candidates[0].scores["lora-affinity-scorer"] == 1.0
        assert {reply.served_by for reply in short} == {(await long).served_by}
        others = await asyncio.gather(*(stack.complete(f"{number}", model=BASE_MODEL) for number in range(24)))
        assert len({reply.served_by for reply in others}) == 4, "requests for the base model are bound to nobody"
        await stack.assert_clean()


def hinting(filter_config: dict[str, Any]) -> Callable[[Config], Config]:
    """Puts a filter before the picker's that gives the subset hint."""

    def edit(config: Config) -> Config:
        config = copy.deepcopy(config)
        http_manager(config)["http_filters"].insert(0, filter_config)
        return config

    return edit


def hint_from_header() -> dict[str, Any]:
    """The hint is what the client's header says, as text."""
    kind = "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config"
    rule = {"header": "x-test-subset", "on_header_present": {**SUBSET, "type": "STRING"}}
    return {
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": {"@type": kind, "request_rules": [rule]},
    }


def hint_of(*entries: str) -> dict[str, Any]:
    """The hint is a list, the same for every request."""
    kind = "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config"
    metadata = {"metadata_namespace": SUBSET["metadata_namespace"], "value": {SUBSET["key"]: list(entries)}}
    return {"name": "envoy.filters.http.set_metadata", "typed_config": {"@type": kind, "metadata": [metadata]}}


async def served(stack: LiveStack, hint: str, requests: int = 6) -> set[str]:
    headers = {"x-test-subset": hint}
    asked = (stack.complete(f"{number}", model=BASE_MODEL, headers=headers) for number in range(requests))
    replies = await asyncio.gather(*asked)
    assert {reply.status for reply in replies} == {200}
    return {reply.served_by for reply in replies}


@pytest.mark.parametrize("mode", ["buffered", "full-duplex"])
async def test_only_the_subset_is_picked_from(mode: str) -> None:
    plan = StackPlan(pods=4, body_mode="buffered" if mode == "buffered" else "full-duplex", speed=20.0)
    async with live_stack(plan, hinting(hint_from_header())) as stack:
        first, second, *_ = sorted(await stack.endpoints())
        address = second.partition(":")[0]
        assert await served(stack, first) == {first}
        assert await served(stack, address) == {second}
        assert await served(stack, f"{first}, {address}", 12) == {first, second}
        refused = await stack.complete("x", headers={"x-test-subset": "127.99.99.99"})
        assert refused.status == 503
        assert refused.headers["x-llm-d-request-dropped-reason"] == "rejected-no-endpoints"
        assert "subset hint names 127.99.99.99" in refused.error["message"]
        asked = (stack.complete(f"{number} and on", model=BASE_MODEL) for number in range(24))
        everywhere = {reply.served_by for reply in await asyncio.gather(*asked)}
        assert not everywhere <= {first, second}, "without a hint everybody may be picked"
        await stack.assert_clean()


async def test_a_hint_may_be_a_list() -> None:
    async with live_stack(StackPlan(pods=3, speed=20.0), hinting(hint_of("127.99.99.99"))) as stack:
        refused = await stack.complete("x")
        assert refused.status == 503
        assert "subset hint names 127.99.99.99" in refused.error["message"]
        await stack.assert_clean()
