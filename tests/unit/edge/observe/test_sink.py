"""The sink, seen through the page that a scraper reads."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epp.core.domain.errors import BadRequest, PickerError, Refusal, ResourceExhausted
from epp.core.domain.ports import TokenUsage
from epp.core.domain.request import InferenceRequest
from epp.core.flow.saturation import DEFAULT_DETECTOR, admit
from epp.core.routing.router import Router, RoutingPolicy
from epp.core.scheduling.cycle import Candidates, Cycle
from epp.core.scheduling.filters.header_based_testing import HeaderBasedTestingFilter
from epp.core.scheduling.pickers.max_score import MaxScorePicker
from epp.core.scheduling.pickers.parameters import PickerParameters
from epp.core.scheduling.profile import NamedFilter, Profile
from epp.core.scheduling.profiles.single_profile import SingleProfileHandler
from epp.core.scheduling.scheduler import Policy, Scheduler
from epp.edge.observe.families import Dialect
from epp.edge.observe.label_values import OTHER
from tests.support.routed_requests import decision, endpoint, report
from tests.support.watched_pool import WatchedPool

MODELS = {"model_name": "tuned", "target_model_name": "base"}


def request(model: str = "tuned", target: str = "base", **more: object) -> InferenceRequest:
    return InferenceRequest(request_id="r-1", model=model, target_model=target, **more)  # type: ignore[arg-type]


def test_a_routed_request_is_counted_and_runs() -> None:
    pool = WatchedPool()
    pool.sink.request_started(request())
    pool.sink.request_routed(decision(request(priority=-5, body_bytes=900), scheduler_s=0.0004))

    page = pool.page()

    assert page.value("inference_objective_request_total", {**MODELS, "priority": "-5"}) == 1
    assert page.value("inference_objective_running_requests", {"model_name": "tuned"}) == 1
    assert page.value("inference_objective_request_sizes_bucket", {**MODELS, "le": "512"}) == 0
    assert page.value("inference_objective_request_sizes_bucket", {**MODELS, "le": "1024"}) == 1
    assert page.value("inference_objective_request_sizes_sum", MODELS) == 900
    assert page.value("inference_extension_scheduler_e2e_duration_seconds_bucket", {"le": "0.0005"}) == 1
    assert page.value("epp_requests_read_total") == 1
    where = {"pod_name": "vllm-0", "namespace": "default", "port": "8000"}
    attempt = {"status": "success", "target_model_name": "base", **where}
    assert page.value("inference_extension_scheduler_attempts_total", attempt) == 1
    assert "inference_objective_request_duration_seconds_count" not in page.samples


def test_a_finished_request_leaves_everything_that_is_known_of_it() -> None:
    pool = WatchedPool()
    routed = decision(request())
    pool.sink.request_routed(routed)
    usage = TokenUsage(prompt_tokens=300, completion_tokens=200, cached_tokens=0)
    pool.sink.request_finished(routed, report(duration_s=4.0, response_bytes=3_000, first_token_s=0.2, usage=usage))

    page = pool.page()

    assert page.value("inference_objective_running_requests", {"model_name": "tuned"}) == 0
    sums = {
        "request_duration_seconds": 4.0,
        "response_sizes": 3_000,
        "input_tokens": 300,
        "output_tokens": 200,
        "prompt_cached_tokens": 0,
        "normalized_time_per_output_token_seconds": 0.02,
        "request_ttft_seconds": 0.2,
    }
    for name, total in sums.items():
        assert page.value(f"inference_objective_{name}_sum", MODELS) == pytest.approx(total), name
        assert page.value(f"inference_objective_{name}_count", MODELS) == 1, name


def test_what_is_not_known_is_not_counted() -> None:
    pool = WatchedPool()
    routed = decision(request())
    pool.sink.request_routed(routed)
    pool.sink.request_finished(routed, report(status=0))

    names = {
        name for name in pool.page().samples if name.startswith("inference_objective_") and "request_sizes" not in name
    }

    assert names == {"inference_objective_request_total", "inference_objective_running_requests"}


@pytest.mark.parametrize(("status", "errors"), [(200, None), (301, None), (404, 1), (500, 1)])
def test_error_responses_are_errors_of_the_model_server(status: int, errors: float | None) -> None:
    pool = WatchedPool()
    routed = decision(request())
    pool.sink.request_routed(routed)
    pool.sink.request_finished(routed, report(status=status))

    labels = {**MODELS, "error_code": "ModelServerError"}
    assert pool.page().value("inference_objective_request_error_total", labels) == errors


def test_a_request_that_ends_twice_counts_once() -> None:
    pool = WatchedPool()
    routed = decision(request())
    pool.sink.request_routed(routed)
    pool.sink.request_finished(routed, report())
    pool.sink.request_finished(routed, report())

    page = pool.page()

    assert page.value("inference_objective_running_requests", {"model_name": "tuned"}) == 0
    assert page.value("inference_objective_request_duration_seconds_count", MODELS) == 1


def test_a_request_ends_in_the_series_it_began_in_even_when_its_name_became_known_meanwhile() -> None:
    pool = WatchedPool()
    pool.sink = type(pool.sink)(most_label_values=0)
    routed = decision(request())
    pool.sink.request_routed(routed)
    pool.sink.known_names(["tuned", "base"])
    pool.sink.request_finished(routed, report())

    running = {key[0]: value for key, value in pool.sink._running()}

    assert running == {OTHER: 0}


def test_a_refusal_is_an_error_with_its_code() -> None:
    pool = WatchedPool()
    pool.sink.request_refused(request(), ResourceExhausted("system saturated, sheddable request dropped"))
    pool.sink.request_refused(None, BadRequest("not JSON"))

    page = pool.page()

    error = "inference_objective_request_error_total"
    assert page.value(error, {**MODELS, "error_code": "ResourceExhausted"}) == 1
    assert page.value(error, {"model_name": "", "target_model_name": "", "error_code": "BadRequest"}) == 1
    assert "inference_objective_request_total" not in page.samples
    assert "inference_extension_scheduler_attempts_total" not in page.samples


def refusals_of_the_real_core() -> list[tuple[str, Refusal, bool]]:
    """What the core raises: for want of an endpoint, or before anybody was looked for."""
    pool = WatchedPool()
    header_filter = NamedFilter("test", HeaderBasedTestingFilter())
    profile = Profile("default", (header_filter,), (), MaxScorePicker(PickerParameters()))
    scheduler = Scheduler(Policy((profile,), SingleProfileHandler()), pool.ledger, Random(0), pool.clock)
    router = Router(pool.roster, scheduler, RoutingPolicy(), pool.clock)
    cases = []

    def raised(name: str, is_failed_attempt: bool, call: object) -> None:
        with pytest.raises(PickerError) as caught:
            call()  # type: ignore[operator]
        assert isinstance(caught.value, Refusal)
        cases.append((name, caught.value, is_failed_attempt))

    raised("no endpoint", True, lambda: router.decide(request()))
    pool.contains(endpoint(0))
    raised("subset", True, lambda: router.decide(request(subset=("10.9.9.9",))))
    strict = request(headers={"test-epp-endpoint-selection": "10.9.9.9"})
    cycle = Cycle(strict, pool.roster.current, pool.ledger, pool.clock(), Random(0))
    raised("filtered", True, lambda: profile.run(cycle, Candidates(pool.roster.current)))
    pool.scraped(endpoint(0), waiting=100)
    shed = request(priority=-1)
    everybody = Candidates(pool.roster.current)
    raised("shed", False, lambda: admit(shed, everybody, pool.ledger, DEFAULT_DETECTOR, pool.clock()))
    return cases


def test_attempts_fail_when_the_core_found_no_endpoint_and_only_then() -> None:
    failed = {"status": "failure", "target_model_name": "base", "pod_name": "", "namespace": "", "port": ""}
    for name, refusal, is_failed_attempt in refusals_of_the_real_core():
        pool = WatchedPool()
        pool.sink.request_refused(request(), refusal)

        attempts = pool.page().value("inference_extension_scheduler_attempts_total", failed)

        assert attempts == (1 if is_failed_attempt else None), name


def test_servers_other_than_the_picked_one_are_counted_when_the_gateway_names_them() -> None:
    pool = WatchedPool()
    picked, fallback = endpoint(0), endpoint(1)
    for serial, served in enumerate(("", picked.destination, fallback.destination, "10.9.9.9:8000")):
        routed = decision(request(), picked, fallback, serial=serial)
        pool.sink.request_routed(routed)
        pool.sink.request_finished(routed, report(served=served))
    pool.sink.picker_bypassed("10.0.0.7:8000")

    page = pool.page()

    assert page.value("epp_served_not_picked_total") == 2
    assert page.value("epp_bypassed_responses_total") == 1
    totals = pool.sink.totals()
    assert (totals.routed, totals.finished, totals.served_reported, totals.served_not_picked) == (4, 4, 3, 2)


def test_scrape_failures_are_counted_by_kind() -> None:
    pool = WatchedPool()
    for kind in ("refused", "refused", "timeout"):
        pool.sink.scrape_failed(kind)

    page = pool.page()

    assert page.value("epp_scrape_failures_total", {"kind": "refused"}) == 2
    assert page.value("epp_scrape_failures_total", {"kind": "timeout"}) == 1


def test_llm_d_names_tell_flows_apart_and_gie_names_add_them_up() -> None:
    pool = WatchedPool(Dialect.BOTH)
    for serial, (fairness_id, priority) in enumerate((("a", 0), ("a", 0), ("b", 0), ("b", 7))):
        routed = decision(request(fairness_id=fairness_id, priority=priority, streaming=serial == 0), serial=serial)
        pool.sink.request_routed(routed)
        pool.sink.request_finished(routed, report(first_token_s=1.0))

    page = pool.page()

    flow = {**MODELS, "fairness_id": "a", "priority": "0"}
    assert page.value("llm_d_epp_request_total", flow) == 2
    assert page.value("inference_objective_request_total", {**MODELS, "priority": "0"}) == 3
    assert page.value("llm_d_epp_request_duration_seconds_count", flow) == 2
    assert page.value("inference_objective_request_duration_seconds_count", MODELS) == 4
    assert page.value("inference_objective_request_duration_seconds_sum", MODELS) == 8.0
    assert page.value("llm_d_epp_request_ttft_seconds_count", {**flow, "streaming": "true"}) == 1
    assert page.value("inference_objective_request_ttft_seconds_count", MODELS) == 4


def test_a_thousand_models_are_kept_and_the_configured_one_too() -> None:
    pool = WatchedPool()
    for number in range(1_200):
        pool.sink.request_refused(request(f"m{number}", f"m{number}"), BadRequest("no"))
    pool.sink.known_names(["tuned", "base"])
    pool.sink.request_refused(request(), BadRequest("no"))

    page = pool.page()

    models = page.label_values("inference_objective_request_error_total", "model_name")
    assert len(models) == 1_000 + len({OTHER, "tuned"})
    others = {"model_name": OTHER, "target_model_name": OTHER, "error_code": "BadRequest"}
    assert page.value("inference_objective_request_error_total", others) == 200


@given(st.lists(st.tuples(st.sampled_from(["route", "end", "refuse"]), st.integers(0, 5)), max_size=40))
@settings(max_examples=50, deadline=None)
def test_routed_is_running_plus_finished_whatever_happens(steps: list[tuple[str, int]]) -> None:
    pool = WatchedPool()
    under_way: set[int] = set()
    ended: set[int] = set()
    for step, serial in steps:
        routed = decision(request(), serial=serial)
        if step == "route" and serial not in under_way | ended:
            pool.sink.request_routed(routed)
            under_way.add(serial)
        elif step == "end":
            pool.sink.request_finished(routed, report())
            ended |= under_way & {serial}
            under_way.discard(serial)
        elif step == "refuse":
            pool.sink.request_refused(request(), BadRequest("no"))

    page, totals = pool.page(), pool.sink.totals()

    assert (page.value("inference_objective_running_requests", {"model_name": "tuned"}) or 0) == len(under_way)
    assert (totals.routed, totals.finished) == (len(under_way) + len(ended), len(ended))
