"""What a token and a step cost on the pods of one group, in seconds, and how that is learned while serving.

The defaults hold until there are samples. Three kinds of samples come in:
    first tokens      seconds from the pick to the first token against the prefill booked for the request and what was
                      booked before it: the scale of prefill, and what a request takes besides
    finished answers  seconds per output token, without the prefills that went between, against the context in flight
                      meanwhile: step time and cost per token of context; and how many tokens an answer has, by model
    engine sums       the engine's own sums and counts between two scrapes, for the same, where bodies are never seen
Attention's square term keeps its ratio to the linear one: both are bound by compute, the model sets the ratio.
"""

from collections import OrderedDict

import msgspec

from epp.core.scheduling.cost.robust_line import RobustLine

FIRST_TOKEN_OVERHEAD_S = 0.01
"""what a first token takes besides prefill and steps, to begin with"""
STEPS_BEFORE_FIRST_TOKEN = 1.5
"""the step under way when a request comes, half of it on the average, and the one that makes the token"""
MOST_MODELS = 1000
OUTPUT_SAMPLES = 100.0
"""an answer counts as one of so many; lengths are spread widely"""
FIRST_OUTPUT_SAMPLES = 5.0
"""so many answers weigh as much as what was expected to begin with"""
FARTHEST_OUTPUT = 8.0
"""one answer counts for at most this many times what was expected"""
SHORTEST_ANSWER_TOKENS = 4
"""shorter answers say little about a step"""
LONGEST_ANSWER_TOKENS = 1e6


class Coefficients(msgspec.Struct):
    """Seconds, in the units of expected-cost-scorer's parameters. Learning changes them in place."""

    prefill_scale: float
    """times the prefill seconds of the parameters"""
    step_s: float
    kv_s: float
    """per token of context and step"""


class OutputLengths:
    """Output tokens to expect, by model: a moving mean; a model without a sample has the mean of all."""

    def __init__(self, default: float, *, learns: bool) -> None:
        self._of_all = _Mean(default)
        self._learns = learns
        self._by_model: OrderedDict[str, _Mean] = OrderedDict()

    @property
    def of_all(self) -> float:
        """Of an answer of any model."""
        return self._of_all.value

    def expected(self, model: str) -> float:
        """Of an answer of `model`."""
        return self._by_model.get(model, self._of_all).value

    def learn(self, model: str, tokens: float) -> None:
        """An answer had so many tokens; what cannot be is passed over."""
        if not (self._learns and 1 <= tokens <= LONGEST_ANSWER_TOKENS):
            return
        mean = self._by_model.get(model)
        if mean is None:
            mean = self._by_model[model] = _Mean(self.of_all)
        mean.learn(tokens)
        self.learn_mean(tokens)
        self._by_model.move_to_end(model)
        if len(self._by_model) > MOST_MODELS:
            self._by_model.popitem(last=False)

    def learn_mean(self, tokens: float) -> None:
        """Answers of any model had so many tokens on the average."""
        if self._learns and 1 <= tokens <= LONGEST_ANSWER_TOKENS:
            self._of_all.learn(tokens)


class _Mean:
    """A moving mean of positive numbers that begins at `value`."""

    __slots__ = ("samples", "value")

    def __init__(self, value: float) -> None:
        self.value = value
        self.samples = FIRST_OUTPUT_SAMPLES

    def learn(self, sample: float) -> None:
        near = min(max(sample, self.value / FARTHEST_OUTPUT), self.value * FARTHEST_OUTPUT)
        self.samples = min(self.samples + 1.0, OUTPUT_SAMPLES)
        self.value += (near - self.value) / self.samples


class CoefficientLearner:
    """Learns the `coefficients` of one group."""

    def __init__(self, *, step_s: float, kv_s: float, learns: bool) -> None:
        self.coefficients = Coefficients(prefill_scale=1.0, step_s=step_s, kv_s=kv_s)
        self.first_token_at = self.answer_at = float("-inf")
        """when the last of each was seen"""
        self._learns = learns
        self._first_kv_s = kv_s
        self._prefill = RobustLine(FIRST_TOKEN_OVERHEAD_S, 1.0)
        self._decode = RobustLine(step_s, 1.0)

    def first_token(self, taken_s: float, *, own_s: float, ahead_s: float, step_s: float, now: float) -> None:
        """A first token came `taken_s` after the pick.

        `own_s` and `ahead_s` are the prefill seconds booked for the request and before it, in the parameters' own
        units; `step_s` is a decode step there. The more was before it, the less the sample says.
        """
        self.first_token_at = now
        booked_s = own_s + ahead_s
        if not self._learns or booked_s <= 0.0:
            return
        beyond_steps_s = taken_s - STEPS_BEFORE_FIRST_TOKEN * step_s
        self._learn_prefill(booked_s, max(beyond_steps_s, taken_s / 4.0), own_s / booked_s)

    def first_token_s(self, booked_s: float, step_s: float) -> float:
        """Seconds to a first token with so much prefill booked, in the parameters' own units."""
        return self._prefill.a + self._prefill.b * booked_s + STEPS_BEFORE_FIRST_TOKEN * step_s

    def answer(
        self, seconds: float, *, tokens: int, prefill_s: float, context_tokens: float, weight: float, now: float
    ) -> None:
        """`tokens` of an answer took `seconds`, of which prefills took `prefill_s`."""
        self.answer_at = now
        if not self._learns or tokens < SHORTEST_ANSWER_TOKENS:
            return
        self._learn_decode(max(seconds - prefill_s, seconds / 4.0) / tokens, context_tokens, weight)

    def engine_prefill(self, seconds: float, booked_s: float) -> None:
        """Requests took `seconds` each from schedule or arrival to the first token, with `booked_s` to prefill."""
        if self._learns and booked_s > 0.0:
            beyond_steps_s = seconds - STEPS_BEFORE_FIRST_TOKEN * self.coefficients.step_s
            self._learn_prefill(booked_s, max(beyond_steps_s, seconds / 4.0), 0.5)

    def engine_step(self, seconds: float, prefill_share: float, context_tokens: float) -> None:
        """Output tokens came `seconds` apart while prefill took `prefill_share` of the time."""
        if self._learns:
            self._learn_decode(seconds * (1.0 - min(max(prefill_share, 0.0), 0.75)), context_tokens, 0.5)

    def _learn_prefill(self, booked_s: float, taken_s: float, weight: float) -> None:
        self._prefill.learn(booked_s, taken_s, weight)
        self.coefficients.prefill_scale = self._prefill.b

    def _learn_decode(self, step_s: float, context_tokens: float, weight: float) -> None:
        self._decode.learn(self._first_kv_s * context_tokens, step_s, weight)
        self.coefficients.step_s = self._decode.a
        self.coefficients.kv_s = self._first_kv_s * self._decode.b
