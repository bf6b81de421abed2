"""The API server is killed under load and comes back: no request notices, and the picture is right again

EPP_OUTAGE_S=60 makes the outage longer than the few seconds that the suite can afford.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from epp.lab.api_server_home import ApiServerHome
from epp.lab.picker_replica import PickerReplica
from epp.lab.plan import ADAPTERS, StackPlan
from epp.lab.pool_files import objective_manifest, pod_manifest
from tests.support.leadership import watched_leadership
from tests.support.live_stack import LiveStack, live_stack
from tests.support.steady_load import SteadyLoad, steady_load

OUTAGE_S = float(os.environ.get("EPP_OUTAGE_S", "5"))
pytestmark = pytest.mark.timeout(90 + 2 * OUTAGE_S)
PODS = 3
NEXT_ATTEMPT_S = 15.0
"""after a long outage a picker asks again within 10 s, and reads within the rest"""


def api_server(stack: LiveStack) -> ApiServerHome:
    home = stack.local.home
    assert isinstance(home, ApiServerHome)
    return home


async def stale_s(stack: LiveStack, picker: PickerReplica) -> float:
    return await picker.pages(stack.session).metric("epp_objects_stale_seconds")


def complaints(picker: PickerReplica) -> list[str]:
    """What the picker's log says about objects, each time that it says it."""
    assert picker.process is not None
    events = [json.loads(line) for line in picker.process.log_path.read_text().splitlines()]
    return [event["problem"] for event in events if event["event"] == "object not taken over"]


@asynccontextmanager
async def api_server_away(stack: LiveStack, load: SteadyLoad) -> AsyncIterator[None]:
    """Killed for OUTAGE_S, as the pickers measure it; then it is back where it was. The block runs at the end of it."""
    home = api_server(stack)
    assert home.process is not None
    for picker in stack.local.pickers:
        assert await stale_s(stack, picker) == 0.0
    await home.process.kill()
    for picker in stack.local.pickers:

        async def is_over(picker: PickerReplica = picker) -> bool:
            return await stale_s(stack, picker) >= OUTAGE_S

        await stack.until(is_over, "so long without the API server", within_s=OUTAGE_S + 10.0)
    await load.until_answered(20)
    yield
    await home.start_server()


async def changes_are_seen(stack: LiveStack) -> None:
    """Those that were made after the outage."""
    home, (first, *_) = stack.local.home, stack.local.pods
    await home.put(objective_manifest(ADAPTERS[0], -7), pod_manifest(first, ready=False))

    async def are_seen() -> bool:
        asked = (await stack.complete("x", model=ADAPTERS[0])).request_id
        pages = await stack.local.ready_pages(stack.session)
        priorities = [found.priority for found in await pages.decisions() if found.request_id == asked]
        return priorities == [-7] and len(await pages.endpoints()) == PODS - 1

    await stack.until(are_seen, "the changes are seen", within_s=NEXT_ATTEMPT_S)
    await home.put(pod_manifest(first))
    await stack.until_endpoints(PODS)

    async def is_up_to_date() -> bool:
        return not any([await stale_s(stack, picker) for picker in stack.local.pickers])

    await stack.until(is_up_to_date, "nothing is stale any more", within_s=NEXT_ATTEMPT_S)


async def test_one_picker_goes_on_with_what_it_knows(record_property: Callable[[str, object], None]) -> None:
    async with live_stack(StackPlan(pods=PODS, kube=True, speed=5.0)) as stack:
        picker = stack.local.picker
        assert picker.process is not None
        pid = picker.process.pid
        async with watched_leadership(stack) as readiness, steady_load(stack) as load:
            await load.until_answered(20)
            async with api_server_away(stack, load):
                said = complaints(picker)
                assert await stack.pages.unready_reason() == ""
            await load.until_answered(20)
            assert [moment.ready for moment in readiness.moments] == [frozenset({"picker"})], "ready all the time"
        await changes_are_seen(stack)
        verdict = await load.verdict()
        record_property("answers", f"{verdict.answered}, bypassed {verdict.bypassed}")
        record_property("said", "; ".join(said))
        assert (verdict.problems, verdict.bypassed) == ((), 0)
        assert all(f"{api_server(stack).url} cannot be asked" in problem for problem in said)
        assert len(said) == 1, "it is said once, however often it is tried"
        assert complaints(picker) == said
        assert picker.process.returncode is None
        assert picker.process.pid == pid
        await stack.assert_clean()


async def test_of_two_pickers_none_may_lead_after_ten_seconds_and_requests_are_still_picked(
    record_property: Callable[[str, object], None],
) -> None:
    async with live_stack(StackPlan(pods=PODS, kube=True, pickers=2, speed=5.0)) as stack:
        first = stack.local.picker
        clock = asyncio.get_running_loop().time
        async with watched_leadership(stack) as leadership, steady_load(stack) as load:
            await leadership.until(first.name)
            await load.until_answered(20)
            began_at = clock()
            async with api_server_away(stack, load):
                record_property("ready_at_the_end_of_the_outage", sorted(leadership.ready))
            await stack.until(lambda: one_leads(leadership.ready), "one leads again", within_s=20.0)
            record_property("nobody_led_s", leadership.without_leader_s(began_at))
            record_property("led", [(f"{m.at_s - began_at:.1f}", sorted(m.ready)) for m in leadership.moments])
            await load.until_answered(20)
        await changes_are_seen(stack)
        verdict = await load.verdict()
        record_property("answers", f"{verdict.answered}, bypassed {verdict.bypassed}")
        assert (verdict.problems, verdict.bypassed) == ((), 0)
        assert not any((await stack.faults()).values())
        for picker in stack.local.pickers:
            await stack.assert_nothing_held(picker.pages(stack.session))


async def one_leads(ready: frozenset[str]) -> bool:
    return len(ready) == 1
