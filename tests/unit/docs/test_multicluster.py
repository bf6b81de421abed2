"""docs/multicluster.md: its example loads, without a word on plugins that do nothing."""

import re
from pathlib import Path

from epp.core.config.load import load_config
from epp.core.config.parameters import MulticlusterMetricsExtractorParameters, MulticlusterMetricsSourceParameters
from epp.core.scheduling.catalogue import CATALOGUE

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "multicluster.md").read_text(encoding="utf-8")


def test_the_example() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    config = load_config(example, "multicluster.md", CATALOGUE)
    assert {notice.text.partition(" is ")[2] for notice in config.notices} == {"experimental"}
    assert config.metrics is not None
    assert isinstance(config.metrics.source, MulticlusterMetricsSourceParameters)
    assert config.metrics.clusters == MulticlusterMetricsExtractorParameters()
    assert config.discovery is not None
    assert config.discovery.path == "/etc/epp/clusters.yaml"
    assert config.producers == ("multicluster-approx-prefix-cache-producer",)


def test_every_type_of_it_is_named_and_every_page_that_it_names_is_there() -> None:
    named = re.findall(r"\]\((policies/[a-z-]+\.md)\)", PAGE)
    assert all((DOCS / name).is_file() for name in named)
    types = {f"policies/{name}.md" for name in CATALOGUE.names if name.startswith("multicluster-")}
    assert types <= set(named)
    assert len(types) == 8
