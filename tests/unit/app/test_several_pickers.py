"""What several picker processes cannot do is refused, and the flag, the gate or the plugin is named."""

import pytest

from epp.app.configuration import picker_config
from epp.app.flag import FlagError
from epp.app.options import parse_flags
from epp.app.several_pickers import check_config
from epp.app.told_options import options_read, options_written
from epp.core.config.settings import PickerConfig

HEAD = "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"


def config(text: str) -> PickerConfig:
    return picker_config(parse_flags({"config-text": HEAD + text}, {}))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("featureGates: [flowControl]", "--config-text enables the feature gate flowControl"),
        (
            "plugins: [{type: session-affinity-filter, name: f, parameters: {strategy: session_id}}]",
            "plugin 'f' remembers sessions",
        ),
        (
            """plugins:
- {type: session-id-producer, name: ids, parameters: {headerName: x-session}}
- {type: session-affinity-scorer, name: s, parameters: {sessionIDProducerName: ids}}
""",
            "plugin 's' remembers sessions",
        ),
    ],
    ids=["flow-control", "session-id", "session-id-producer"],
)
def test_what_one_picker_has_to_know_for_itself_is_refused_with_two(text: str, says: str) -> None:
    check_config(config(text), 0)
    check_config(config(text), 1)
    with pytest.raises(FlagError, match=says) as error:
        check_config(config(text), 2)
    assert error.value.flag == "workers"
    assert "--workers 1" in error.value.problem


@pytest.mark.parametrize("text", ["", "plugins: [{type: session-affinity-scorer}]"], ids=["default", "tokens"])
def test_the_rest_is_not(text: str) -> None:
    check_config(config(text), 2)


def test_flags_reach_a_picker_process_as_they_were_given() -> None:
    options = parse_flags(
        {"objects": "pool/", "workers": "2", "cert-path": "certs", "tls-cipher-suites": "", "body-priority": "vllm"},
        {"POD_NAME": "epp-1"},
    )
    assert options_read(options_written(options)) == options
