"""Whatever stands where in a file: it loads, or every mistake in it is named. Nothing else is ever raised."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from epp.core.config.describe import describe
from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.yaml import load_documents

DIALECTS = sorted((Path(__file__).parent / "dialects").glob("*.yaml"))
WORDS = st.sampled_from(["queue-scorer", "max-score-picker", "approx-prefix-cache-producer", "name", "1Gi", "5s", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 10) | st.floats(-2, 2) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.just("pluginRef"), inner, max_size=3),
    max_leaves=5,
)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in entries:
        yield from places(inner, (*path, step))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda path: path.stem)
@given(st.data())
def test_a_value_put_anywhere(dialect: Path, data: st.DataObject) -> None:
    value: Any = copy.deepcopy(load_documents(dialect.read_bytes(), dialect.name)[0].value)
    for _ in range(data.draw(st.integers(1, 3))):
        *above, last = data.draw(st.sampled_from(list(places(value))))
        holder = value
        for step in above:
            holder = holder[step]
        holder[last] = data.draw(VALUES)

    try:
        config = load_config(json.dumps(value), "epp.json", CATALOGUE)
    except ConfigurationError as error:
        assert error.mistakes
        assert all(mistake.line and str(mistake).startswith("epp.json:") for mistake in error.mistakes)
    else:
        build_policy(config)
        assert describe(config)[0] == "epp.json"
