"""One YAML file per mistake. Its first lines say all that must be reported: `# expect LINE: MESSAGE`."""

import re
from pathlib import Path

import pytest

from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.scheduling.catalogue import CATALOGUE

FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.yaml"))
EXPECTED = re.compile(r"^# expect (\d+): (.*)$", re.MULTILINE)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_reports_exactly_the_mistakes_of_the_file(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    expected = [f"{path.name}:{line}: {message}" for line, message in EXPECTED.findall(text)]
    assert expected

    with pytest.raises(ConfigurationError) as caught:
        load_config(text, path.name, CATALOGUE)

    assert str(caught.value).splitlines() == expected


def test_the_fixtures_are_found() -> None:
    assert len(FIXTURES) > 60
