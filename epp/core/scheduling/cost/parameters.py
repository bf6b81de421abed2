"""Parameters of expected-cost-scorer."""

from typing import Annotated, TypeVar

import msgspec

from epp.core.config.structure import Section
from epp.core.state.columns import FloatColumn

Positive = Annotated[float, msgspec.Meta(gt=0.0, le=1e9)]
Cached = TypeVar("Cached", float, FloatColumn)
NotNegative = Annotated[float, msgspec.Meta(ge=0.0, le=1e9)]


class ExpectedCostParameters(Section, frozen=True):
    """Coefficients of the model and the GPU in seconds, to begin with, and the weights of the terms."""

    prefill_seconds_per_token: Positive = 25.65e-6
    attention_seconds_per_token_squared: NotNegative = 0.48e-9
    kv_seconds_per_token: NotNegative = 7.62e-8
    """time that one context token adds to a decode step"""
    sequence_seconds_per_step: NotNegative = 4.4e-6
    step_seconds: Positive = 0.00765
    """a decode step of a small batch"""
    expected_output_tokens: Positive = 343.0
    learn_coefficients: bool = True
    """false: the coefficients stay what they are here"""
    group_label: str = ""
    """pod label whose values tell kinds of pods apart; each kind learns its own coefficients"""
    harm_per_request: NotNegative = 0.1
    decode_weight: NotNegative = 0.25
    kv_wait_weight: NotNegative = 3.0
    lora_weight: NotNegative = 1.0
    lora_load_seconds: NotNegative = 0.1
    balance_weight: NotNegative = 1.0
    load_ceiling: NotNegative = 3.0
    load_window_seconds: Positive = 30.0
    ramp_seconds: NotNegative = 10.0
    prefix_match_info_producer_name: str = ""
    """filled in when the configuration is loaded"""

    def prefill_s(self, tokens: float, cached: Cached) -> Cached:
        """Seconds to compute the rest of a prompt, before learning; for one number of `cached` tokens or a column."""
        return self.whole_s(tokens) - self.whole_s(cached)

    def whole_s(self, tokens: Cached) -> Cached:
        """The same for so many tokens of which nothing is cached."""
        return tokens * (self.prefill_seconds_per_token + self.attention_seconds_per_token_squared * tokens)
