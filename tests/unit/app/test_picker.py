"""What the composition root hands on; the running process is tested in tests/serve."""

import pytest

from epp.app.configuration import picker_config
from epp.app.flag import FlagError
from epp.app.options import parse_flags
from epp.app.picker import PickerProcess
from epp.app.routing import routing_policy
from epp.core.config.parameters import UtilizationDetectorParameters
from epp.core.flow.saturation import UtilizationDetector
from epp.core.routing.priority import BodyPriority, PriorityPolicy
from epp.core.routing.router import RoutingPolicy

CONFIG = """\
apiVersion: llm-d.ai/v1alpha1
kind: EndpointPickerConfig
plugins:
- type: utilization-detector
  parameters: {queueDepthThreshold: 9, kvCacheUtilThreshold: 0.5}
saturationDetector: {pluginRef: utilization-detector}
"""


def policy_of(**given: str) -> RoutingPolicy:
    options = parse_flags({name.replace("_", "-"): text for name, text in given.items()}, {})
    return routing_policy(options, picker_config(options))


def test_by_default_the_reference_limits_apply_and_bodies_may_ask_for_a_little_priority() -> None:
    assert policy_of() == RoutingPolicy(
        PriorityPolicy(BodyPriority.LARGER_FIRST, -100, 100), UtilizationDetector(), honour_subset=True
    )


def test_flags_and_configuration_are_handed_on() -> None:
    policy = policy_of(
        body_priority="vllm",
        body_priority_min="-1",
        body_priority_max="1",
        disable_endpoint_subset_filter="true",
        config_text=CONFIG,
    )
    assert policy == RoutingPolicy(
        PriorityPolicy(BodyPriority.VLLM, -1, 1),
        UtilizationDetector(UtilizationDetectorParameters(queue_depth_threshold=9, kv_cache_util_threshold=0.5)),
        honour_subset=False,
    )


async def test_a_picker_without_a_place_for_the_pool_cannot_be_made() -> None:
    options = parse_flags({"secure-serving": "false"}, {})
    with pytest.raises(FlagError, match="say where the pool is"):
        PickerProcess(options, picker_config(options))
