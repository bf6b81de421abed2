"""What is met, missed and not measured."""

from bench.gateway.cases import HUGE, NATIVE, SHORT
from bench.gateway.findings import Missing
from bench.gateway.targets import Target, targets
from tests.support.bench_findings import MIB, finding, findings, load_result, usual_findings


def verdicts() -> dict[str, tuple[float | None, str]]:
    return {each.what: (each.value, each.verdict) for each in targets(usual_findings())}


def test_figures_of_a_run() -> None:
    found = verdicts()
    assert found["CPU to Envoy's, native, 0.8 KB"] == (0.4, "met")
    assert found["CPU to Envoy's, native, 220 KB"] == (0.9, "missed")
    assert found["CPU to Envoy's, native, full-duplex, 220 KB"] == (None, "not measured")
    assert found["idle, 10 pods"] == (0.0125, "met")
    assert found["idle, 100 pods"] == (None, "not measured")
    assert found["memory of a picker 10 s after a load of 1 MB prompts"] == (90.0, "missed"), "the largest process"
    assert found["memory of a picker 10 s after a load of 0.8 KB prompts"] == (None, "not measured")
    assert found["CPU with TLS to CPU in plaintext, 0.8 KB"] == (1.25, "met")
    assert found["CPU of grpcio to CPU of native, 0.8 KB"] == (4.0, "met")
    assert found["requests that failed or passed by the picker"] == (0.0, "met")


def test_bodies_under_way_may_be_held() -> None:
    bound = next(each for each in targets(findings()) if each.what.startswith("memory of a picker under"))
    assert 102 < bound.limit < 104
    held = findings(finding("saturation", NATIVE, HUGE, 1.0, rss_bytes=(100 * MIB,)))
    assert {each.what: each.verdict for each in targets(held)}[bound.what] == "met"


def test_bounds_from_below() -> None:
    assert Target("x", 3.0, 3.0, is_least=True).verdict == "met"
    assert Target("x", 2.9, 3.0, is_least=True).verdict == "missed"
    assert Target("x", 3.0, 3.0).verdict == "met"


def test_any_problem_misses_the_last_one() -> None:
    bad = finding("saturation", NATIVE, SHORT, 0.4, load=load_result(epp_s=0.4), problems=("2 requests: status 503",))
    failed = Missing("grpcio", "the picker ended", "failed")
    last = targets(findings(bad, missing=(failed,)))[-1]
    assert (last.value, last.verdict) == (2.0, "missed")
    assert findings(bad, missing=(failed,)).problems == [
        "grpcio: the picker ended",
        "saturation: native: 0.8 KB: 2 requests: status 503",
    ]
