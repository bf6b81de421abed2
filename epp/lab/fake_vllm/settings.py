"""What one fake pod is made of: latency constants, engine limits, served names, and the check that they fit."""

import math

import msgspec


class SettingsError(ValueError):
    """A setting that cannot work. `field` is the setting's name, `problem` what is wrong and what would be right."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class LatencySettings(msgspec.Struct, frozen=True):
    """Constants of the step-time formula in `latency.py`. Times are those of speed 1; `speed` divides all of them."""

    prefill_tokens_per_s: float = 8000.0
    step_base_s: float = 0.012
    step_per_sequence_s: float = 0.00015
    step_per_context_token_s: float = 0.0
    """reading the KV cache: per token of context of the sequences in the step"""
    attention_s_per_token_squared: float = 0.0
    """of a prefill: times (tokens computed after it)^2 - (tokens computed before it)^2"""
    lora_load_s: float = 0.1
    speed: float = 1.0


class EngineSettings(msgspec.Struct, frozen=True):
    """Limits of the engine under vLLM's names. Defaults: Llama-3.1-8B on one 80 GB H100.

    `max_loras` 0 means that LoRA is off. `max_model_len` None means the smaller of 131072 and what the KV cache holds.
    """

    block_size: int = 16
    num_gpu_blocks: int = 26_300
    max_model_len: int | None = None
    max_num_seqs: int = 256
    max_num_batched_tokens: int = 8192
    max_loras: int = 1
    prefix_caching: bool = True
    priority_scheduling: bool = False
    latency: LatencySettings = LatencySettings()

    @property
    def context_tokens(self) -> int:
        """Longest prompt plus answer, in tokens."""
        return min(131_072, self.kv_tokens) if self.max_model_len is None else self.max_model_len

    @property
    def kv_tokens(self) -> int:
        """Tokens that the whole KV cache holds."""
        return self.block_size * self.num_gpu_blocks


class AdapterSource(msgspec.Struct, frozen=True):
    """A LoRA adapter given at start, as in vLLM's --lora-modules."""

    name: str
    path: str
    base_model_name: str | None = None


class PodSettings(msgspec.Struct, frozen=True):
    """One pod. Port 0 takes a free port; `served_names` empty means the model's own name.

    `kv_usage_names` picks the gauge on /metrics: `new` is vllm:kv_cache_usage_perc, `old` vllm:gpu_cache_usage_perc.
    `answer_tokens` is the range of natural answer lengths (where the model would stop by itself).
    """

    name: str = "fake-vllm-0"
    host: str = "127.0.0.1"
    port: int = 0
    model: str = "meta-llama/Llama-3.1-8B-Instruct"
    served_names: tuple[str, ...] = ()
    adapters: tuple[AdapterSource, ...] = ()
    runtime_lora_updating: bool = True
    kv_usage_names: tuple[str, ...] = ("new",)
    answer_tokens: tuple[int, int] = (64, 256)
    seed: int = 0
    keepalive_timeout_s: float = 5.0
    engine: EngineSettings = EngineSettings()
    kv_events_port: int | None = None
    """publish KV-cache events there; 0 takes a free port, None publishes none"""
    kv_events_replay_port: int | None = None
    kv_events_as_maps: bool = False
    """the newer encoding of vLLM"""

    @property
    def names(self) -> tuple[str, ...]:
        """Names under which the base model answers; the first one labels metrics and answers."""
        return self.served_names or (self.model,)


def check_settings(settings: PodSettings) -> None:
    """Raises SettingsError for the first setting that cannot work."""
    _check_engine(settings.engine)
    _check_latency(settings.engine.latency)
    if not 0 <= settings.port <= 65_535:
        raise SettingsError("port", f"{settings.port} is not a TCP port (0 to 65535)")
    _check_kv_events(settings)
    if not all(settings.names):
        raise SettingsError("served_names", "a served model name is empty")
    shortest, longest = settings.answer_tokens
    if not 1 <= shortest <= longest:
        raise SettingsError("answer_tokens", f"{shortest}:{longest} is not a range of at least one token")
    if not settings.kv_usage_names or set(settings.kv_usage_names) - {"new", "old"}:
        raise SettingsError("kv_usage_names", "choose new, old or both")
    if settings.keepalive_timeout_s <= 0:
        raise SettingsError("keepalive_timeout_s", "must be above 0 seconds")
    seen = set(settings.names)
    for adapter in settings.adapters:
        if settings.engine.max_loras == 0:
            raise SettingsError("adapters", f"adapter {adapter.name!r} given, but LoRA is off (max_loras is 0)")
        if not adapter.name or not adapter.path:
            raise SettingsError("adapters", "an adapter needs a name and a path")
        if adapter.name in seen:
            raise SettingsError("adapters", f"the name {adapter.name!r} is served twice")
        seen.add(adapter.name)


def _check_kv_events(settings: PodSettings) -> None:
    for field in ("kv_events_port", "kv_events_replay_port"):
        port: int | None = getattr(settings, field)
        if port is not None and not 0 <= port <= 65_535:
            raise SettingsError(field, f"{port} is not a TCP port (0 to 65535)")
    if settings.kv_events_replay_port is not None and settings.kv_events_port is None:
        raise SettingsError("kv_events_replay_port", "there is nothing to replay without kv_events_port")


def _check_engine(engine: EngineSettings) -> None:
    for field in ("block_size", "num_gpu_blocks", "max_num_seqs", "max_num_batched_tokens"):
        value: int = getattr(engine, field)
        if value < 1:
            raise SettingsError(field, f"must be at least 1, got {value}")
    if engine.max_loras < 0:
        raise SettingsError("max_loras", f"must not be negative, got {engine.max_loras}")
    if engine.max_model_len is not None and not 2 <= engine.max_model_len <= engine.kv_tokens:
        raise SettingsError(
            "max_model_len",
            f"{engine.max_model_len} tokens do not fit a KV cache of {engine.kv_tokens} tokens "
            f"({engine.num_gpu_blocks} blocks of {engine.block_size}); at least 2 are needed",
        )
    if engine.kv_tokens < 2:
        raise SettingsError("num_gpu_blocks", "the KV cache must hold at least 2 tokens")


def _check_latency(latency: LatencySettings) -> None:
    for field in ("prefill_tokens_per_s", "speed"):
        value: float = getattr(latency, field)
        if not (math.isfinite(value) and value > 0):
            raise SettingsError(field, f"must be above 0, got {value}")
    for field in (
        "step_base_s",
        "step_per_sequence_s",
        "step_per_context_token_s",
        "attention_s_per_token_squared",
        "lora_load_s",
    ):
        value = getattr(latency, field)
        if not (math.isfinite(value) and value >= 0):
            raise SettingsError(field, f"must not be negative, got {value}")
    if latency.step_base_s + latency.step_per_sequence_s <= 0:
        raise SettingsError("step_base_s", "a step must take some time; step_per_sequence_s is 0 too")
