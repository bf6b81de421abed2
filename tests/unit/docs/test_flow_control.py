"""docs/flow-control.md: its example loads and means what the page says."""

import re
from pathlib import Path

from epp.core.config.load import load_config
from epp.core.flow.build import flow_policy
from epp.core.flow.fairness.round_robin import RoundRobinFairness
from epp.core.scheduling.catalogue import CATALOGUE

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "flow-control.md").read_text(encoding="utf-8")


def test_the_example() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    config = load_config(example, "flow-control.md", CATALOGUE)
    settings = flow_policy(config).settings
    assert config.notices == ()
    assert (settings.limits.max_requests, settings.default_ttl_s, settings.no_endpoint_ttl_s) == (20_000, 30.0, 120.0)
    assert settings.band(-10).limits.max_requests == 500
    assert isinstance(settings.band(3).new_fairness(), RoundRobinFairness)


def test_every_page_that_it_names_is_there() -> None:
    named = re.findall(r"\]\((policies/[a-z-]+\.md)\)", PAGE)
    assert len(named) == 12
    assert all((DOCS / name).is_file() for name in named)
