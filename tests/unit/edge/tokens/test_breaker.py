from epp.edge.tokens.breaker import FAILURES_TO_OPEN, FIRST_PAUSE_S, LONGEST_PAUSE_S, CircuitBreaker
from tests.support.virtual_clock import VirtualClock


def test_opens_after_some_failures_in_a_row() -> None:
    breaker = CircuitBreaker(VirtualClock())
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed()
    breaker.succeeded()
    for _ in range(FAILURES_TO_OPEN - 1):
        breaker.failed()
    assert breaker.may_be_asked()
    breaker.failed()
    assert not breaker.may_be_asked()


def test_closes_after_a_pause_and_pauses_grow() -> None:
    clock = VirtualClock()
    breaker = CircuitBreaker(clock)
    pause_s = FIRST_PAUSE_S
    for _ in range(FAILURES_TO_OPEN):
        breaker.failed()
    for _ in range(8):
        clock.now += pause_s - 0.1
        assert not breaker.may_be_asked()
        clock.now += 0.2
        assert breaker.may_be_asked()
        breaker.failed()
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    breaker.succeeded()
    assert breaker.may_be_asked()


def test_failures_of_questions_under_way_do_not_make_the_pause_longer() -> None:
    clock = VirtualClock()
    breaker = CircuitBreaker(clock)
    for _ in range(20):
        breaker.failed()
    clock.now += FIRST_PAUSE_S
    assert breaker.may_be_asked()
