"""docs/apis.md: its example loads, and its table has every parser and path."""

import re
from pathlib import Path

from epp.core.config.load import load_config
from epp.core.protocol.apis.parsers import DEFAULT_PARSERS, PARSERS
from epp.core.scheduling.catalogue import CATALOGUE

PAGE = (Path(__file__).parents[3] / "docs" / "apis.md").read_text(encoding="utf-8")


def test_the_example() -> None:
    [example] = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    config = load_config(example, "apis.md", CATALOGUE)
    assert config.parsers == ("openai-parser", "sglanghttp-parser", "passthrough-parser")
    assert config.notices == ()


def test_every_parser_and_path_is_in_the_table() -> None:
    for parser in PARSERS.values():
        assert f"`{parser.name}`" in PAGE
        if "grpc" in parser.name or "vertex" in parser.name:
            continue
        for route in parser.routes:
            assert "/".join(route.tail) in PAGE, route.tail


def test_the_default_parsers_are_named() -> None:
    sentence = PAGE[PAGE.index("Without a configuration") : PAGE.index("are in force")]
    assert re.findall(r"`([a-z-]+)`", sentence) == list(DEFAULT_PARSERS)
