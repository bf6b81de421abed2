"""docs/grpc.md: its example loads, and its table names the methods that are read."""

import re
from pathlib import Path

from epp.core.config.load import load_config
from epp.core.protocol.apis.parsers import PARSERS
from epp.core.scheduling.catalogue import CATALOGUE

PAGE = (Path(__file__).parents[3] / "docs" / "grpc.md").read_text(encoding="utf-8")


def test_the_example_loads_without_a_notice() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    config = load_config(example, "grpc.md", CATALOGUE)
    assert config.parsers == ("vllmgrpc-parser", "openai-parser")
    assert not config.notices


def test_every_method_that_is_read_is_named() -> None:
    for name in ("vllmgrpc-parser", "vertexai-parser"):
        [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}`")]
        for route in PARSERS[name].routes:
            assert re.search(rf"\b{route.tail[-1]}`", row)
