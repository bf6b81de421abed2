"""Two pickers, one of which leads: it ends or is killed under load, and no request notices"""

import asyncio
from collections.abc import Callable

import pytest

from epp.lab.picker_replica import PickerReplica
from epp.lab.plan import StackPlan
from tests.support.leadership import watched_leadership
from tests.support.live_stack import LiveStack, live_stack
from tests.support.steady_load import steady_load

pytestmark = pytest.mark.timeout(150)
PLAN = StackPlan(pods=3, kube=True, pickers=2, speed=5.0, picker_flags=("--drain-timeout=6s",))
LEASE_S = 15.0
"""after a leader that was killed, nobody leads before its lease has run out"""


async def healthy_pickers(stack: LiveStack) -> int:
    """As Envoy sees them."""
    name = "cluster.ext_proc.membership_healthy"
    return int((await stack.local.envoy.stats(f"^{name}$"))[name])


async def ended(picker: PickerReplica) -> int:
    """SIGTERM; the exit code."""
    await picker.stop(grace_s=20.0)
    assert picker.process is not None
    assert picker.process.returncode is not None
    return picker.process.returncode


async def test_a_leader_ends_and_later_its_successor_is_killed_and_no_request_fails(
    record_property: Callable[[str, object], None],
) -> None:
    clock = asyncio.get_running_loop().time
    async with live_stack(PLAN) as stack, watched_leadership(stack) as leadership:
        first, second = stack.local.pickers
        await leadership.until(first.name)
        async with steady_load(stack) as load:
            await load.until_answered(40)
            ended_at = clock()
            assert await ended(first) == 0
            await leadership.until(second.name)
            record_property("nobody_led_after_sigterm_s", after_sigterm_s := leadership.without_leader_s(ended_at))
            await load.until_answered(40)
            assert not any((await stack.faults()).values()), "a leader that is told to end loses no pick"

            await first.start()
            await stack.until_endpoints(PLAN.pods)
            assert "a standby: picker-1" in await first.pages(stack.session).unready_reason()
            await load.until_answered(40)
            bypassed_before_kill = (await load.verdict()).bypassed

            killed_at = clock()
            await second.kill()
            await leadership.until(first.name, within_s=LEASE_S + 10.0)
            record_property("nobody_led_after_sigkill_s", after_sigkill_s := leadership.without_leader_s(killed_at))
            faults = await stack.faults()
            await load.until_answered(40)
            assert not any((await stack.faults()).values()), "as soon as somebody leads nothing is bypassed"
            await second.start()
            await stack.until_endpoints(PLAN.pods)
        verdict = await load.verdict()
        record_property("answers", f"{verdict.answered}, bypassed {verdict.bypassed}, Envoy counted {faults}")

        assert verdict.problems == (), "every answer is whole, and from the pod that its picker named"
        assert bypassed_before_kill == 0
        assert verdict.bypassed <= faults["failure_mode_allowed"], "nothing else lets a request pass by"
        assert after_sigterm_s < 5.0, "a lease that is given back is not waited for"
        assert after_sigkill_s < LEASE_S + 10.0
        assert leadership.ready == {first.name}
        assert await healthy_pickers(stack) == 1
        for picker in (first, second):
            await stack.assert_nothing_held(picker.pages(stack.session))
