"""Configurations of requests with several stages: what they resolve to, and that a request gets through them."""

from pathlib import Path

import pytest

from epp.core.config.describe import describe
from epp.core.config.load import load_config
from epp.core.config.mistakes import ConfigurationError
from epp.core.config.settings import PickerConfig
from epp.core.scheduling.catalogue import CATALOGUE
from tests.support.staged_pool import StagedPool, disagg, loaded

STAGES = Path(__file__).parent / "stages"
MEDIA = '[{"type": "image_url"}]' + "x" * 400
PREFIX = "approx-prefix-cache-producer"


def load(name: str) -> PickerConfig:
    return load_config((STAGES / f"{name}.yaml").read_bytes(), name, CATALOGUE)


@pytest.mark.parametrize(
    ("name", "handler", "deciders", "producers", "runs"),
    [
        (
            "prefill_decode",
            "disagg-profile-handler",
            ("prefix-based-pd-decider",),
            (PREFIX,),
            "prefill-decode",
        ),
        ("older_names", "pd-profile-handler", ("prefix-based-pd-decider",), (PREFIX,), "prefill-decode"),
        (
            "encode_prefill_decode",
            "disagg-profile-handler",
            ("always-disagg-pd-decider", "always-disagg-multimodal-decider"),
            (),
            "encode-prefill-decode",
        ),
        (
            "near_each_other",
            "disagg-profile-handler",
            (),
            (PREFIX, "topology-extractor", "p2p-source-producer"),
            "prefill-decode",
        ),
        ("data_parallel", "data-parallel-profile-handler", (), (), None),
    ],
)
def test_samples(
    name: str, handler: str, deciders: tuple[str, ...], producers: tuple[str, ...], runs: str | None
) -> None:
    config = load(name)
    assert (config.plugin(config.handler).type, config.deciders) == (handler, deciders)
    assert set(config.producers) == set(producers)

    text = (STAGES / f"{name}.yaml").read_text().partition("EndpointPickerConfig\n")[2]
    decision = StagedPool("prefill", "decode", "encode", policy=text).decide(MEDIA)
    assert decision.endpoint.pod == "vllm-1"
    assert (decision.disaggregation.stages if decision.disaggregation else None) == runs


def test_every_sample_is_tried() -> None:
    assert sorted(path.stem for path in STAGES.glob("*.yaml")) == [
        "data_parallel",
        "encode_prefill_decode",
        "near_each_other",
        "older_names",
        "prefill_decode",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("older_names", "pd-profile-handler is deprecated: write disagg-profile-handler"),
        ("older_names", "deprecated: the profile handler writes the headers for the sidecar itself"),
        ("data_parallel", "data-parallel-profile-handler is deprecated: every rank is an endpoint"),
        ("near_each_other", "topology-extractor is experimental"),
    ],
)
def test_what_is_outdated_is_said(name: str, said: str) -> None:
    assert any(said in str(notice) for notice in load(name).notices)


def test_a_profile_that_nobody_runs_is_said() -> None:
    notices = [str(notice) for notice in loaded(disagg("deciders: {prefill: always}")).notices]
    said = "disagg-profile-handler never runs the profile 'encode': it has no decider for it, or another name"
    assert f"stages.yaml:4: plugins[0]: {said}" in notices
    assert not any("'prefill'" in notice and "never runs" in notice for notice in notices)


def test_the_resolved_policy_names_handler_and_deciders() -> None:
    lines = describe(load("prefill_decode"))
    named = '{"prefill":"prefix-based-pd-decider","encode":""}'
    assert lines[1] == f"  profile handler: disagg-profile-handler [deciders={named}]"
    assert lines[2] == "  decider prefix-based-pd-decider [nonCachedTokens=32, promptTokens=64]"
    assert {"  profile prefill", "  profile decode"} < set(lines)


def test_a_faulty_decider_is_reported_once() -> None:
    text = disagg("deciders: {prefill: broken}", "{type: prefix-based-pd-decider, name: broken, parameters: {x: 1}}")
    with pytest.raises(ConfigurationError, match="unknown field") as caught:
        loaded(text)
    assert str(caught.value).count("\n") == 0
