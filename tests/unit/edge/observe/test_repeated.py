import structlog
from structlog.testing import capture_logs

from epp.edge.observe.repeated import RepeatedProblems
from tests.support.virtual_clock import VirtualClock


def test_a_repeated_problem_is_logged_once_per_interval_with_the_number_left_out() -> None:
    clock = VirtualClock()
    with capture_logs() as lines:
        problems = RepeatedProblems(structlog.get_logger(), clock, every_s=30.0)
        assert problems.warning("pod-1", "scrape failed", pod="pod-1")
        clock.now += 29.9
        assert not problems.warning("pod-1", "scrape failed", pod="pod-1")
        assert not problems.warning("pod-1", "scrape failed", pod="pod-1")
        clock.now += 0.1
        assert problems.warning("pod-1", "scrape failed", pod="pod-1")
        clock.now += 30.0
        assert problems.warning("pod-1", "scrape failed", pod="pod-1")

    assert [line.get("left_out") for line in lines] == [None, 2, None]
    assert lines[0] == {"event": "scrape failed", "log_level": "warning", "pod": "pod-1"}


def test_problems_with_other_keys_are_logged() -> None:
    with capture_logs() as lines:
        problems = RepeatedProblems(structlog.get_logger(), VirtualClock())
        problems.warning("pod-1", "scrape failed")
        problems.warning("pod-2", "scrape failed")

    assert len(lines) == 2


def test_keys_are_bounded_and_the_longest_unlogged_is_forgotten() -> None:
    with capture_logs():
        problems = RepeatedProblems(structlog.get_logger(), VirtualClock(), most_keys=2)
        for key in ("a", "b", "c"):
            assert problems.warning(key, "problem")

        assert not problems.warning("c", "problem")
        assert problems.warning("a", "problem"), "forgotten, so logged again"
        assert len(problems._seen) == 2


def test_faults_are_limited_per_event_and_kind_of_error() -> None:
    with capture_logs() as lines:
        problems = RepeatedProblems(structlog.get_logger(), VirtualClock())
        error = ValueError("broken")
        problems.fault("routing failed", "r-1", error)
        problems.fault("routing failed", "r-2", ValueError("again"))
        problems.fault("routing failed", "r-3", KeyError("other"))

    assert [line["request_id"] for line in lines] == ["r-1", "r-3"]
    assert lines[0]["exc_info"] is error
