from random import Random

import pytest

from epp.core.config.load import load_config
from epp.core.domain.errors import ResourceExhausted
from epp.core.scheduling.build import build_policy
from epp.core.scheduling.catalogue import CATALOGUE
from epp.core.scheduling.profiles.header_profile import HeaderProfileHandler, HeaderProfileParameters
from epp.core.scheduling.scheduler import Scheduler
from tests.support.small_pool import SmallPool, text_request

HEADER = HeaderProfileParameters()


@pytest.mark.parametrize(
    ("parameters", "headers", "names", "chosen"),
    [
        (HEADER, {"epp-profile": "prefill"}, ("prefill", "decode"), "prefill"),
        (HEADER, {}, ("prefill", "decode"), "decode"),
        (HEADER, {"epp-profile": ""}, ("prefill", "decode"), "decode"),
        (HEADER, {"epp-profile": "nonsense"}, ("only",), "only"),
        (HeaderProfileParameters("X-Tier", "slow"), {"x-tier": "fast"}, ("fast", "slow"), "fast"),
        (HeaderProfileParameters("X-Tier", "slow"), {}, ("fast", "slow"), "slow"),
    ],
)
def test_the_header_names_the_profile(
    parameters: HeaderProfileParameters, headers: dict[str, str], names: tuple[str, ...], chosen: str
) -> None:
    handler, cycle = HeaderProfileHandler(parameters), SmallPool(1).cycle(headers=headers)
    assert handler.next_profile(cycle, names, {}) == chosen
    assert handler.next_profile(cycle, names, {chosen: None}) is None
    assert handler.conclude(cycle, {chosen: None}).primary == chosen


@pytest.mark.parametrize(
    ("headers", "names", "hint"),
    [
        (
            {"epp-profile": "x"},
            ("prefill", "decode"),
            "header EPP-Profile names the profile 'x'; there are prefill, decode",
        ),
        (
            {},
            ("a", "b"),
            "defaultProfile, because there is no header EPP-Profile, names the profile 'decode'; there are a, b",
        ),
    ],
)
def test_an_unknown_profile_is_refused(headers: dict[str, str], names: tuple[str, ...], hint: str) -> None:
    with pytest.raises(ResourceExhausted) as caught:
        HeaderProfileHandler(HEADER).next_profile(SmallPool(1).cycle(headers=headers), names, {})
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    ("headers", "pod"), [({}, "vllm-1"), ({"epp-profile": "decode"}, "vllm-1"), ({"epp-profile": "prefill"}, "vllm-0")]
)
def test_each_role_has_its_profile(headers: dict[str, str], pod: str) -> None:
    profiles = "".join(
        f"- {{name: {role}, plugins: [{{pluginRef: {role}-filter}}, {{pluginRef: queue-scorer}}]}}\n"
        for role in ("prefill", "decode")
    )
    config = load_config(
        "apiVersion: llm-d.ai/v1alpha1\nkind: EndpointPickerConfig\nplugins:\n- type: header-profile-handler\n"
        f"- type: prefill-filter\n- type: decode-filter\n- type: queue-scorer\nschedulingProfiles:\n{profiles}",
        "roles",
        CATALOGUE,
    )
    pool = SmallPool(2, labels=[{"llm-d.ai/role": "prefill"}, {"llm-d.ai/role": "decode"}])
    scheduler = Scheduler(build_policy(config), pool.ledger, Random(1), lambda: pool.now)
    decision = scheduler.schedule(text_request("x", headers=headers), pool.snapshot, pool.candidates, pool.now)
    assert decision.endpoint.pod == pod
