"""Screeners, producers and admitters around a profile, in their order."""

from collections.abc import Callable
from random import Random

import msgspec
import pytest

from epp.core.config.load import load_config
from epp.core.domain.decision import Reservation
from epp.core.domain.errors import DroppedReason, ResourceExhausted, ServiceUnavailable
from epp.core.domain.request import InferenceRequest
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.profile import Profile
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.request_control import NamedProducer, NamedScreener, RequestControl
from epp.core.scheduling.scheduler import Policy, Scheduler
from tests.support.small_pool import SmallPool, text_request

CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: destination-endpoint-served-verifier
- type: probabilistic-admitter
- type: agent-identity
- type: prefix-cache-scorer
- type: disaggregatedset-rollout-screener
  parameters:
    scope: {labelSelector: app=vllm}
    revisionGating: {mode: disabled}
    headerSelectors: [{name: r, headerName: x-r, labelKey: r, mode: prefer}]
"""


class Keep:
    """A screener that lets these positions stay."""

    def __init__(self, *positions: int) -> None:
        self._positions = positions

    def screen(self, cycle: Cycle, candidates: Candidates) -> Candidates:
        return candidates.keep([index for index in range(len(candidates)) if index in self._positions])


class Note:
    """A producer and admitter that notes what it sees."""

    def __init__(self, refuse: bool = False) -> None:
        self.seen: list[str] = []
        self._refuse = refuse

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        self.seen.append(f"produce {len(candidates)}")
        return "product"

    def admit(self, cycle: Cycle, candidates: Candidates) -> None:
        self.seen.append(f"admit {len(candidates)} {cycle.products.get('note')}")
        if self._refuse:
            raise ResourceExhausted("request cannot be admitted: no")

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        self.seen.append("learn")


class Broken:
    """A producer whose every hook raises an error."""

    def produce(self, cycle: Cycle, candidates: Candidates) -> object:
        raise ZeroDivisionError("broken")

    def learn(self, cycle: Cycle, reservation: Reservation) -> None:
        raise AssertionError("nothing was produced, so there is nothing to learn")


def scheduler(
    pool: SmallPool, control: RequestControl, *producers: NamedProducer, note_fault: Callable[..., None] | None = None
) -> Scheduler:
    profile = Profile("default", (), (), MaxScorePicker(PickerParameters()))
    policy = Policy((profile,), SingleProfileHandler(), producers, control)
    return Scheduler(policy, pool.ledger, Random(1), lambda: pool.now, note_fault or (lambda *_: None))


def screens(*screeners: Keep) -> RequestControl:
    return RequestControl(screeners=tuple(NamedScreener(f"s{n}", each) for n, each in enumerate(screeners)))


def test_what_screeners_leave_is_intersected() -> None:
    pool = SmallPool(4)
    scheduled = scheduler(pool, screens(Keep(0, 1, 2), Keep(1, 2, 3), Keep(2, 0)))
    decision = scheduled.schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    assert decision.card.candidates == (pool.endpoints[2],)


@pytest.mark.parametrize("screeners", [(Keep(),), (Keep(0), Keep(1))])
def test_nobody_left_is_503(screeners: tuple[Keep, ...]) -> None:
    pool = SmallPool(2)
    with pytest.raises(ServiceUnavailable, match="screeners eliminated all endpoint candidates") as caught:
        scheduler(pool, screens(*screeners)).schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    assert caught.value.reason is DroppedReason.NO_ENDPOINTS
    assert caught.value.hint == f"screener 's{len(screeners) - 1}' left no endpoint"
    assert pool.ledger.open_count == 0


def test_screeners_come_before_producers_and_these_before_admitters() -> None:
    pool, note = SmallPool(3), Note()
    control = RequestControl(screeners=(NamedScreener("s", Keep(0, 1)),), admitters=(note,))
    scheduler(pool, control, NamedProducer("note", note)).schedule(
        text_request("x"), pool.snapshot, pool.candidates, pool.now
    )
    assert note.seen == ["produce 2", "admit 2 product"]


def test_an_admitter_refuses_before_anything_is_reserved() -> None:
    pool = SmallPool(2)
    with pytest.raises(ResourceExhausted, match="cannot be admitted"):
        scheduler(pool, RequestControl(admitters=(Note(refuse=True),))).schedule(
            text_request("x"), pool.snapshot, pool.candidates, pool.now
        )
    assert pool.ledger.open_count == 0


def test_a_producer_that_fails_costs_only_its_own_product() -> None:
    pool, note = SmallPool(2), Note()
    faults: list[tuple[str, str, str]] = []

    def note_fault(event: str, request_id: str, error: BaseException) -> None:
        faults.append((event, request_id, str(error)))

    producers = (NamedProducer("broken", Broken()), NamedProducer("note", note))
    scheduled = scheduler(pool, RequestControl(), *producers, note_fault=note_fault)
    decision = scheduled.schedule(text_request("x"), pool.snapshot, pool.candidates, pool.now)
    for lesson in decision.lessons:
        lesson()
    assert note.seen == ["produce 2", "learn"]
    assert faults == [("producer broken failed", "r", "broken")]


@pytest.mark.parametrize(
    "consumer",
    [
        "prefix-cache-scorer",
        "token-load-scorer",
        "no-hit-lru-scorer",
        "expected-cost-scorer",
        "prefix-cache-affinity-filter",
    ],
)
def test_consumers_of_prefix_matches_do_without(consumer: str) -> None:
    config = load_config(
        f"apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins: [{{type: {consumer}}}]\n", "x", CATALOGUE
    )
    policy = build_policy(config)
    broken = NamedProducer(policy.producers[0].name, Broken())
    policy = msgspec.structs.replace(policy, producers=(broken, *policy.producers[1:]))
    pool = SmallPool(2)
    scheduled = Scheduler(policy, pool.ledger, Random(1), lambda: pool.now)
    decision = scheduled.schedule(text_request("x" * 1000), pool.snapshot, pool.candidates, pool.now)
    assert decision.endpoint in pool.endpoints


def test_declared_plugins_are_in_force_without_a_reference() -> None:
    config = load_config(CONFIG, "epp.yaml", CATALOGUE)
    assert not [notice for notice in config.notices if "no effect" in notice.text]
    policy = build_policy(config)
    control = policy.control
    assert len(control.request_header_processors) == len(control.screeners) == len(control.admitters) == 1
    pool = SmallPool(1, labels=[{"r": "7"}])
    pool.report(0, waiting=0)
    scheduled = Scheduler(policy, pool.ledger, Random(1), lambda: pool.now)
    request = scheduled.completed(InferenceRequest("r", headers={"session-id": "s"}))
    assert request.fairness_id == "s"
    decision = scheduled.schedule(request, pool.snapshot, pool.candidates, pool.now)
    assert decision.response_headers(pool.endpoints[0]) == (("x-r", "7"),)
    assert [marker("1.2.3.4:5") for marker in decision.served_markers] == [
        ("x-conformance-test-served-endpoint", "1.2.3.4:5")
    ]
