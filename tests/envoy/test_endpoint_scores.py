"""--emit-endpoint-scores: what every endpoint scored stands in Envoy's dynamic metadata, in both body modes."""

from pathlib import Path
from typing import Literal

import pytest

from epp.lab.plan import StackPlan
from tests.support.access_log import log_entries, with_access_log
from tests.support.eventually import eventually
from tests.support.live_stack import live_stack

SCORES = "%DYNAMIC_METADATA(envoy.lb:x-gateway-destination-endpoint-scores)%"
DESTINATION = "%DYNAMIC_METADATA(envoy.lb:x-gateway-destination-endpoint)%"


@pytest.mark.parametrize("mode", ["buffered", "full-duplex"])
async def test_the_scores_are_those_of_the_decision(tmp_path: Path, mode: Literal["buffered", "full-duplex"]) -> None:
    log = tmp_path / "access.log"
    plan = StackPlan(pods=3, body_mode=mode, speed=20.0, picker_flags=("--emit-endpoint-scores",))
    async with live_stack(
        plan, lambda config: with_access_log(config, log, scores=SCORES, destination=DESTINATION)
    ) as stack:
        reply = await stack.complete("hello")
        await eventually(lambda: log_entries(log, reply.request_id), within_s=10.0, what="a line of the access log")
        [entry] = log_entries(log, reply.request_id)
        decision = await stack.decision(reply.request_id)
        assert entry["destination"] == reply.served_by
        assert entry["scores"] == {
            candidate.destination: pytest.approx(candidate.total, abs=1e-3) for candidate in decision.candidates
        }
        assert len(entry["scores"]) == 3
        await stack.assert_clean()


async def test_without_the_flag_there_are_none(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with live_stack(
        StackPlan(pods=2, speed=20.0), lambda config: with_access_log(config, log, scores=SCORES)
    ) as stack:
        reply = await stack.complete("hello")
        await eventually(lambda: log_entries(log, reply.request_id), within_s=10.0, what="a line of the access log")
        [entry] = log_entries(log, reply.request_id)
        assert entry["scores"] is None
        await stack.assert_clean()
