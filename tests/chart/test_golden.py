"""The values files of three versions of the reference's chart, for every provider: what comes out, object by object."""

import pytest

from tests.support.chart_golden import CASES, GOLDEN, golden_file, normalised
from tests.support.helm_chart import CHART, VALUES, of_version, run_helm

WRITE = "look at what changed; if it is right: python -m tests.support.chart_golden --write"


@pytest.mark.parametrize(("version", "provider"), CASES)
def test_the_objects_are_those_of_the_golden_file(version: str, provider: str) -> None:
    assert normalised(of_version(version, provider)) == golden_file(version, provider).read_text(), WRITE


@pytest.mark.parametrize(("version", "provider"), CASES)
def test_helm_finds_nothing_to_complain_about(version: str, provider: str) -> None:
    values = (f"--values={VALUES / version}.yaml", f"--set=provider.name={provider}")
    assert "1 chart(s) linted, 0 chart(s) failed" in run_helm("lint", "--strict", str(CHART), *values)


def test_no_golden_file_is_left_over() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {golden_file(*case).name for case in CASES}
