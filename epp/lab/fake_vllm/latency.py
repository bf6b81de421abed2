"""How long one engine step takes."""

from epp.lab.fake_vllm.settings import LatencySettings


def step_duration_s(
    latency: LatencySettings,
    *,
    prefill_tokens: int,
    sequences: int,
    adapter_loads: int,
    context_tokens: int = 0,
    attention_squares: int = 0,
) -> float:
    """Duration of one step in seconds:

        (step_base_s + step_per_sequence_s * sequences + step_per_context_token_s * context_tokens
         + prefill_tokens / prefill_tokens_per_s + attention_s_per_token_squared * attention_squares
         + lora_load_s * adapter_loads) / speed

    A linear form of the usual roofline: reading the weights is the base, each sequence adds its KV reads, prompt tokens
    are bound by compute. Adapters are loaded inside the step, before the prefill, as vLLM does.
    """
    busy_s = (
        latency.step_base_s
        + latency.step_per_sequence_s * sequences
        + latency.step_per_context_token_s * context_tokens
        + prefill_tokens / latency.prefill_tokens_per_s
        + latency.attention_s_per_token_squared * attention_squares
        + latency.lora_load_s * adapter_loads
    )
    return busy_s / latency.speed
