"""An engine with round latencies under virtual time, and the handful of verbs the tests speak."""

from collections.abc import Sequence

import msgspec

from epp.lab.fake_vllm.adapters import Adapter
from epp.lab.fake_vllm.engine import Engine
from epp.lab.fake_vllm.kv_event_log import KvEventLog
from epp.lab.fake_vllm.sequence import EngineRequest, TokenOutput
from epp.lab.fake_vllm.settings import EngineSettings, LatencySettings
from epp.lab.fake_vllm.tokens import id_tokens

STEP_S = 0.010
SEQUENCE_S = 0.001
PREFILL_S = 0.001  # per token
LORA_S = 0.5

SETTINGS = EngineSettings(
    block_size=4,
    num_gpu_blocks=100,
    max_num_seqs=8,
    max_num_batched_tokens=64,
    max_loras=1,
    latency=LatencySettings(
        prefill_tokens_per_s=1 / PREFILL_S,
        step_base_s=STEP_S,
        step_per_sequence_s=SEQUENCE_S,
        lora_load_s=LORA_S,
    ),
)


def adapter(number: int) -> Adapter:
    """An adapter called lora-<number>."""
    return Adapter(id=number, name=f"lora-{number}", path=f"repo/lora-{number}", base_model_name="base")


def prompt(tokens: int, text: int = 0) -> bytes:
    """A prompt of that many tokens; prompts of the same `text` number share their beginning."""
    return id_tokens([text * 100_000 + position for position in range(tokens)])


class ScriptedEngine:
    """Submits, advances and remembers what came out."""

    def __init__(self, kv_events: KvEventLog | None = None, **changes: object) -> None:
        self.engine = Engine(msgspec.structs.replace(SETTINGS, **changes), kv_events)
        self.now = 0.0
        self.outputs: list[TokenOutput] = []
        self.first_token_at: dict[int, float] = {}
        self.finished_at: dict[int, float] = {}

    def submit(
        self,
        request_id: int,
        prompt_tokens: int,
        output_tokens: int = 1,
        *,
        text: int | None = None,
        lora: Adapter | None = None,
        salt: str = "",
        priority: int = 0,
    ) -> None:
        """One request now; without `text` its prompt is like no other."""
        self.engine.submit(
            self.now,
            EngineRequest(
                request_id=request_id,
                prompt=prompt(prompt_tokens, 1000 + request_id if text is None else text),
                output=id_tokens([request_id] * output_tokens),
                adapter=lora,
                cache_salt=salt,
                priority=priority,
            ),
        )

    def step(self) -> Sequence[TokenOutput]:
        """Goes to the end of the step in progress."""
        due = self.engine.next_event_at
        assert due is not None, "the engine is idle"
        return self.until(due)

    def until(self, now: float) -> Sequence[TokenOutput]:
        """Goes to a point in time."""
        self.now = now
        outputs = self.engine.advance(now)
        for output in outputs:
            if output.position == 0:
                self.first_token_at[output.request_id] = self.engine.published.at
            if output.finish_reason is not None:
                self.finished_at[output.request_id] = self.engine.published.at
        self.outputs += outputs
        return outputs

    def run(self, max_steps: int = 100_000) -> None:
        """Goes on until the engine is idle."""
        for _ in range(max_steps):
            if self.engine.next_event_at is None:
                return
            self.step()
        raise AssertionError("the engine did not come to rest")

    def cached(self, request_id: int) -> int:
        """Cached tokens of a request that has a token."""
        return next(output.cached_tokens for output in self.outputs if output.request_id == request_id)
