"""docs/envoy-modes.md is what the tests say."""

from tests.support.envoy_promises import PAGE, page


def test_the_page_is_written_from_the_tests() -> None:
    assert PAGE.read_text() == page(), "run: python -m tests.support.envoy_promises --write"
