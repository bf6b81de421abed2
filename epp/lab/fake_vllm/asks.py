"""From a decoded request body to what the engine shall generate: model lookup, context limits, planned answers."""

from typing import Literal

import msgspec
import xxhash

from epp.lab.fake_vllm.adapters import Adapter, AdapterRegistry
from epp.lab.fake_vllm.answers import Answer, AnswerLimits, plan_answer
from epp.lab.fake_vllm.bodies import (
    ChatFields,
    CompletionFields,
    SamplingFields,
    chat_prompt,
    check_sampling,
    completion_prompts,
    stop_strings,
)
from epp.lab.fake_vllm.errors import bad_request, not_found
from epp.lab.fake_vllm.settings import PodSettings
from epp.lab.fake_vllm.tokens import token_count

Endpoint = Literal["completion", "chat"]


class Choice(msgspec.Struct, frozen=True):
    """One sequence: a prompt and the answer to it. A request has prompts x n of them, in this order."""

    prompt: bytes
    answer: Answer


class Ask(msgspec.Struct, frozen=True):
    """A request that will be served. `model` is the name that the answer carries; prompts count once, not n times."""

    endpoint: Endpoint
    model: str
    adapter: Adapter | None
    choices: tuple[Choice, ...]
    prompt_tokens: int
    stream: bool
    include_usage: bool
    priority: int
    cache_salt: str


class ServedModels:
    """Answers "what is this model name?" for one pod."""

    def __init__(self, settings: PodSettings, adapters: AdapterRegistry) -> None:
        self._names = settings.names
        self._adapters = adapters

    def resolve(self, name: str | None) -> Adapter | None:
        """The adapter of that name, None for the base model (also when no name is given). Raises ApiError (404)."""
        if not name or name in self._names:
            return None
        adapter = self._adapters.get(name)
        if adapter is None:
            raise not_found(f"The model `{name}` does not exist.", "model")
        return adapter


def plan(fields: CompletionFields | ChatFields, models: ServedModels, settings: PodSettings) -> Ask:
    """Checks the fields in vLLM's order (ranges, model, prompt, context). Raises ApiError (400, 404)."""
    check_sampling(fields, priority_scheduling=settings.engine.priority_scheduling)
    adapter = models.resolve(fields.model)
    if isinstance(fields, ChatFields):
        endpoint: Endpoint = "chat"
        prompts = [chat_prompt(fields)]
    else:
        endpoint = "completion"
        prompts = completion_prompts(fields)
    model = adapter.name if adapter else settings.names[0]
    choices = tuple(
        Choice(prompt, _answer(fields, prompt, index, model, settings))
        for prompt in prompts
        for index in range(fields.n or 1)
    )
    return Ask(
        endpoint=endpoint,
        model=model,
        adapter=adapter,
        choices=choices,
        prompt_tokens=sum(token_count(prompt) for prompt in prompts),
        stream=bool(fields.stream),
        include_usage=bool(fields.stream_options and fields.stream_options.include_usage),
        priority=fields.priority if isinstance(fields.priority, int) else 0,
        cache_salt=fields.cache_salt or "",
    )


def _answer(fields: SamplingFields, prompt: bytes, index: int, model: str, settings: PodSettings) -> Answer:
    limits = AnswerLimits(
        most=_most_tokens(fields, token_count(prompt), settings.engine.context_tokens),
        natural=settings.answer_tokens,
        least=fields.min_tokens,
        ignore_eos=fields.ignore_eos,
        stop=stop_strings(fields),
    )
    origin = f"{settings.seed} {fields.seed} {index} {model}".encode("utf-8", "surrogatepass")
    return plan_answer(prompt, seed=xxhash.xxh3_64_intdigest(origin), limits=limits)


def _most_tokens(fields: SamplingFields, prompt_tokens: int, context_tokens: int) -> int:
    if prompt_tokens >= context_tokens:
        raise bad_request(
            f"This model's maximum context length is {context_tokens} tokens. However, your request has "
            f"{prompt_tokens} input tokens. Please reduce the length of the input messages.",
            "input_tokens",
        )
    limit = fields.answer_limit
    room = context_tokens - prompt_tokens
    if limit is not None and limit > room:
        raise bad_request(
            f"'max_tokens' or 'max_completion_tokens' is too large: {limit}. This model's maximum context length is "
            f"{context_tokens} tokens and your request has {prompt_tokens} input tokens "
            f"({limit} > {context_tokens} - {prompt_tokens}).",
            "max_tokens",
        )
    return room if limit is None else limit
