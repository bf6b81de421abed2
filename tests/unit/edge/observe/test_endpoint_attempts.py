from epp.edge.observe.endpoint_attempts import KEPT_AFTER_LEAVING_S, AttemptKey, EndpointAttempts
from tests.support.routed_requests import endpoint


def counts(attempts: EndpointAttempts) -> dict[AttemptKey, float]:
    return dict(attempts.series())


def test_attempts_are_counted_per_model_and_endpoint() -> None:
    attempts = EndpointAttempts()
    attempts.succeeded("llama", endpoint(0))
    attempts.succeeded("llama", endpoint(0))
    attempts.succeeded("llama", endpoint(0, rank=1))
    attempts.failed("llama")

    assert counts(attempts) == {
        ("success", "llama", "vllm-0", "default", "8000"): 2,
        ("success", "llama", "vllm-0", "default", "8001"): 1,
        ("failure", "llama", "", "", ""): 1,
    }


def test_an_endpoint_that_left_keeps_its_counts_for_five_minutes() -> None:
    attempts = EndpointAttempts()
    attempts.succeeded("llama", endpoint(0))
    attempts.succeeded("llama", endpoint(1))

    attempts.forget_vanished([endpoint(1)], now=100.0)
    attempts.forget_vanished([endpoint(1)], now=100.0 + KEPT_AFTER_LEAVING_S - 1)
    assert len(counts(attempts)) == 2

    attempts.forget_vanished([endpoint(1)], now=100.0 + KEPT_AFTER_LEAVING_S)
    assert list(counts(attempts)) == [("success", "llama", "vllm-1", "default", "8000")]


def test_an_endpoint_that_came_back_in_time_goes_on_counting() -> None:
    attempts = EndpointAttempts()
    attempts.succeeded("llama", endpoint(0))

    attempts.forget_vanished([], now=0.0)
    attempts.forget_vanished([endpoint(0)], now=200.0)
    attempts.forget_vanished([], now=400.0)
    attempts.forget_vanished([], now=600.0)
    attempts.succeeded("llama", endpoint(0))

    assert counts(attempts) == {("success", "llama", "vllm-0", "default", "8000"): 2}


def test_beyond_the_bound_new_models_are_other() -> None:
    attempts = EndpointAttempts(most_series=2)
    for model in ("a", "b", "c", "d", "a"):
        attempts.succeeded(model, endpoint(0))

    assert {key[1]: count for key, count in counts(attempts).items()} == {"a": 2, "b": 1, "other": 2}


def test_series_of_dropped_endpoints_make_room() -> None:
    attempts = EndpointAttempts(most_series=1)
    attempts.succeeded("a", endpoint(0))
    attempts.forget_vanished([], now=0.0)
    attempts.forget_vanished([], now=KEPT_AFTER_LEAVING_S)

    attempts.succeeded("b", endpoint(1))

    assert counts(attempts) == {("success", "b", "vllm-1", "default", "8000"): 1}
