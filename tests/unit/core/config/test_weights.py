from epp.core.config.load import load_config
from epp.core.config.settings import WeightedPlugin
from epp.core.scheduling.catalogue import CATALOGUE


def test_a_weight_of_anything_but_a_scorer_is_passed_over_with_a_notice() -> None:
    """As in the reference, which has such samples."""
    config = load_config(
        "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\n"
        "plugins: [{type: queue-scorer}, {type: max-score-picker}]\nschedulingProfiles:\n- name: p\n  plugins:\n"
        "  - pluginRef: queue-scorer\n  - {pluginRef: max-score-picker, weight: 3}\n",
        "epp.yaml",
        CATALOGUE,
    )
    assert config.profiles[0].scorers == (WeightedPlugin("queue-scorer"),)
    [notice] = config.notices
    assert str(notice) == (
        "epp.yaml:8: schedulingProfiles[0].plugins[1].weight: "
        "no effect: only scorers have a weight, and 'max-score-picker' is a picker"
    )
